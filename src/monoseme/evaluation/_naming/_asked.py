"""What those who name are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ...banks import ConceptBank
from ...base import Activations, Reporter, Silent
from ...runs import Run
from .._images import chosen_from
from .._sets import Bools, Ints


class Proposal(NamedTuple):
    """A name for a concept, or why there is none.

    name : None where no name can be proposed
    reason : why not, or why the name should not stand; None where nothing speaks against it
    score : how well it fits the exemplars that it was not chosen on
    chance : the score of a name that has nothing to do with the concept
    p_value : chance that random images would fit so well
    images : on how many images it was scored
    runners_up : the next best names, with their scores
    """

    name: str | None
    reason: str | None = None
    score: float | None = None
    chance: float | None = None
    p_value: float | None = None
    images: int = 0
    runners_up: Sequence[tuple[str, float | None]] = ()


class Namer(Protocol):
    """Proposes a name for each concept that it is asked for.

    source : where its names come from, in a few words
    scored_by : what its scores are
    tests : whether it tells how well a name fits random images
    """

    @property
    def source(self) -> str: ...
    @property
    def scored_by(self) -> str: ...
    @property
    def tests(self) -> bool: ...
    def __call__(self, asked: Asked) -> Sequence[Proposal]: ...


@dataclass(frozen=True)
class Asked:
    """Concepts to be named, the exemplars of each in two halves.

    Every other exemplar, the strongest included, is there to choose a name on; the others are there to score it on. Of what was
    cut from one photograph only the strongest takes part.

    Attributes
    ----------
    bank : ConceptBank
        The bank.
    acts : Activations
        What it was made from.
    run : Run or None
        With pictures, where there is one.
    concepts : tuple of int
        Numbers of the concepts.
    chosen, kept : tuple of (n,) int64
        Images of each concept to choose on, and to score on.
    pool : (N,) bool
        The images that exemplars were chosen from.
    progress : Reporter
        Where to tell progress.
    """

    bank: ConceptBank
    acts: Activations
    run: Run | None
    concepts: tuple[int, ...]
    chosen: tuple[Ints, ...]
    kept: tuple[Ints, ...]
    pool: Bools
    progress: Reporter

    @classmethod
    def of(
        cls,
        bank: ConceptBank,
        acts: Activations,
        run: Run | None,
        concepts: Sequence[int],
        progress: Reporter | None = None,
    ) -> Self:
        """The concepts of these numbers."""
        images = acts.images()
        photograph = np.arange(len(acts)) if images.groups is None else images.groups
        halves = []
        for number in concepts:
            ids = bank[number].image_ids
            first = np.sort(np.unique(photograph[ids], return_index=True)[1])
            halves.append((ids[first][::2], ids[first][1::2]))
        chosen, kept = zip(*halves, strict=True)
        return cls(bank, acts, run, tuple(concepts), chosen, kept, chosen_from(bank, acts), progress or Silent())

    def at_random(self, random: np.random.Generator) -> Self:
        """As many images drawn from the pool in place of each concept's own."""
        pool = np.flatnonzero(self.pool)
        halves = []
        for chosen, kept in zip(self.chosen, self.kept, strict=True):
            drawn = random.choice(pool, min(len(chosen) + len(kept), len(pool)), replace=False)
            halves.append((drawn[: len(chosen)], drawn[len(chosen) :]))
        chosen_ids, kept_ids = zip(*halves, strict=True)
        return replace(self, chosen=chosen_ids, kept=kept_ids, progress=Silent())


def incidence(sets: Sequence[Ints], images: int) -> sparse.csr_array:
    """(M, N) sparse: which images are in each set.

    >>> incidence([np.array([0, 2]), np.array([1])], 3).toarray().astype(int).tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    sizes = [len(each) for each in sets]
    rows: npt.NDArray[np.int64] = np.repeat(np.arange(len(sets)), sizes)
    columns = np.concatenate([*sets, np.empty(0, np.int64)]).astype(np.int64)
    return sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(sets), images))
