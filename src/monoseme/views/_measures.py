"""What is measured of a neuron's exemplars: how alike they are, and how they lie to their concepts and to the neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..base import UsageError, did_you_mean, join_words
from ._neuron import NeuronView

Floats = npt.NDArray[np.float64]
Metric = Literal["cosine", "pearson", "euclidean"]
METRICS: tuple[Metric, ...] = ("cosine", "pearson", "euclidean")


def similarities(points: npt.ArrayLike, metric: Metric = "cosine", *, without: int | None = None) -> Floats:
    """How alike each two of K points are.

    Parameters
    ----------
    points : (K, C) array
        Embeddings.
    metric : "cosine", "pearson" or "euclidean"
        Cosine and Pearson's correlation from -1 to 1, or the Euclidean distance in units of the embedding.
    without : int, optional
        A coordinate to leave out: a neuron's exemplars are alike in that neuron by choice.

    Returns
    -------
    (K, K) float64
        0 for cosine and correlation where a point has no length, or no variance.

    Examples
    --------
    >>> similarities([[3, 4], [4, 3], [0, 0]]).round(2).tolist()
    [[1.0, 0.96, 0.0], [0.96, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    x = np.asarray(points, dtype=np.float64)
    if without is not None:
        x = np.delete(x, without, axis=1)
    if metric == "euclidean":
        squares = (x**2).sum(1)
        distances: Floats = np.sqrt(np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0))
        np.fill_diagonal(distances, 0)
        return distances
    if metric not in METRICS:
        raise UsageError(f"no similarity {metric!r}{did_you_mean(metric, METRICS)}; use {join_words(METRICS)}")
    if metric == "pearson":
        x = x - x.mean(1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    floor = 1e-12 * max(float(length.max(initial=0)), 1e-300)
    unit = np.where(length > floor, x / np.maximum(length, floor), 0)
    return np.asarray(np.clip(unit @ unit.T, -1, 1))


@dataclass(frozen=True)
class Distances:
    """Euclidean distances between the exemplars of a neuron, in units of the embedding.

    within : for each concept, of each two of its exemplars
    between : for each two concepts, of each exemplar of the one to each of the other
    """

    within: dict[int, Floats]
    between: dict[tuple[int, int], Floats]


def distances(view: NeuronView) -> Distances:
    """Distances within and between the concepts of a neuron (O'Mahony et al. 2023, figure 4)."""
    matrix = similarities(view.embeddings, "euclidean")
    places = {group.concept: group.places for group in view.groups if group.concept is not None}
    within = {number: matrix[np.ix_(mine, mine)][np.triu_indices(len(mine), 1)] for number, mine in places.items()}
    between = {
        (one, other): matrix[np.ix_(places[one], places[other])].reshape(-1)
        for one in places
        for other in places
        if one < other
    }
    return Distances(within, between)


@dataclass(frozen=True)
class Alignment:
    """How the exemplars of one concept lie to its vector and to the neuron (O'Mahony et al. 2023, figure 5).

    projection, cosine : (n,) on the concept's vector
    projection_start, cosine_start : (n,) on the neuron, or other direction; None for scores
    """

    projection: Floats
    cosine: Floats
    projection_start: Floats | None
    cosine_start: Floats | None


def alignments(view: NeuronView) -> dict[int, Alignment]:
    """Projection and cosine of each concept's exemplars on its vector and on the neuron, by concept."""
    found = {}
    for concept in view.concepts:
        points = view.embeddings[view.concept == concept.number].astype(np.float64)
        length = np.maximum(np.linalg.norm(points, axis=1), 1e-300)
        on_vector = points @ concept.vector.astype(np.float64)
        on_start = None if view.start is None else points @ view.start.astype(np.float64)
        found[concept.number] = Alignment(
            on_vector, on_vector / length, on_start, None if on_start is None else on_start / length
        )
    return found


@dataclass(frozen=True)
class Composition:
    """Which neurons a concept vector is made of.

    neurons, values : the neurons of largest components, and these, largest size first
    share : what part of the vector's squared length they hold together
    """

    neurons: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    share: float


def composition(vector: npt.ArrayLike, count: int = 12) -> Composition:
    """The `count` largest components of a vector (C,).

    >>> made_of = composition([0, -0.6, 0.8, 0], 1)
    >>> made_of.neurons.tolist(), round(made_of.share, 4)
    ([2], 0.64)
    """
    v = np.asarray(vector, dtype=np.float32)
    largest = np.argsort(-np.abs(v), kind="stable")[:count]
    whole = float((v.astype(np.float64) ** 2).sum()) or 1.0
    return Composition(largest, v[largest], float((v[largest].astype(np.float64) ** 2).sum()) / whole)
