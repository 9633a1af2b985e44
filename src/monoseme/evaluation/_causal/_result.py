"""The result of a causal evaluation: a verdict on each concept, all effects, the classes; on disk beside the evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...banks import ConceptBank
from ...base import MonosemeError, first_line, write_result

JSON, CONCEPTS, EFFECTS, CLASSES = "causal.json", "causal.parquet", "causal_effects.parquet", "causal_classes.parquet"
FORMAT = 1

NEGLIGIBLE = 0.01
"""A share of the predicted probability below which nothing is said to have happened."""

VERDICTS = {
    "acts": "taking it out of its own images or adding it to random ones moves at least 1 % of the predicted probability, and "
    "more than random directions of equal variance do (the 95 % interval of the difference lies above 0)",
    "like random": "predictions move, but not shown to move more than along random directions of equal variance",
    "does nothing": "taking it out of its own images and adding it to random ones moves less than 1 % of the predicted "
    "probability (the upper ends of both 95 % intervals)",
    "unknown": "fewer than two images to tell from",
}

_INTERVAL = [pa.field(name, pa.float64()) for name in ("moved", "low", "high")]
EFFECT_FIELDS = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("change", "of", "on")),
        *_INTERVAL,
        pa.field("flipped", pa.float64()),
        pa.field("dropped", pa.float64()),
        pa.field("images", pa.int32(), nullable=False),
    ]
)
CLASS_FIELDS = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("change", pa.string(), nullable=False),
        pa.field("class", pa.int32(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("difference", pa.float64(), nullable=False),
        pa.field("images", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Causal:
    """What a model's predictions lose without each concept, and gain with more of it. Made by `causal`.

    Attributes
    ----------
    concepts : pyarrow.Table
        A row for each concept that was tried: concept, key, direction, verdict (one of "acts", "like random", "does nothing",
        "unknown"), amount (steered by), then for "ablated" (on its own images) and "steered" (on random images): the share of
        the predicted probability that moved, its 95 % interval (_low, _high), by how much that exceeds random directions of
        equal variance (_excess, with _excess_low and _excess_high), and the share of images with another prediction
        (_flipped).
    effects : pyarrow.Table
        A row for each concept, change ("ablated", "steered"), what is changed (of: "concept", "neuron", "random directions",
        "equal variance") and images (on: "own", "siblings", "random"): moved with its interval, flipped, dropped (by how much
        the log-probability of the class predicted before fell), images.
    classes : pyarrow.Table
        The classes that move most: for "ablated" those that go down on its own images, for "steered" those that go up on
        random images: difference (of the mean probability), images (share of the images in which it went that way).
    info : dict
        What was evaluated on what, the rule of the verdicts included, as plain JSON values.
    """

    concepts: pa.Table
    effects: pa.Table
    classes: pa.Table
    info: Mapping[str, Any]

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write causal.json and three Parquet files into a folder, such as the bank's own; the JSON last.

        Raises
        ------
        MonosemeError
            The folder cannot be written.
        """
        tables = {CONCEPTS: self.concepts, EFFECTS: self.effects, CLASSES: self.classes}
        return write_result(folder, JSON, {"format": FORMAT, **self.info}, tables)

    def is_of(self, bank: ConceptBank) -> bool:
        """Whether it is of this very bank: a bank that was made anew has other keys."""
        number = self.concepts["concept"].to_numpy()
        if len(number) and number.max() >= len(bank):
            return False
        return bool(bank.concepts["key"].take(pa.array(number)).to_pylist() == self.concepts["key"].to_pylist())

    def of(self, concept: int) -> Mapping[str, Any] | None:
        """The row of one concept, None where it was not tried."""
        rows = self.concepts.filter(pc.equal(self.concepts["concept"], concept)).to_pylist()
        return rows[0] if rows else None

    def lines(self) -> list[str]:
        """The verdicts and the concepts that act most, as text."""
        counts = {verdict: self.concepts["verdict"].to_pylist().count(verdict) for verdict in VERDICTS}
        shown = [f"{count:>6,}  {verdict}" for verdict, count in counts.items() if count]
        rows = sorted(self.concepts.to_pylist(), key=lambda row: -(row["ablated"] or 0.0))
        for row in rows[:10]:
            shown.append(
                f"concept {row['concept']:>5} of {row['direction']:>5}  moved {row['ablated'] or 0:.3f} when ablated, "
                f"{row['steered'] or 0:.3f} when steered by {row['amount']:.3g}: {row['verdict']}"
            )
        return shown

    def __repr__(self) -> str:
        acting = self.concepts["verdict"].to_pylist().count("acts")
        return f"<causal evidence for {len(self.concepts):,} concepts, of which {acting:,} act>"


def load_causal(folder: str | PathLike[str]) -> Causal | None:
    """The causal evidence that was saved into a bank's folder, None where there is none.

    Raises
    ------
    MonosemeError
        It is damaged, or was written by another version.
    """
    target = Path(folder)
    if not (target / JSON).is_file():
        return None
    try:
        info = json.loads((target / JSON).read_text(encoding="utf-8"))
        if info.pop("format") != FORMAT:
            raise MonosemeError(
                f"{target / JSON} was written by another version of monoseme; run the causal evaluation again"
            )
        concepts, effects, classes = (pq.read_table(target / name) for name in (CONCEPTS, EFFECTS, CLASSES))
        known = {"concept", "key", "direction", "verdict", "ablated", "steered", "amount"}
        if not known <= set(concepts.column_names):
            raise ValueError("columns are missing")
        return Causal(concepts, effects.cast(EFFECT_FIELDS), classes.cast(CLASS_FIELDS), info)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise MonosemeError(
            f"the causal evidence in {target} is damaged ({first_line(error, 160)}); run the causal evaluation again"
        ) from error
