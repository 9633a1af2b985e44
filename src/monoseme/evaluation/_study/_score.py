"""What the answers say: how often people were right, beside chance and the baselines, and how far they agree."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...base import counted, html
from .._bootstrap import Interval
from ._answers import Answer
from ._questions import Question
from ._statistics import Given, agreement, agreement_interval, alpha, crossed, crossed_difference

if TYPE_CHECKING:
    from ._study import Study

ANSWERS = pa.schema(
    [
        pa.field("person", pa.int32(), nullable=False),
        pa.field("question", pa.int32(), nullable=False),
        pa.field("test", pa.string(), nullable=False),
        pa.field("of", pa.string(), nullable=False),
        pa.field("against", pa.string()),
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("concept", pa.int32()),
        pa.field("key", pa.string()),
        pa.field("images", pa.list_(pa.int64()), nullable=False),
        pa.field("chosen", pa.string()),
        pa.field("word", pa.string()),
        pa.field("right", pa.bool_()),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("at", pa.timestamp("s", "UTC"), nullable=False),
    ]
)
FIGURES = pa.schema(
    [
        pa.field("test", pa.string(), nullable=False),
        pa.field("against", pa.string()),
        pa.field("of", pa.string(), nullable=False),
        *(pa.field(name, pa.float64()) for name in ("value", "low", "high", "chance")),
        *(pa.field(name, pa.float64()) for name in ("more", "more_low", "more_high", "alpha", "seconds")),
        *(pa.field(name, pa.int32(), nullable=False) for name in ("questions", "people", "answers", "unsure")),
    ]
)
NAMES = {"intruder": "intruder of {} found", "label": "label chosen", "word": "two people say the same word"}


@dataclass(frozen=True)
class StudyScore:
    """What people said of a bank's concepts.

    Attributes
    ----------
    figures : pyarrow.Table
        A row for each kind of question and what it is of: test, against (where intruders are from), of ("concepts", or the
        name of a baseline), value (share of answers that are right, "cannot tell" being wrong; for words the share of pairs of
        people who say the same), low and high (its 95 % interval for other people and other questions), chance (what guessing
        gives; for words the share of pairs of answers that are the same whatever they are of), more (than the baseline, with
        more_low and more_high), alpha (Krippendorff's, of the choices), seconds (median of an answer), questions, people,
        answers, unsure (how many could not tell).
    people : int
        How many have begun.
    finished : int
        How many have answered everything.
    """

    figures: pa.Table
    people: int
    finished: int

    def value(self, test: str, of: str = "concepts", against: str | None = None) -> float | None:
        """One figure, None where nobody has answered."""
        for row in self.figures.to_pylist():
            if (row["test"], row["of"]) == (test, of) and against in (None, row["against"]):
                value: float | None = row["value"]
                return value
        return None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"people": self.people, "finished": self.finished, "figures": self.figures.to_pylist()}

    def rows(self) -> list[tuple[str, ...]]:
        """The figures as text to be shown, a heading first."""
        heads = ("question", "of", "right", "chance", "more than the baseline", "agreement", "seconds", "answers")
        shown: list[tuple[str, ...]] = [heads]
        for row in self.figures.to_pylist():
            place = f"the {row['against']}" if row["against"] == "same neuron" else row["against"]
            shown.append(
                (
                    NAMES[row["test"]].format(place),
                    row["of"],
                    _spread(row["value"], row["low"], row["high"]),
                    _number(row["chance"]),
                    _spread(row["more"], row["more_low"], row["more_high"]),
                    _number(row["alpha"]),
                    _number(row["seconds"]),
                    f"{row['answers']:,} to {counted(row['questions'], 'question')}, {row['unsure']:,} unsure",
                )
            )
        return shown

    def lines(self) -> list[str]:
        """The figures as text, a line each."""
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return [f"{self.people:,} began, {self.finished:,} finished", "", *table]

    def _repr_html_(self) -> str:
        heads, *rows = self.rows()
        return html.card(self.lines()[0], html.table(heads, rows))

    def __repr__(self) -> str:
        return f"<study: {self.lines()[0]}>"


def answers_table(study: Study) -> pa.Table:
    """Every answer beside its question."""
    rows = []
    for given in _sound(study):
        asked = study.questions[given.question]
        rows.append(
            {
                "person": given.person,
                "question": given.question,
                **{name: getattr(asked, name) for name in ("test", "of", "against", "direction", "concept", "key")},
                "images": asked.images,
                "chosen": _chosen(asked, given),
                "word": given.word,
                "right": None if asked.answer is None else given.choice == asked.answer,
                "seconds": given.seconds,
                "at": given.at,
            }
        )
    return pa.Table.from_pylist(rows, schema=ANSWERS)


def csv_of(table: pa.Table) -> bytes:
    """A table as CSV (UTF-8). A text that a spreadsheet would take for a formula has an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return file.getvalue().encode("utf-8", "replace")


def score_of(study: Study, same: Mapping[str, str]) -> StudyScore:
    """The figures of a study."""
    meanings = {_plain(word): _plain(other) for word, other in same.items()}
    answers = _sound(study)
    kinds: dict[tuple[str, str | None], dict[str, list[Answer]]] = {}
    for asked in study.questions:
        kinds.setdefault((asked.test, asked.against), {}).setdefault(asked.of, [])
    for given in answers:
        asked = study.questions[given.question]
        kinds[asked.test, asked.against][asked.of].append(given)
    rows = []
    for (test, against), by_set in kinds.items():
        baseline = next((mine for of, mine in by_set.items() if of != "concepts"), [])
        for of, mine in by_set.items():
            row = _word_row(mine, meanings) if test == "word" else _choice_row(study, mine)
            if of == "concepts" and test != "word":
                row |= _named("more", crossed_difference(_right(study, mine), _right(study, baseline)))
            seconds = float(np.median([each.seconds for each in mine])) if mine else None
            rows.append(
                {
                    "test": test,
                    "against": against,
                    "of": of,
                    **{
                        name: None if isinstance(value, float) and math.isnan(value) else value
                        for name, value in row.items()
                    },
                    "seconds": seconds,
                    "questions": len({each.question for each in mine}),
                    "people": len({each.person for each in mine}),
                    "answers": len(mine),
                    "unsure": sum(each.choice is None and each.word is None for each in mine),
                }
            )
    by_person = groupby(sorted(each.person for each in answers))
    finished = sum(len(list(mine)) == len(study.questions) for _, mine in by_person)
    return StudyScore(pa.Table.from_pylist(rows, schema=FIGURES), study.given.people(), finished)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _spread(value: float | None, low: float | None, high: float | None) -> str:
    return _number(value) + ("" if low is None else f" [{_number(low)}, {_number(high)}]")


def _sound(study: Study) -> list[Answer]:
    """The answers that fit their questions; a file that was changed by hand could hold others."""
    return [
        each
        for each in study.given.all()
        if each.question < len(study.questions)
        and (each.choice or 0) <= max(study.questions[each.question].choices - 1, 0)
    ]


def _choice_row(study: Study, answers: Sequence[Answer]) -> dict[str, Any]:
    sure = [each for each in answers if each.choice is not None]
    unit = np.array([each.question for each in sure], dtype=np.int64)
    chance = [1 / study.questions[each.question].choices for each in answers]
    return {
        **_named("", crossed(_right(study, answers))),
        "chance": float(np.mean(chance)) if chance else None,
        "alpha": alpha(unit, [each.choice for each in sure]),
    }


def _word_row(answers: Sequence[Answer], meanings: Mapping[str, str]) -> dict[str, Any]:
    said = [(each.question, _plain(each.word)) for each in answers if each.word is not None]
    unit = np.array([question for question, _ in said], dtype=np.int64)
    words = [meanings.get(word, word) for _, word in said]
    _, expected = agreement(unit, words)
    return {**_named("", agreement_interval(unit, words)), "chance": expected, "alpha": alpha(unit, words)}


def _right(study: Study, answers: Sequence[Answer]) -> Given:
    return Given(
        np.array([float(each.choice == study.questions[each.question].answer) for each in answers]),
        np.array([each.person for each in answers], dtype=np.int64),
        np.array([each.question for each in answers], dtype=np.int64),
    )


def _named(name: str, interval: Interval) -> dict[str, float]:
    first, *limits = interval
    prefix = f"{name}_" if name else ""
    return {name or "value": first, **dict(zip((f"{prefix}low", f"{prefix}high"), limits, strict=True))}


def _chosen(asked: Question, given: Answer) -> str | None:
    if given.choice is None or asked.choices == 0:
        return None
    return str(asked.images[given.choice]) if asked.test == "intruder" else asked.options[given.choice]


def _plain(word: str) -> str:
    """A word as it is compared."""
    return " ".join(unicodedata.normalize("NFKC", word).casefold().split())


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r", "'") else text
