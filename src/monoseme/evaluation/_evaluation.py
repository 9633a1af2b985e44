"""The result of an evaluation: figures, a table of concepts, enriched labels, and how to show and keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..base import MonosemeError, first_line, html, write_result
from ._catalogue import CATALOGUE
from ._figures import FIGURES

JSON, CONCEPTS, ENRICHED = "evaluation.json", "evaluation.parquet", "enriched.parquet"
FORMAT = 1
FEW = 30


@dataclass(frozen=True)
class Evaluation:
    """Figures of a concept bank, each with its baselines and 95 % confidence interval.

    Attributes
    ----------
    figures : pyarrow.Table
        A row for each figure and what it is of: family ("paper", "separation", "judge", "dictionary"), figure, of
        ("concepts", or the name of a baseline such as "neurons", "random sets", "shuffled labels"), value, low and high (its
        95 % confidence interval; null where undefined, as for values that follow from a formula), count (of concepts,
        directions, pairs or images it is a mean over; 0 for formulas), better ("higher", "lower" or null).
    concepts : pyarrow.Table
        A row a concept with its own figures; null where one is undefined.
    enriched : pyarrow.Table
        Labels enriched in concepts at a false discovery rate of 5 %: concept, label, count, expected, p_value, q_value.
    info : dict
        What was evaluated on what, as plain JSON values; ``info["judge"]["independence"]`` says how independent the judge is,
        ``info["notes"]`` what is absent and why.
    """

    figures: pa.Table
    concepts: pa.Table
    enriched: pa.Table
    info: Mapping[str, Any]

    def value(self, figure: str, of: str = "concepts") -> float | None:
        """One figure, None where it is undefined or absent."""
        rows = [row for row in self.figures.to_pylist() if row["figure"] == figure and row["of"] == of]
        return rows[0]["value"] if rows else None

    def to_json(self) -> dict[str, Any]:
        """Figures and facts as plain JSON values."""
        return {**self.info, "figures": self.figures.to_pylist(), "enriched_labels": len(self.enriched)}

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write evaluation.json, evaluation.parquet and enriched.parquet into a folder, such as the bank's own.

        The JSON is written last: where it is, the tables beside it are of the same evaluation.

        Raises
        ------
        MonosemeError
            The folder cannot be written.
        """
        tables = {CONCEPTS: self.concepts, ENRICHED: self.enriched}
        return write_result(folder, JSON, {"format": FORMAT, **self.to_json()}, tables)

    def lines(self) -> list[str]:
        """The figures as text: of the concepts with their interval (and in brackets how many there are, if few), and of each baseline."""
        found = self.by_figure()
        width = max((len(name) for name in found), default=0)
        texts = {name: _text(rows.pop("concepts", None)) for name, rows in found.items()}
        wide = max(map(len, texts.values()), default=0)
        shown, family = [], None
        for name, rows in found.items():
            if CATALOGUE[name].family != family:
                family = CATALOGUE[name].family
                shown += ["", f"{family:<{width}}  {'concepts':<{wide}}  baselines"]
            shown.append(f"{name:<{width}}  {texts[name]:<{wide}}  {_beside(rows)}".rstrip())
        return shown[1:]

    def _repr_html_(self) -> str:
        rows: list[tuple[object, str, str]] = []
        family = None
        for name, found in self.by_figure().items():
            if CATALOGUE[name].family != family:
                family = CATALOGUE[name].family
                rows.append((html.element("b", family), "", ""))
            text = _text(found.pop("concepts", None))
            rows.append((name, text, _beside(found)))
        return html.card(
            f"evaluation of {len(self.concepts):,} concepts", html.table(("", "concepts", "baselines"), rows)
        )

    def by_figure(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The rows of `figures` by figure, then by what they are of."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in self.figures.to_pylist():
            found.setdefault(row["figure"], {})[row["of"]] = row
        return found

    def __repr__(self) -> str:
        families = list(dict.fromkeys(self.figures["family"].to_pylist()))
        return f"<evaluation of {len(self.concepts):,} concepts: {', '.join(families) or 'nothing'}>"


def load_evaluation(folder: str | PathLike[str]) -> Evaluation | None:
    """The evaluation that was saved into a bank's folder, None where there is none.

    Raises
    ------
    MonosemeError
        It is damaged, or was written by a newer version.
    """
    target = Path(folder)
    if not (target / JSON).is_file():
        return None
    try:
        info = json.loads((target / JSON).read_text(encoding="utf-8"))
        if info.pop("format") != FORMAT:
            raise MonosemeError(f"{target / JSON} was written by another version of monoseme; evaluate again")
        info.pop("enriched_labels", None)
        figures = pa.Table.from_pylist(info.pop("figures"), schema=FIGURES)
        if not set(figures["figure"].to_pylist()) <= set(CATALOGUE):
            raise ValueError("it holds a figure that is not known")
        concepts, enriched = (pq.read_table(target / name) for name in (CONCEPTS, ENRICHED))
        return Evaluation(figures, concepts, enriched, info)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise MonosemeError(
            f"the evaluation in {target} is damaged ({first_line(error, 160)}); evaluate again"
        ) from error


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _beside(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The baselines in a line."""
    return ", ".join(f"{of} {_number(row['value'])}" for of, row in rows.items() if row["value"] is not None)


def _text(row: Mapping[str, Any] | None) -> str:
    """Value and interval, and how many it is a mean over where these are few."""
    if row is None or row["value"] is None:
        return "" if row is None else "-"
    interval = "" if row["low"] is None else f"[{_number(row['low'])}, {_number(row['high'])}]"
    few = f" ({row['count']:,})" if 0 < row["count"] < FEW else ""
    return f"{_number(row['value']):<7}{interval}{few}".rstrip()
