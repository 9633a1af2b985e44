"""Names of concepts, each with where it comes from and how well it fits; on disk beside the bank."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..base import UsageError, counted, printable, write_result
from ._bank import ConceptBank
from ._store import check_format, read_table, reading

JSON, TABLE = "names.json", "names.parquet"
FORMAT = 1

_RUNNER_UP = pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("score", pa.float64())])
NAMES = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("chance", pa.float64()),
        pa.field("p_value", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("images", pa.int32(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("runners_up", pa.list_(_RUNNER_UP), nullable=False),
    ]
)


@dataclass(frozen=True)
class Names:
    """A name for each concept of a bank, or why it has none. Made by `name_concepts`.

    Attributes
    ----------
    table : pyarrow.Table
        A row a concept: concept, key, direction, name (null where none is given), source (where it comes from), score (how well
        it fits exemplars that it was not chosen on, as ``info["score"]`` says), chance (the score of a name that has nothing
        to do with the concept), p_value, q_value (the same corrected for the number of concepts, Benjamini and Hochberg 1995;
        both null where nothing was tested), images (on how many it was scored), reason (why there is no name, else null),
        runners_up (the next best names with their scores).
    info : dict
        What was named by what, as plain JSON values; ``info["by_chance"]`` is the share of random image sets of the same sizes
        that would be named.
    """

    table: pa.Table
    info: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, concept: int) -> str | None:
        """The name of a concept, None where it has none."""
        row = self.of(concept)
        return None if row is None else row["name"]

    @property
    def named(self) -> int:
        """How many concepts have a name."""
        return len(self.table) - int(self.table["name"].null_count)

    def of(self, concept: int) -> dict[str, Any] | None:
        """The row of a concept, None where the table has none."""
        return self._by_number.get(int(concept))

    def of_key(self, key: str) -> dict[str, Any] | None:
        """The row of the concept with a key, None where the table has none."""
        return self._by_key.get(key)

    @cached_property
    def _by_number(self) -> dict[int, dict[str, Any]]:
        return {row["concept"]: row for row in self.table.to_pylist()}

    @cached_property
    def _by_key(self) -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in self._by_number.values()}

    def is_of(self, bank: ConceptBank) -> bool:
        """Whether these are of this very bank: a bank that was made anew has other keys."""
        number = self.table["concept"].to_numpy()
        if len(number) and not 0 <= number.min() <= number.max() < len(bank):
            return False
        return bool(bank.concepts["key"].take(pa.array(number)).to_pylist() == self.table["key"].to_pylist())

    def or_else(self, other: Names) -> Names:
        """These names, and for concepts to which they give none those of `other`.

        Raises
        ------
        UsageError
            The other names are of another bank.
        """
        rows = {row["concept"]: row for row in self.table.to_pylist()}
        for row in other.table.to_pylist():
            mine = rows.setdefault(row["concept"], row)
            if mine["key"] != row["key"]:
                raise UsageError("names can only be filled up with names of the same bank")
            if mine["name"] is None and row["name"] is not None:
                rows[row["concept"]] = row
        merged = [rows[concept] for concept in sorted(rows)]
        return Names(pa.Table.from_pylist(merged, schema=NAMES), {**self.info, "or_else": dict(other.info)})

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write names.parquet and names.json into a folder, such as the bank's own; the JSON last.

        Raises
        ------
        MonosemeError
            The folder cannot be written.
        """
        return write_result(folder, JSON, {"format": FORMAT, **self.info}, {TABLE: self.table})

    def lines(self, most: int = 10) -> list[str]:
        """The best names, and why concepts have none, as text."""
        rows = self.table.to_pylist()
        named = sorted((row for row in rows if row["name"] is not None), key=lambda row: -(row["score"] or 0.0))
        shown = [
            f"concept {row['concept']:>5} of {row['direction']:>5}  {printable(row['name'])}{_fit(row)}, from {row['source']}"
            for row in named[:most]
        ]
        if len(named) > most:
            shown.append(f"and {len(named) - most:,} more")
        nameless = [row["reason"] for row in rows if row["name"] is None]
        if nameless:
            shown.append(
                f"{counted(len(nameless), 'concept')} without a name; the first: {printable(nameless[0], 200)}"
            )
        return shown

    def __repr__(self) -> str:
        return f"<names of {self.named:,} of {counted(len(self), 'concept')}>"


def load_names(folder: str | PathLike[str]) -> Names | None:
    """The names that were saved into a bank's folder, None where there are none.

    Raises
    ------
    MonosemeError
        They are damaged, or were written by another version.
    """
    target = Path(folder)
    if not (target / JSON).is_file():
        return None
    with reading("names file in", target, "name the concepts again with monoseme name"):
        info = json.loads((target / JSON).read_text(encoding="utf-8"))
        check_format(info.pop("format", None), FORMAT, "names", target)
        return Names(read_table(target / TABLE, NAMES), info)


def _fit(row: Mapping[str, Any]) -> str:
    if row["score"] is None:
        return ""
    by_chance = "" if row["chance"] is None else f" (by chance {row['chance']:.2f})"
    return f" {row['score']:.2f}{by_chance}"
