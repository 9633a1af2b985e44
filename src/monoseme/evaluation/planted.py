"""Planted polysemantic units: responses mixed from the class directions of labelled embeddings, so that the truth is known.

A source is a class: its direction is the mean embedding of the class minus that of the data set, its score the standardised
projection on that. A unit mixes the scores of a few sources, and each image that makes it fire has the source that did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from ..base import UsageError, did_you_mean
from ._grading import Grades, Partition, grade, grade_partition, true_source
from ._naming._graded import NameGrades, grade_names
from ._superposition import Superposition, toy_superposition

__all__ = [
    "Grades",
    "Mixing",
    "NameGrades",
    "Partition",
    "Planted",
    "Sources",
    "Superposition",
    "grade",
    "grade_names",
    "grade_partition",
    "plant",
    "toy_superposition",
    "true_source",
]

Mixing = Literal["max", "sum", "rotated"]


@dataclass(frozen=True)
class Sources:
    """Classes of labelled embeddings as sources to plant units from.

    Attributes
    ----------
    embeddings : (N, C) float32
    labels : (N,) int64
        Class of each image, a place in `names`.
    names : tuple of str
        (S,) the classes, sorted as their labels are.
    directions : (S, C) float32
        Class mean minus the data set's mean, unit rows.
    scores : (N, S) float32
        Projection of each image on each direction, standardised over the data set.
    """

    embeddings: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    directions: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    @classmethod
    def of(cls, embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> Self:
        """From embeddings (N, C) and a label for each image.

        Raises
        ------
        UsageError
            Shapes that do not fit, fewer than two classes, or a class whose mean is that of the data set.

        Examples
        --------
        >>> sources = Sources.of([[1.0, 0], [1, 0], [0, 1], [0, 1]], ["owl", "owl", "cup", "cup"])
        >>> sources.names, np.sign(sources.scores).astype(int).tolist()
        (('cup', 'owl'), [[-1, 1], [-1, 1], [1, -1], [1, -1]])
        """
        points = np.asarray(embeddings, dtype=np.float32)
        names, classes = np.unique(np.asarray(labels), return_inverse=True)
        if points.ndim != 2 or classes.shape != points.shape[:1]:
            raise UsageError(
                f"embeddings must be images x neurons with a label for each image, not of shapes {points.shape} and "
                f"{classes.shape}"
            )
        if len(names) < 2:
            raise UsageError("sources are classes that differ from the data set; give labels of at least two classes")
        centred = points - points.mean(0, dtype=np.float64)
        share = (classes == np.arange(len(names))[:, None]) / np.bincount(classes)[:, None]
        means = share @ centred
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        projected = centred @ (means / np.where(lengths > 0, lengths, 1)).T
        spread = projected.std(0)
        if not (spread > 0).all():
            raise UsageError(f"the class {names[spread == 0][0]} has the data set's mean embedding; leave it out")
        scores = projected / spread  # their mean is zero, for the embeddings are centred
        directions = (means / lengths).astype(np.float32)
        return cls(points, classes.astype(np.int64), tuple(map(str, names)), directions, scores.astype(np.float32))

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(S,) images of each class."""
        return np.bincount(self.labels, minlength=len(self.names))

    def half(self, which: Literal["development", "report"], at_least: int = 1) -> npt.NDArray[np.int64]:
        """The classes of even number, to develop on, or those of odd number, to report on; of at least so many images."""
        classes = np.arange(len(self.names))
        return np.flatnonzero((classes % 2 == (which == "report")) & (self.sizes >= at_least))


