"""Distances between the images of a direction, means of its sets: what one reading of the exemplars gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..base import Task
from ._bootstrap import Floats, Ints
from ._sets import Sets

Read = Callable[[Ints], npt.NDArray[np.float32]]
"""Image numbers (n,) -> their embeddings (n, C)."""
WORKING_BYTES = 100_000_000


class Means(NamedTuple):
    """Of M sets: mean embedding and mean of the embeddings scaled to unit length, both (M, C) float32."""

    raw: npt.NDArray[np.float32]
    unit: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """What is kept of the embeddings of D x K images.

    distances : (D, P) float32, Euclidean, of the P = K (K - 1) / 2 pairs in the order of ``numpy.triu_indices(K, 1)``
    means : of each family of sets
    """

    distances: npt.NDArray[np.float32]
    means: Mapping[str, Means]


def read(rows: Ints, families: Mapping[str, Sets], embeddings: Read, task: Task | None = None) -> Reading:
    """Read the embeddings of images (D, K) once, some directions at a time.

    The families part the same images into sets in different ways. Rows of -1 count as zero vectors, and are in no set.
    """
    directions, k = rows.shape
    first = embeddings(np.zeros(1, dtype=np.int64))
    width = first.shape[1]
    distances = np.empty((directions, k * (k - 1) // 2), dtype=np.float32)
    means = {name: Means(*np.zeros((2, len(sets), width), dtype=np.float32)) for name, sets in families.items()}
    together = max(1, WORKING_BYTES // (4 * k * width))
    for begin in range(0, directions, together):
        some = slice(begin, min(begin + together, directions))
        points = embeddings(np.maximum(rows[some], 0).reshape(-1))
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        distances[some] = pair_distances(points.reshape(-1, k, width))
        units = points / np.where(lengths > 0, lengths, 1)
        for name, sets in families.items():
            member = sets.member[some].reshape(-1)
            numbers, shares = _shares(member)
            means[name].raw[numbers] = shares @ points
            means[name].unit[numbers] = shares @ units
        if task is not None:
            task.advance(some.stop - begin)
    return Reading(distances, means)


def _shares(member: Ints) -> tuple[Ints, Any]:
    """The sets that occur, and a sparse matrix (sets, images) that takes their means."""
    chosen = np.flatnonzero(member >= 0)
    numbers, place, sizes = np.unique(member[chosen], return_inverse=True, return_counts=True)
    share = (1 / sizes[place]).astype(np.float32)
    return numbers, sparse.csr_array((share, (place, chosen)), shape=(len(numbers), len(member)))


def pair_distances(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(B, K, C) -> (B, K (K - 1) / 2) Euclidean distances.

    >>> pair_distances(np.array([[[0.0, 0], [3, 4], [0, 0]]], dtype=np.float32)).tolist()
    [[5.0, 0.0, 5.0]]
    """
    about = points - points.mean(1, keepdims=True)
    gram = about @ about.transpose(0, 2, 1)
    squares = np.diagonal(gram, axis1=1, axis2=2)
    one, other = np.triu_indices(points.shape[1], 1)
    squared = squares[:, one] + squares[:, other] - 2 * gram[:, one, other]
    # Below the rounding error of the products two points are the same.
    squared[squared <= 8 * np.finfo(np.float32).eps * (squares[:, one] + squares[:, other])] = 0
    return np.asarray(np.sqrt(squared))


class PairMeans(NamedTuple):
    """Mean distances; NaN where there is no pair.

    within, between : (D,) over pairs of images of one set, and of two sets of the same direction
    own, others : (M,) from images of a set to others of it, and to images of the direction's other sets
    """

    within: Floats
    between: Floats
    own: Floats
    others: Floats


def pair_means(distances: npt.NDArray[np.float32], sets: Sets, *, each_set: bool = True) -> PairMeans:
    """Mean distances within and between the sets of each direction, and of each set if wanted.

    Notes
    -----
    O'Mahony et al. 2023, figure 4; Dreyer et al., PURE, 2024, section 4 (the same in the space of a second encoder). A
    direction's mean runs over its pairs.

    Examples
    --------
    >>> sets = Sets(np.array([[0, 1, 2]]), np.array([[0, 0, 1]]), np.array([0, 0]))
    >>> found = pair_means(np.array([[1.0, 5, 7]], dtype=np.float32), sets)
    >>> found.within.tolist(), found.between.tolist(), found.own.tolist(), found.others.tolist()
    ([1.0], [6.0], [1.0, nan], [6.0, 6.0])
    """
    one, other = np.triu_indices(sets.rows.shape[1], 1)
    own = np.zeros((2, len(sets)))
    others = np.zeros((2, len(sets)))
    within, between = np.zeros((2, 2, len(distances)))
    together = max(1, WORKING_BYTES // (32 * max(len(one), 1)))
    for begin in range(0, len(distances), together):
        some = slice(begin, begin + together)
        a, b = sets.member[some][:, one], sets.member[some][:, other]
        same, apart = (a == b) & (a >= 0), (a != b) & (a >= 0) & (b >= 0)
        here = distances[some]
        within[:, some] = (here * same).sum(1), same.sum(1)
        between[:, some] = (here * apart).sum(1), apart.sum(1)
        for mask, sides, sums in ((same, (a,), own), (apart, (a, b), others)) if each_set else ():
            weights = here[mask].astype(np.float64)
            for side in sides:
                sums[0] += np.bincount(side[mask], weights, minlength=len(sets))
                sums[1] += np.bincount(side[mask], minlength=len(sets))
    with np.errstate(invalid="ignore"):
        return PairMeans(within[0] / within[1], between[0] / between[1], own[0] / own[1], others[0] / others[1])
