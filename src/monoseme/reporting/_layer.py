"""The part of a report that is about the layer: histogram and the table of its directions."""

from __future__ import annotations

from collections.abc import Collection

from ..base import counted, printable
from ..base.html import Html, element
from ..views import LayerView, Title, Titles
from ..views.charts import histogram
from ..views.pieces import number


def summary(layer: LayerView) -> Html:
    """The histogram of concepts."""
    name = f"{layer.kind}s by number of concepts"
    return element("figure", histogram(layer.histogram, name), element("figcaption", name))


_COLUMNS = (
    ("direction", "", "number"),
    ("concepts", "how many concepts it has", "number"),
    ("kept", "exemplars that are in a concept", "number"),
    ("p_value", "chance that one thing would be divided so clearly", "number"),
    ("q_value", "the same, corrected for all directions", "number"),
    ("separation", "Ward distance of the nearest two concepts", "number"),
    ("stability", "of the least stable concept", "number"),
    ("labels", "name of each concept, else its commonest label", "text"),
)


def table(layer: LayerView, linked: Collection[int], titles: Titles) -> Html:
    """All directions, to be sorted and searched; those that the report shows are links."""
    called: dict[int, list[Title]] = {}
    for direction, each in zip(layer.bank.concepts["direction"].to_pylist(), titles.of_layer(layer), strict=True):
        called.setdefault(direction, []).append(each)
    rows = [
        {**row, "labels": [each.text for each in called.get(row["direction"], [])]}
        for row in layer.directions.to_pylist()
    ]
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
        own = int(str(value))
        return element("td", element("a", own, href=f"#n{own}") if own in linked else own, class_="number")
    return element("td", number(value), class_="number", data_value=value if isinstance(value, float) else None)