@dataclass(frozen=True)
class Planted:
    """U planted units.

    Attributes
    ----------
    sources : Sources
        What they are planted from.
    chosen : (U, m) int64
        Classes of each unit, -1 where it has fewer than the others.
    shares : (U, m) float32
        What the score of each class is multiplied by before it is mixed.
    scores : (N, U) float32
        Response of each unit to each image; an image that the unit does not see lies 1 below all others.
    seen : (N, U) bool
        Which images a unit sees.
    top : int
        K, the number of exemplars that the units are made for.

    """

    sources: Sources
    chosen: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    seen: npt.NDArray[np.bool_]
    top: int

    @property
    def m(self) -> npt.NDArray[np.int64]:
        """(U,) number of sources."""
        return np.asarray((self.chosen >= 0).sum(1))

    def truth(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Which source made each image fire: (U, K) places in the rows of `chosen`, for images (U, K) of each unit."""
        score = self.sources.scores[rows[:, :, None], self.chosen[:, None]] * self.shares[:, None]
        return np.asarray(np.where(self.chosen[:, None] >= 0, score, -np.inf).argmax(2))


def plant(
    sources: Sources,
    units: int,
    m: int | Sequence[int] = (1, 2, 3, 4, 5, 6),
    mixing: Mixing = "max",
    *,
    top: int = 50,
    classes: npt.ArrayLike | None = None,
    weakest: float = 1.0,
    nearest: int | None = None,
    left_out: float = 0.3,
    seed: int = 0,
) -> Planted:
    """Plant units with known sources.

    Parameters
    ----------
    sources : Sources
        Classes of labelled embeddings.
    units : int
        U.
    m : int or sequence of int
        Number of sources; the units take those given in turn.
    mixing : "max", "sum" or "rotated"
        A unit responds with the largest of its sources' scores, with their sum, or with a sum by signed shares: a row of a
        random rotation of its m class directions, turned to the side on which its greatest share is positive. A class with
        a negative share holds the unit back.
    top : int
        K, the exemplars that will be asked for: at most half the images of the rarest class, or else a unit of one class
        is made to fire for others.
    classes : (S',) int, optional
        Which classes sources are drawn from; all by default.
    weakest : float
        Shares are drawn evenly from here to 1; 1 makes them equal. Not for "rotated", which has its own.
    nearest : int, optional
        Draw all sources but the first among that many classes of greatest cosine with the first, so that they overlap.
    left_out : float
        Share of the images of other classes that each unit does not see, drawn for each unit anew.
    seed : int
        For everything random.

    Raises
    ------
    UsageError
        K is more than half the images of the rarest class, more sources than classes, or numbers that cannot be meant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(200) % 4
    >>> sources = Sources.of(5 * np.eye(4)[labels] + rng.normal(size=(200, 4)), labels)
    >>> units = plant(sources, 3, m=2, top=20)
    >>> rows = np.argsort(-units.scores, axis=0)[:20].T
    >>> units.chosen[0].tolist(), np.bincount(units.truth(rows)[0]).tolist()
    ([2, 3], [9, 11])
    """
    drawn_from = np.arange(len(sources.names)) if classes is None else np.unique(np.asarray(classes, dtype=np.int64))
    wanted = np.resize(np.atleast_1d(m), units)
    _check(sources, drawn_from, wanted, mixing, top, weakest, nearest, left_out)
    random = np.random.default_rng(seed)
    count, widest = len(sources.labels), int(wanted.max())
    chosen = np.full((units, widest), -1)
    shares = np.zeros((units, widest), dtype=np.float32)
    scores = np.empty((count, units), dtype=np.float32)
    seen = np.empty((count, units), dtype=np.bool_)
    for unit, size in enumerate(wanted.tolist()):
        mine = _draw(sources, drawn_from, size, nearest, random)
        share = _rotated(size, random) if mixing == "rotated" else random.uniform(weakest, 1, size).astype(np.float32)
        parts = sources.scores[:, mine] * share
        response = parts.max(1) if mixing == "max" else parts.sum(1)
        seen[:, unit] = np.isin(sources.labels, mine) | (random.random(count) >= left_out)
        scores[:, unit] = np.where(seen[:, unit], response, response.min() - 1)
        chosen[unit, :size], shares[unit, :size] = mine, share
    return Planted(sources, chosen, shares, scores, seen, top)


def _draw(
    sources: Sources, classes: npt.NDArray[np.int64], size: int, nearest: int | None, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    if nearest is None:
        return random.choice(classes, size, replace=False)
    first = random.choice(classes)
    others = classes[classes != first]
    cosine = sources.directions[others] @ sources.directions[first]
    near = others[np.argsort(-cosine, kind="stable")[:nearest]]
    return np.concatenate([[first], random.choice(near, size - 1, replace=False)])


def _rotated(size: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """A row of a random rotation, which is a direction drawn evenly from the sphere."""
    row = random.normal(size=size)
    row *= np.sign(row[np.abs(row).argmax()]) / np.linalg.norm(row)
    return row.astype(np.float32)


def _check(
    sources: Sources,
    classes: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    mixing: str,
    top: int,
    weakest: float,
    nearest: int | None,
    left_out: float,
) -> None:
    known: list[Any] = list(get_args(Mixing))
    if mixing not in known:
        raise UsageError(f"there is no mixing {mixing!r}{did_you_mean(mixing, known)}; use max, sum or rotated")
    if len(wanted) == 0 or wanted.dtype.kind not in "iu" or wanted.min() < 1:
        raise UsageError("plant at least one unit, each of at least one source")
    if len(classes) == 0 or classes[0] < 0 or classes[-1] >= len(sources.names):
        raise UsageError(f"classes to draw from are numbers from 0 to {len(sources.names) - 1}")
    at_hand = len(classes) if nearest is None else min(len(classes), nearest + 1)
    if wanted.max() > at_hand:
        raise UsageError(f"a unit of {wanted.max()} sources cannot be drawn from {at_hand} classes")
    rarest = int(sources.sizes[classes].min())
    if not 1 <= 2 * top <= rarest:
        raise UsageError(
            f"{top} exemplars are not from 1 to half the {rarest} images of the rarest class; ask for at most {rarest // 2}"
        )
    if not (0 <= left_out < 1 and 0 < weakest <= 1):
        raise UsageError("the share left out must be from 0 up to below 1, the weakest share above 0 and at most 1")
