"""How many names of planted units are right."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...banks import Names


@dataclass(frozen=True)
class NameGrades:
    """What names are worth where the truth is known.

    named : share of the concepts that have a name
    right : share of the named concepts whose name is that of their source
    found : share of all concepts that have the right name
    by_chance : share of random image sets that got a name, None where that was not tried
    """

    named: float
    right: float
    found: float
    by_chance: float | None


def grade_names(names: Names, truth: Sequence[str | Collection[str]]) -> NameGrades:
    """Compare names with what each of M concepts is called: the name of its source, or several that are right.

    Examples
    --------
    >>> from monoseme.banks import NAMES
    >>> import pyarrow as pa
    >>> row = {"key": "", "direction": 0, "source": "", "images": 9, "runners_up": []}
    >>> rows = [{**row, "concept": number, "name": name} for number, name in enumerate(["owl", "cup", None])]
    >>> grade_names(Names(pa.Table.from_pylist(rows, schema=NAMES)), ["owl", "owl", "owl"]).right
    0.5
    """
    given = names.table["name"].to_pylist()
    answers = [{each} if isinstance(each, str) else set(each) for each in truth]
    numbers = names.table["concept"].to_pylist()
    right = sum(name in answers[number] for number, name in zip(numbers, given, strict=True))
    count = max(len(given), 1)
    return NameGrades(
        named=names.named / count,
        right=right / names.named if names.named else float("nan"),
        found=right / count,
        by_chance=names.info.get("by_chance"),
    )
