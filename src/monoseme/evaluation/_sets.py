"""The sets of images behind the concepts of a bank, and the sets that they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..banks import ConceptBank

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sets:
    """D directions, each with at most K images of which some make up sets.

    rows : (D, K) int64, image numbers; -1 where a direction has fewer
    member : (D, K) int64, the set of each image, -1 for none; no set spans two directions
    direction : (M,) int64, position of the direction of each set

    Examples
    --------
    >>> sets = Sets(np.array([[5, 6, 7, 8]]), np.array([[0, 1, -1, 1]]), np.array([0, 0]))
    >>> sets.sizes.tolist(), sets.unsplit().member.tolist()
    ([1, 2], [[0, 0, -1, 0]])
    """

    rows: Ints
    member: Ints
    direction: Ints

    @classmethod
    def of(cls, bank: ConceptBank) -> Self:
        """The exemplars of a bank and its concepts."""
        order = np.argsort(bank.directions, kind="stable")
        position = order[np.searchsorted(bank.directions[order], bank.exemplars["direction"].to_numpy())]
        counts = np.bincount(position, minlength=len(bank.directions))
        by_direction = np.argsort(position, kind="stable")
        place = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.full((len(counts), int(counts.max(initial=1))), -1, dtype=np.int64)
        member = rows.copy()
        where = position[by_direction], place
        rows[where] = bank.exemplars["image_id"].to_numpy()[by_direction]
        member[where] = bank.exemplars["concept"].fill_null(-1).to_numpy()[by_direction]
        direction = order[np.searchsorted(bank.directions[order], bank.concepts["direction"].to_numpy())]
        return cls(rows, member, np.asarray(direction, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.direction)

    @property
    def sizes(self) -> Ints:
        """(M,) number of images of each set."""
        return np.bincount(self.member[self.member >= 0], minlength=len(self))

    @property
    def split(self) -> Bools:
        """(D,) whether a direction has several sets."""
        several: Bools = np.bincount(self.direction, minlength=len(self.rows)) > 1
        return several

    def unsplit(self) -> Self:
        """All images of a direction that are in any set as one set: the neuron, as it is without splitting."""
        used = np.unique(self.direction)
        number = np.full(len(self.rows), -1, dtype=np.int64)
        number[used] = np.arange(len(used))
        return replace(self, member=np.where(self.member >= 0, number[:, None], -1), direction=used)

    def shuffled(self, random: np.random.Generator) -> Self:
        """The same images of each direction, parted at random into sets of the same sizes."""
        direction, place = np.nonzero(self.member >= 0)
        mixed = np.lexsort((random.random(len(direction)), direction))
        member = self.member.copy()
        member[direction, place] = self.member[direction[mixed], place[mixed]]
        return replace(self, member=member)

    def drawn(self, pool: Ints, random: np.random.Generator) -> Self:
        """Sets of the same sizes of images drawn at random from a pool, all different within a direction."""
        mixed = random.permutation(pool)
        begin = random.integers(0, len(pool), len(self.rows))
        rows = mixed[(begin[:, None] + np.arange(self.rows.shape[1])) % len(pool)]
        return replace(self, rows=np.where(self.rows >= 0, rows, -1))

    def some(self, most: int) -> Self:
        """Evenly chosen directions, at most that many, with their sets."""
        if len(self.rows) <= most:
            return self
        chosen = np.linspace(0, len(self.rows) - 1, most).astype(np.int64)
        kept = np.flatnonzero(np.isin(self.direction, chosen))
        number = np.full(len(self) + 1, -1, dtype=np.int64)  # the last entry is that of -1
        number[kept] = np.arange(len(kept))
        place = np.searchsorted(chosen, self.direction[kept])
        return replace(self, rows=self.rows[chosen], member=number[self.member[chosen]], direction=place)

    def within(self, known: Bools) -> Self:
        """Only those images (N,) that are known; the others are in no set."""
        here = (self.rows >= 0) & known[self.rows]
        return replace(self, rows=np.where(here, self.rows, -1), member=np.where(here, self.member, -1))

    def matrix(self, images: int) -> Any:
        """(M, N) sparse float32, 1 where an image is in a set."""
        chosen = self.member >= 0
        ones = np.ones(int(chosen.sum()), dtype=np.float32)
        return sparse.csr_array((ones, (self.member[chosen], self.rows[chosen])), shape=(len(self), images))

    def padded(self) -> Ints:
        """(M, largest size) image numbers of each set in order, -1 where a set is smaller."""
        chosen = self.member >= 0
        member, rows = self.member[chosen], self.rows[chosen]
        order = np.argsort(member, kind="stable")
        sizes = self.sizes
        out = np.full((len(self), int(sizes.max(initial=0))), -1, dtype=np.int64)
        out[member[order], np.arange(len(member)) - np.repeat(np.cumsum(sizes) - sizes, sizes)] = rows[order]
        return out
