"""Pieces that pages of a layer have in common, as safe HTML: what was looked at and how, and the figures of an evaluation."""

from __future__ import annotations

import math

from ..banks import NOTE, Annotation
from ..base import MonosemeError, counted
from ..base.html import Html, element, joined, text
from ..evaluation import CATALOGUE, Evaluation
from ..runs import Run
from ._layer import LayerView


def facts(layer: LayerView, run: Run) -> Html:
    """What was looked at, with what, and how."""
    bank, manifest = layer.bank, run.manifest
    parameters = bank.info.get("parameters", {})
    named = {key: value for key, value in parameters.items() if value not in (None, [], 0) and key != "directions"}
    size = " x ".join(map(str, manifest.model.get("input_size") or []))
    rows = {
        "model": f"{manifest.model.get('spec')}" + (f", input {size}" if size else ""),
        "weights": manifest.model.get("weights_digest"),
        "layer": f"{bank.layer}, {bank.info['activations']['neurons']:,} neurons",
        "images": f"{len(run):,}" + (f" from {last_part(source)}" if (source := manifest.images["source"]) else ""),
        "method": f"{bank.info.get('method')} ({', '.join(f'{key} {_short(value)}' for key, value in named.items())})",
        "concepts": f"{len(bank):,} from {counted(len(layer.directions), layer.kind)}",
        "more than one": _sure(layer),
        "stability": _stability(layer),
    }
    lines = [
        joined([element("dt", key), element("dd", value)]) for key, value in rows.items() if value not in (None, "")
    ]
    return element("dl", *lines, class_="facts")


def figures(evaluation: Evaluation | None) -> Html:
    """The figures of an evaluation with their intervals and baselines."""
    if evaluation is None or not len(evaluation.figures):
        return Html()
    body = []
    for name, rows in evaluation.by_figure().items():
        own = rows.pop("concepts", None)
        beside = ", ".join(f"{of} {number(row['value'])}" for of, row in rows.items() if row["value"] is not None)
        value = "" if own is None else number(own["value"])
        interval = "" if own is None or own["low"] is None else f"[{number(own['low'])}, {number(own['high'])}]"
        body.append(
            element(
                "tr",
                element("th", name, scope="row", title=CATALOGUE[name].meaning),
                element("td", value, class_="number"),
                element("td", interval, class_="number"),
                element("td", beside),
            )
        )
    head = element(
        "tr", *(element("th", each, scope="col") for each in ("figure", "concepts", "95 % interval", "baselines"))
    )
    table = element("table", element("thead", head), element("tbody", *body), class_="figures")
    return element("details", element("summary", "Figures of the whole bank, each with its baselines"), table)


def marks(said: Annotation | None) -> Html:
    """The tags that people gave a concept, and whether they reject it."""
    if said is None:
        return Html()
    chips = [element("span", "rejected", class_="tag rejected")] if said.rejected else []
    chips += [element("span", tag, class_="tag") for tag in said.tags]
    return joined([" ", element("span", *(joined([chip, " "]) for chip in chips), class_="tags")]) if chips else Html()


def note(said: Annotation | None) -> Html:
    """What people noted of a concept, line by line."""
    if said is None or not said.note:
        return Html()
    rows = [
        joined([element("br") if place else Html(), text(row, NOTE)]) for place, row in enumerate(said.note.split("\n"))
    ]
    return element("p", *rows, class_="note")


def _sure(layer: LayerView) -> str | None:
    try:
        sure = len(layer.bank.polysemantic())
    except MonosemeError:
        return None
    return f"{sure:,} {layer.kind}s at a false discovery rate of 5 %"


def _stability(layer: LayerView) -> str | None:
    column = layer.bank.concepts["stability"]
    if column.null_count or not len(column):
        return None
    values = sorted(column.to_pylist())
    return f"median {values[len(values) // 2]:.2f} over resampled images (Jaccard index, 1 is best)"


def number(value: object) -> str:
    """A figure in as many digits as it deserves; empty for one that is not known.

    >>> number(0.12345), number(1234.5), number(7), number(None)
    ('0.123', '1,234', '7', '')
    """
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value)


def last_part(source: str) -> str:
    """Of a path its last part: where the images lie on the maker's machine is nobody's business."""
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2] or source


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
