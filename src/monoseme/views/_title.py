"""What a concept is called, wherever it is shown: the one place that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy.typing as npt

from ..banks import ConceptBank, Names
from ..base import Labels, printable


class Title(NamedTuple):
    """What a concept is called.

    text : the name
    source : where it is from, such as "labels and hierarchy" or "commonest label"
    detail : the source with what the name is worth, to be read beside it
    """

    text: str
    source: str
    detail: str


@dataclass(frozen=True)
class Titles:
    """What the concepts of a bank are called: their name where they have one, else the commonest label of their exemplars.

    bank : the bank
    labels : of the images
    names : of the concepts, None where they were not named
    """

    bank: ConceptBank
    labels: Labels
    names: Names | None = None

    @classmethod
    def of(cls, bank: ConceptBank, labels: Labels, names: Names | None) -> Titles:
        """With names that are not of this very bank left out: a bank that was made anew has other concepts."""
        return cls(bank, labels, names if names is not None and names.is_of(bank) else None)

    def __call__(self, concept: int, image_ids: npt.ArrayLike | None = None) -> Title | None:
        """What a concept is called; None where it has neither a name nor labels.

        Parameters
        ----------
        concept : int
            Its number.
        image_ids : (n,) int, optional
            Its exemplars, where these are known already.
        """
        row = None if self.names is None else self.names.of(concept)
        if row is not None and row["name"] is not None:
            worth = "" if row["score"] is None else f", score {row['score']:.2f}"
            by_chance = "" if row["chance"] is None else f" ({row['chance']:.2f} by chance)"
            source = printable(row["source"], 80)
            return Title(printable(row["name"], 200), source, f"name from {source}{worth}{by_chance}")
        counts = self.labels.counts(self.bank[concept].image_ids if image_ids is None else image_ids)[:1]
        return Title(counts[0][0], "commonest label", "called by its commonest label") if counts else None

    def nameless(self, concept: int) -> str | None:
        """Why a concept has no name, where it was to be named and is not."""
        row = None if self.names is None else self.names.of(concept)
        return None if row is None else row["reason"]
