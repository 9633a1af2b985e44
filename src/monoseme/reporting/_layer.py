"""The part of a report that is about the layer: facts, histogram, figures, and the table of its directions."""

from __future__ import annotations

import math
from collections.abc import Collection

from ..base import MonosemeError, counted, printable
from ..base.html import Html, element, joined
from ..evaluation import CATALOGUE, Evaluation
from ..runs import Run
from ..views import LayerView
from ._charts import histogram


def facts(layer: LayerView, run: Run) -> Html:
    """What was looked at, with what, and how."""
    bank, manifest = layer.bank, run.manifest
    parameters = bank.info.get("parameters", {})
    named = {key: value for key, value in parameters.items() if value not in (None, [], 0) and key != "directions"}
    size = " x ".join(map(str, manifest.model.get("input_size") or []))
    rows = {
        "model": f"{manifest.model.get('spec')}, input {size}",
        "weights": manifest.model.get("weights_digest"),
        "layer": f"{bank.layer}, {bank.info['activations']['neurons']:,} neurons",
        "images": f"{len(run):,} from {_last_part(manifest.images['source'])}",
        "method": f"{bank.info.get('method')} ({', '.join(f'{key} {_short(value)}' for key, value in named.items())})",
        "concepts": f"{len(bank):,} from {counted(len(layer.directions), layer.kind)}",
        "more than one": _sure(layer),
        "stability": _stability(layer),
    }
    lines = [
        joined([element("dt", key), element("dd", value)]) for key, value in rows.items() if value not in (None, "")
    ]
    return element("dl", *lines, class_="facts")


def summary(layer: LayerView) -> Html:
    """The histogram of concepts."""
    name = f"{layer.kind}s by number of concepts"
    return element("figure", histogram(layer.histogram, name), element("figcaption", name))


def figures(evaluation: Evaluation | None) -> Html:
    """The figures of an evaluation with their intervals and baselines."""
    if evaluation is None or not len(evaluation.figures):
        return Html()
    found: dict[str, dict[str, dict[str, object]]] = {}
    for row in evaluation.figures.to_pylist():
        found.setdefault(row["figure"], {})[row["of"]] = row
    body = []
    for name, rows in found.items():
        own = rows.pop("concepts", None)
        beside = ", ".join(f"{of} {_number(row['value'])}" for of, row in rows.items() if row["value"] is not None)
        value = "" if own is None else _number(own["value"])
        interval = "" if own is None or own["low"] is None else f"[{_number(own['low'])}, {_number(own['high'])}]"
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


_COLUMNS = (
    ("direction", "", "number"),
    ("concepts", "how many concepts it has", "number"),
    ("kept", "exemplars that are in a concept", "number"),
    ("p_value", "chance that one thing would be divided so clearly", "number"),
    ("q_value", "the same, corrected for all directions", "number"),
    ("separation", "Ward distance of the nearest two concepts", "number"),
    ("stability", "of the least stable concept", "number"),
    ("labels", "commonest label of each concept", "text"),
)


def table(layer: LayerView, linked: Collection[int]) -> Html:
    """All directions, to be sorted and searched; those that the report shows are links."""
    rows = layer.directions.to_pylist()
    shown = [column for column in _COLUMNS if column[2] == "number" and any(row[column[0]] is not None for row in rows)]
    if any(text for row in rows for text in row["labels"]):
        shown.append(_COLUMNS[-1])
    head = []
    for name, meaning, kind in shown:
        text = layer.kind if name == "direction" else name.replace("_", "-")
        button = element("button", text, type="button", title=meaning or None)
        head.append(element("th", button, scope="col", data_kind=kind, aria_sort="none"))
    body = [element("tr", *(_cell(row, name, linked) for name, _, _ in shown)) for row in rows]
    search = element(
        "p",
        element("label", "search ", element("input", type="search", id="search", placeholder="number or label")),
        " ",
        element("span", counted(len(rows), layer.kind), id="count", role="status"),
    )
    made = element("table", element("thead", element("tr", *head)), element("tbody", *body), id="directions")
    return element("div", search, element("div", made, class_="scroll", tabindex=0, role="region", aria_label="table"))


def _cell(row: dict[str, object], name: str, linked: Collection[int]) -> Html:
    value = row[name]
    if name == "labels":
        assert isinstance(value, list)
        return element("td", ", ".join(printable(text, 30) for text in value if text))
    if name == "direction":
        number = int(str(value))
        return element("td", element("a", number, href=f"#n{number}") if number in linked else number, class_="number")
    return element("td", _number(value), class_="number", data_value=value if isinstance(value, float) else None)


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


def _number(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value)


def _last_part(source: str) -> str:
    """Of a path its last part: where the images lie on the maker's machine is nobody's business."""
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2] or source


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
