"""What the table of a layer shows, column by column, and what people say of the concepts in it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..banks import NAME
from ..base import printable
from ..views import Titles
from ._opened import OpenedBank

Said = tuple[str, str, list[str], bool]
STRIP = 5
"""Thumbnails of each concept in the table."""
LABEL = 60
"""Letters of a label that the table shows."""
COLUMNS = (
    ("direction", "", ""),
    ("concepts", "concepts", "how many concepts it has"),
    ("kept", "kept", "exemplars that are in a concept"),
    ("p_value", "p", "chance that one thing would be divided so clearly"),
    ("q_value", "q", "the same, corrected for all directions"),
    ("separation", "separation", "Ward distance of the nearest two concepts"),
    ("stability", "stability", "of the least stable concept, 1 is best"),
)


def known(bank: OpenedBank, column: str) -> bool:
    """Whether a column says anything."""
    values = bank.view.directions[column]
    return bool(values.null_count < len(values))


@lru_cache(4)
def columns(bank: OpenedBank) -> dict[str, list[Any]]:
    """The table column by column; groups holds for each direction (concept, size, label, image_ids) of its concepts."""
    table = bank.view.directions
    made: dict[str, list[Any]] = {name: [_plain(value) for value in table[name].to_pylist()] for name, _, _ in COLUMNS}
    made["groups"] = _groups(bank, table["direction"].to_numpy(), table["labels"].to_pylist())
    return made


def _groups(
    bank: OpenedBank, numbers: np.ndarray, labels: list[list[str]]
) -> list[list[tuple[int, int, str, list[int]]]]:
    concepts, exemplars = bank.bank.concepts, bank.bank.exemplars
    owner = exemplars["concept"].fill_null(-1).to_numpy()
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(bank.bank) + 1)).tolist()
    ids = exemplars["image_id"].to_numpy()[order].tolist()
    rows: list[list[tuple[int, int, str, list[int]]]] = [[] for _ in numbers]
    places = np.searchsorted(numbers, concepts["direction"].to_numpy()).tolist()
    for concept, (place, size) in enumerate(zip(places, concepts["size"].to_pylist(), strict=True)):
        label = printable(labels[place][len(rows[place])], LABEL)
        first = bounds[concept]
        rows[place].append((concept, size, label, ids[first : min(first + STRIP, bounds[concept + 1])]))
    return rows


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def said(bank: OpenedBank, titles: Titles) -> dict[int, Said]:
    """Of the concepts that are named or of which something is said: (name, who gives it, tags, whether it is rejected)."""
    found: dict[int, Said] = {}
    for concept, key in enumerate(bank.bank.concepts["key"].to_pylist()):
        name, said = titles.of(key), titles.said(key)
        if name.text or said is not None:
            tags, rejected = ([], False) if said is None else (list(said.tags), said.rejected)
            found[concept] = (printable(name.text, NAME), name.by, tags, rejected)
    return found


def tags(bank: OpenedBank, titles: Titles) -> list[str]:
    """All tags of the bank's concepts."""
    return sorted(
        {tag for each in titles.annotations.of(bank.bank.concepts["key"].to_pylist()).values() for tag in each.tags}
    )
