"""How alike the images of a set are to an encoder: clarity, polysemanticity, redundancy, monosemanticity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._bootstrap import Floats, Ints
from ._dictionary import nearest_other, unit
from ._distances import WORKING_BYTES, Read

_STARTS, _STEPS, _SEED, _SAMPLES = 10, 300, 123, 10
"""What SemanticLens gives to scikit-learn's k-means, and how many images it takes where a cluster is nearly empty."""


def clarity(unit_means: Floats, sizes: Ints) -> Floats:
    """Mean cosine (M,) of two different images of each set, from the means (M, C) of their unit embeddings.

    The squared length of a mean of n unit vectors is ``1 / n + (1 - 1 / n) x`` the mean cosine of its pairs. NaN for fewer
    than two images.

    Notes
    -----
    Dreyer et al., Mechanistic understanding and validation of large AI models with SemanticLens, Nature Machine Intelligence
    2025; `clarity_score` of their package.

    Examples
    --------
    >>> clarity(np.array([[1.0, 0], [0.5, 0.5]]), np.array([4, 2])).tolist()
    [1.0, 0.0]
    """
    n = sizes.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (np.square(unit_means, dtype=np.float64).sum(1) - 1 / n) * n / (n - 1)
    return np.where(sizes > 1, found, np.nan)


def redundancy(means: npt.NDArray[np.float32]) -> Floats:
    """Cosine (M,) of each set's mean embedding (M, C) with the nearest of the others; NaN where there is no other.

    Notes
    -----
    Dreyer et al., SemanticLens, 2025; the package's `redundancy_score` is the mean of these.

    Examples
    --------
    >>> redundancy(np.array([[1, 0], [2, 0], [0, 3]], dtype=np.float32)).tolist()
    [1.0, 1.0, 0.0]
    """
    return nearest_other(unit(means), np.arange(len(means)))[1]


def polysemanticity(padded: Ints, embeddings: Read) -> Floats:
    """1 - cosine (M,) of the centres of two clusters of each set's images.

    Parameters
    ----------
    padded : (M, S) int64
        Image numbers of each set, -1 after the last.
    embeddings : callable
        Image numbers to embeddings.

    Returns
    -------
    (M,), NaN for fewer than two images.

    Notes
    -----
    Dreyer et al., SemanticLens, 2025; `polysemanticity_score` of their package, whose rule for a cluster of fewer than two
    images is kept: then it is 1 minus the mean cosine of the first ten images with the mean of all.
    """
    sizes = (padded >= 0).sum(1)
    out = np.full(len(padded), np.nan)
    for size in np.unique(sizes[sizes > 1]).tolist():
        alike = np.flatnonzero(sizes == size)
        together = max(1, WORKING_BYTES // (8 * size * (8 * size * _STARTS // 10 + 256)))
        for begin in range(0, len(alike), together):
            some = alike[begin : begin + together]
            points = embeddings(padded[some, :size].reshape(-1)).reshape(len(some), size, -1)
            out[some] = _two_centres(points)
    return out


def _two_centres(points: npt.NDArray[np.float32]) -> Floats:
    """The polysemanticity (B,) of B sets of n points (B, n, C)."""
    import torch

    from ..splitting import kmeans_gram

    sets, n, width = points.shape
    products = (points @ points.transpose(0, 2, 1)).astype(np.float64)
    centred = products - products.mean(1, keepdims=True) - products.mean(2, keepdims=True)
    centred += products.mean((1, 2), keepdims=True)
    labels = kmeans_gram(
        torch.from_numpy(centred), 2, features=width, n_init=_STARTS, max_iter=_STEPS, seed=_SEED
    ).labels.numpy()
    member = np.stack([labels == 0, labels == 1], axis=1).astype(np.float64)
    counts = member.sum(2)
    centres = member @ products @ member.transpose(0, 2, 1) / np.maximum(counts[:, :, None] * counts[:, None], 1)
    ones = np.full((sets, 1, n), 1 / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = centres[:, 0, 1] / np.sqrt(centres[:, 0, 0] * centres[:, 1, 1])
        # The few images beside the mean of all.
        mean_length = (ones @ products @ ones.transpose(0, 2, 1))[:, :, 0]
        lengths = np.diagonal(products, axis1=1, axis2=2)
        beside = (products.mean(1) / np.sqrt(mean_length * lengths))[:, :_SAMPLES].mean(1)
    return np.asarray(1 - np.where(counts.min(1) < 2, beside, cosine))


def monosemanticity(activations: npt.NDArray[np.float32], units: npt.NDArray[np.float32]) -> Floats:
    """Mean cosine of two different images, weighted by the product of their activations scaled to 0 ... 1.

    Parameters
    ----------
    activations : (B, n) float32
        Of n images for each of B units or vectors.
    units : (n, C) float32
        Unit embeddings of the images by another encoder.

    Returns
    -------
    (B,) float64, NaN where all activations are the same or only one is not the least.

    Notes
    -----
    Pach et al., Sparse Autoencoders Learn Monosemantic Features in Vision-Language Models, 2025, section 3.2. With
    activations a and unit embeddings e, the sum over pairs of ``a_i a_j e_i . e_j`` is ``(|sum a_i e_i|^2 - sum a_i^2) / 2``:
    n steps in place of n^2.

    Examples
    --------
    >>> monosemanticity(np.array([[1, 1, 0]], dtype=np.float32), np.eye(2, dtype=np.float32)[[0, 0, 1]]).tolist()
    [1.0]
    """
    if activations.shape[1] == 0:
        return np.full(len(activations), np.nan)
    least, most = activations.min(1, keepdims=True), activations.max(1, keepdims=True)
    scaled = (activations - least) / np.where(most > least, most - least, 1)
    weighted = np.square(scaled @ units, dtype=np.float64).sum(1)
    squares = np.square(scaled)
    own = squares @ np.square(units).sum(1)
    weights = np.square(scaled.sum(1, dtype=np.float64)) - squares.sum(1, dtype=np.float64)
    known = (most > least)[:, 0] & (weights > 1e-6)
    return np.where(known, (weighted - own) / np.where(known, weights, 1), np.nan)
