"""Which concepts of another bank are nearest to one: by their vectors in one space, by what they make of images in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank, Frame

SHUFFLES = 19
"""The largest of so many correlations by chance is passed with a probability of 1 in 20."""


@dataclass(frozen=True)
class Nearby:
    """The concepts of another bank that are nearest to one, nearest first.

    measure : "cosine" of two vectors of one space, or "correlation" of the projections of the same images
    concepts, values : their numbers, and how near they are
    same : the concept of the same members and start (the same key), None where there is none
    chance : the largest correlation with any concept of the bank when the images are shuffled, 19 times; None for cosines
    """

    measure: Literal["cosine", "correlation"]
    concepts: tuple[int, ...]
    values: tuple[float, ...]
    same: int | None
    chance: float | None = None


def one_space(bank: ConceptBank, other: ConceptBank) -> bool:
    """Whether the vectors of two banks can be compared: of one layer and pooling, in one frame."""
    alike = (bank.layer, bank.pooling, bank.vectors.shape[1]) == (other.layer, other.pooling, other.vectors.shape[1])
    return alike and _equal(bank.frame, other.frame)


def one_kind(bank: ConceptBank, other: ConceptBank) -> bool:
    """Whether the vectors of two banks mean the same: the mean of a concept's images, or its difference from all images."""
    kinds = [each.info.get("parameters", {}).get("vector") for each in (bank, other)]
    return bool(kinds[0] == kinds[1])


def nearest_by_vector(bank: ConceptBank, concept: int, other: ConceptBank, count: int) -> Nearby:
    """The concepts of another bank of the same space whose vectors have the greatest cosine with a concept's."""
    found = other.nearest(bank.vectors[concept], count)
    numbers, cosines = found["concept"].to_pylist(), found["cosine"].to_pylist()
    return Nearby("cosine", tuple(numbers), tuple(cosines), _same(bank, concept, other))


def nearest_by_profile(
    bank: ConceptBank,
    concept: int,
    other: ConceptBank,
    mine: npt.NDArray[np.float32],
    theirs: npt.NDArray[np.floating],
    count: int,
    seed: int = 0,
) -> Nearby:
    """The concepts of another bank that make most alike of the same images, from (n,) and (n, M) centred unit profiles."""
    random = np.random.default_rng(seed)
    rows = np.stack([mine, *(random.permutation(mine) for _ in range(SHUFFLES))])
    found = rows @ theirs.astype(np.float32)
    order = np.argsort(-found[0], kind="stable")[:count]
    return Nearby(
        "correlation",
        tuple(order.tolist()),
        tuple(found[0, order].tolist()),
        _same(bank, concept, other),
        float(found[1:].max(initial=0.0)),
    )


def _same(bank: ConceptBank, concept: int, other: ConceptBank) -> int | None:
    keys = other.concepts["key"].to_pylist()
    key = bank.concepts["key"][concept].as_py()
    return keys.index(key) if key in keys else None


def _equal(one: Frame, other: Frame) -> bool:
    pairs = ((one.centre, other.centre), (one.scale, other.scale))
    return all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs
    )
