"""Points of many dimensions laid out in a plane, and moved so that the pictures at them do not cover each other."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..base import MissingExtraError, UsageError, did_you_mean, join_words

Floats = npt.NDArray[np.float64]
Projection = Literal["tsne", "umap", "pca"]
PROJECTIONS = ("tsne", "umap", "pca")

_COMPONENTS = 50
"""Principal components that neighbours are looked for in: more cost time and change little."""

_EXACT = 128
"""Up to so many points the exact gradient is faster than the approximate one (0.5 against 2.2 s for 100 points)."""


def check_projection(how: str) -> None:
    """Raise a sentence for a projection that does not exist."""
    if how not in PROJECTIONS:
        raise UsageError(f"no projection {how!r}{did_you_mean(how, PROJECTIONS)}; use {join_words(PROJECTIONS)}")


def plane(points: npt.ArrayLike, how: Projection = "tsne", *, seed: int = 0) -> Floats:
    """Lay out points in a plane, near ones near each other.

    Parameters
    ----------
    points : (n, C) array
        Embeddings or vectors.
    how : "tsne", "umap" or "pca"
        t-SNE (van der Maaten and Hinton 2008) and UMAP (McInnes et al. 2018; needs the extra) keep neighbours together and
        say little of large distances; principal components keep what they can of all distances.
    seed : int
        For t-SNE and UMAP.

    Returns
    -------
    (n, 2) float64

    Raises
    ------
    UsageError
        There is no such projection.
    MissingExtraError
        umap-learn is not installed.
    """
    check_projection(how)
    x = np.asarray(points, dtype=np.float64)
    principal = _principal(x, 2 if how == "pca" else _COMPONENTS)
    if how == "pca" or len(x) < 5:
        return principal[:, :2]
    if how == "umap":
        return _umap(principal, seed)
    from sklearn.manifold import TSNE

    few = len(x) <= _EXACT
    embedding = TSNE(
        perplexity=min(30.0, (len(x) - 1) / 3),
        init="pca",
        method="exact" if few else "barnes_hut",
        random_state=seed,
    )
    found = embedding.fit_transform(principal.astype(np.float32))
    return np.asarray(found, dtype=np.float64)


def _principal(x: Floats, count: int) -> Floats:
    """(n, max(2, count)) principal coordinates, from whichever of the two Gram matrices is smaller; signs fixed."""
    about = x - x.mean(0)
    small = len(x) <= x.shape[1]
    values, vectors = np.linalg.eigh(about @ about.T if small else about.T @ about)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    found = vectors * np.sqrt(np.maximum(values, 0)) if small else about @ vectors
    if len(found):
        largest = np.abs(found).argmax(0)
        found = found * np.where(found[largest, np.arange(found.shape[1])] < 0, -1, 1)
    return np.pad(found, ((0, 0), (0, max(0, 2 - found.shape[1]))))


def _umap(x: Floats, seed: int) -> Floats:
    with warnings.catch_warnings():  # of what else could be installed, of threads that a seed rules out, of small sets
        warnings.simplefilter("ignore")
        try:
            import umap
        except ImportError as error:
            raise MissingExtraError("a UMAP map", package="umap-learn", extra="umap") from error
        found = umap.UMAP(n_neighbors=min(15, len(x) - 1), random_state=seed).fit_transform(x)
    return np.asarray(found, dtype=np.float64)


def free_cells(positions: npt.ArrayLike, *, aspect: float = 1.0, room: float = 2.5) -> npt.NDArray[np.int64]:
    """Give each position a cell of a grid of its own, so that pictures drawn there do not cover each other.

    The cells are those that move the positions least: the sum of squared moves is the smallest possible.

    Parameters
    ----------
    positions : (n, 2) array
        Across and up.
    aspect : float
        Width of the grid over its height.
    room : float
        Cells for each position.

    Returns
    -------
    (n, 2) int64
        Column and row of each, rows from the bottom.

    Examples
    --------
    >>> free_cells([[0, 0], [0, 0.1], [9, 9]], room=3).tolist()
    [[0, 0], [0, 1], [2, 2]]
    """
    from scipy.optimize import linear_sum_assignment

    at = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    if len(at) == 0:
        return np.zeros((0, 2), dtype=np.int64)
    rows = max(1, math.ceil(math.sqrt(room * len(at) / aspect) - 1e-9))
    columns = max(1, math.ceil(room * len(at) / rows - 1e-9))
    low, span = at.min(0), np.ptp(at, axis=0)
    scaled = (at - low) / np.where(span > 0, span, 1) * [columns - 1, rows - 1]
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"), -1).reshape(-1, 2)
    cost = ((scaled[:, None] - cells[None]) ** 2).sum(2)
    return np.asarray(cells[linear_sum_assignment(cost)[1]])
