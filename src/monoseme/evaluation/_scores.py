"""Images ranked by vectors: scores come in blocks, once, and everything that looks at scores looks at the same block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank
from ..base import Task
from ._bootstrap import Floats, Ints
from ._dictionary import unit
from ._distances import Means
from ._paper import start_vectors
from ._sets import Sets

TOGETHER = 256
RANDOM_DIRECTIONS = 256
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """The images that are ranked.

    rows : (n,) int64, image numbers, sorted
    embeddings : (n, C) float32, in the bank's frame
    exclude : (D, n) sparse, the images that do not take part for each direction, or None
    """

    rows: Ints
    embeddings: Singles
    exclude: Any = None


@dataclass(frozen=True)
class Way:
    """One way to rank images for each concept.

    vectors : (R, C) float32, or (R,) int64 for neurons, whose scores are columns of the embeddings
    row : (M,) int64, which of them stands for each concept, -1 for none
    moved : other ways whose scores are these times a factor (R,) plus a term (n,): no product is needed for them
    """

    vectors: Singles | Ints
    row: Ints
    moved: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)

    def scores(self, rows: Ints, embeddings: Singles) -> Singles:
        """(len(rows), n) float32."""
        if self.vectors.ndim == 1:
            return np.ascontiguousarray(embeddings[:, self.vectors[rows]].T)
        return np.asarray(self.vectors[rows] @ embeddings.T, dtype=np.float32)


class Look(Protocol):
    """Something that looks at scores."""

    def __call__(self, name: str, concepts: Ints, where: Ints, scores: Singles) -> None:
        """Scores (R, n) by a way of that name; row where[i] is that of concepts[i]."""


def show(ways: Mapping[str, Way], scored: Scored, looks: Sequence[Look], task: Task) -> None:
    """Compute all scores, some concepts at a time, and show them to all that look."""
    if not looks or not len(scored.rows):
        return
    for name, way in ways.items():
        for begin in range(0, len(way.row), TOGETHER):
            concepts = np.arange(begin, min(begin + TOGETHER, len(way.row)))
            concepts = concepts[way.row[concepts] >= 0]
            rows, where = np.unique(way.row[concepts], return_inverse=True)
            scores = way.scores(rows, scored.embeddings)
            for look in looks:
                look(name, concepts, where, scores)
            for other, (factor, term) in way.moved.items():
                moved = scores * factor[rows, None].astype(np.float32) + term.astype(np.float32)
                for look in looks:
                    look(other, concepts, where, moved)
            task.advance(min(begin + TOGETHER, len(way.row)) - begin)


def ways_to_rank(
    bank: ConceptBank, concepts: Sets, means: Means, scored: Scored, random: np.random.Generator
) -> dict[str, Way]:
    """The concept vectors, and what they are compared with: mean and centred vectors, neurons, random directions."""
    if len(bank) == 0:
        return {}
    every = np.arange(len(bank))
    centre = scored.embeddings.mean(0) if len(scored.rows) else np.zeros_like(bank.vectors[0])
    ways = {"concepts": Way(bank.vectors, every)}
    if (detectors := getattr(bank, "detectors", None)) is not None:
        ways["detectors"] = Way(np.asarray(detectors, dtype=np.float32), every)
    plain, centred = means.raw, means.raw - centre
    common = scored.embeddings @ centre
    if _same(plain, bank.vectors) and _same(centred, bank.vectors):
        pass  # the frame is centred already
    elif _same(plain, bank.vectors):
        lengths = np.linalg.norm(plain, axis=1)
        ways["concepts"] = Way(bank.vectors, every, {"centred vectors": (lengths, -common)})
    elif _same(centred, bank.vectors):
        lengths = np.linalg.norm(centred, axis=1)
        ways["concepts"] = Way(bank.vectors, every, {"mean vectors": (lengths, common)})
    else:
        ways |= {"mean vectors": Way(unit(plain), every), "centred vectors": Way(unit(centred), every)}
    used, place = np.unique(concepts.direction, return_inverse=True)
    if bank.starts is not None:
        ways["neurons"] = Way(np.asarray(bank.starts[used]), place)
    elif start_vectors(bank, concepts) is not None:
        ways["neurons"] = Way(bank.directions[used], place)
    some = min(len(bank), RANDOM_DIRECTIONS)
    row = np.full(len(bank), -1)
    row[random.permutation(len(bank))[:some]] = np.arange(some)
    ways["random directions"] = Way(unit(random.standard_normal((some, bank.vectors.shape[1]), dtype=np.float32)), row)
    return ways


def _same(vectors: Singles, units: Singles) -> bool:
    """Whether vectors (M, C) have the directions of unit vectors. The centre of a sample is that of all but for chance."""
    return bool(np.einsum("mc,mc->m", unit(vectors), units).min() > 0.999)
