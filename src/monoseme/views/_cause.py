"""What a concept does to the model, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..banks import ConceptBank
from ..base import printable

if TYPE_CHECKING:
    from ..evaluation import Causal

CLASSES = 3
SENTENCES = {
    "acts": "The model's predictions rest on it",
    "like random": "Predictions move with it, but no more than along random directions of equal variance",
    "does nothing": "Separate in embedding space, but does nothing: predictions do not move without it, nor with more of it",
    "unknown": "Too few images to tell whether predictions rest on it",
}


class Cause(NamedTuple):
    """What the model's predictions do without a concept, and with more of it.

    verdict : "acts", "like random", "does nothing" or "unknown"
    sentence : the same in words, with the classes that go down
    down, up : (class, by how much its mean probability changes), of its own images without it, and of random ones with it
    """

    verdict: str
    sentence: str
    down: list[tuple[str, float]]
    up: list[tuple[str, float]]


def cause_of(causal: Causal | None, bank: ConceptBank, concept: int) -> Cause | None:
    """Of a concept of the bank; None where it was not tried."""
    row = None if causal is None or not causal.is_of(bank) else causal.of(concept)
    if row is None or causal is None or row["verdict"] not in SENTENCES:
        return None
    moves = [each for each in causal.classes.to_pylist() if each["concept"] == concept]
    down, up = (
        [
            (printable(each["name"] or f"class {each['class']}"), each["difference"])
            for each in moves
            if each["change"] == change
        ]
        for change in ("ablated", "steered")
    )
    sentence = SENTENCES[row["verdict"]]
    if row["verdict"] == "acts" and down:
        sentence += "; the classes that lose most without it: " + ", ".join(name for name, _ in down[:CLASSES])
    return Cause(row["verdict"], f"{sentence}.", down, up)
