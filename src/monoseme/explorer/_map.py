"""The map page: all concepts of a bank as points in a plane, alike ones near each other."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ..base import counted, printable
from ..base.html import Html, element, joined
from ..views import Projection, Titles
from ._bank import Bank
from ._images import version
from ._opened import OpenedBank
from ._page import HTML, page
from ._rows import LABEL, columns

router = APIRouter()

COLOURS = (("label", "name or label"), ("p", "p-value"), ("neuron", "{kind}"))
KEYS = (
    ("arrows", "move"), ("+ -", "zoom"), ("0", "all"), ("j k", "next, previous in view"), ("enter", "open"),
    ("c", "choose it"), ("v", "choose all in view"), ("/", "find"),
)  # fmt: skip


class MapState(BaseModel):
    """How far the map is computed: null where there is nothing yet, or nothing better to come."""

    layout: Annotated[Projection | None, Field(description="how the points that there are were laid out")]
    next: Annotated[Projection | None, Field(description="what is being computed now and will replace them")]
    trouble: str | None


class MapAnswer(MapState):
    """All concepts of a bank in a plane, a list for each fact with an entry for each concept; x and y are empty before there
    is any layout. An entry of `label` is a place in `labels`: what the concept is called, its name or else its commonest label.
    """

    layer: str
    bank: str
    kind: str
    x: list[float]
    y: list[float]
    direction: list[int]
    size: list[int]
    p_value: list[float | None]
    image: list[int]
    label: list[int]
    labels: list[str]


@router.get("/api/banks/{layer}/{bank}/map")
def map_json(bank: Bank) -> MapAnswer:
    """All concepts in a plane, as data."""
    laid = bank.planes.now()
    at = np.zeros((0, 2)) if laid.at is None else laid.at.round(5)
    return MapAnswer(
        layer=bank.layer,
        bank=bank.name,
        kind=bank.bank.start_name,
        layout=laid.layout,
        next=laid.next,
        trouble=laid.trouble,
        x=at[:, 0].tolist(),
        y=at[:, 1].tolist(),
        **_facts(bank, bank.titles),
    )


@router.get("/api/banks/{layer}/{bank}/map/state")
def map_state(bank: Bank) -> MapState:
    """How far the map is computed."""
    laid = bank.planes.now()
    return MapState(layout=laid.layout, next=laid.next, trouble=laid.trouble)


@router.get("/banks/{layer}/{bank}/map", **HTML)
def map_page(bank: Bank) -> Response:
    """All concepts in a plane; where it is looked at, and how it is coloured, is in its address."""
    bank.planes.now()
    place, kind = bank.place(), bank.bank.start_name
    title = element("h1", "Map of concepts", element("span", f" of {printable(bank.layer, 60)}", class_="faint"))
    table = element("a", "table of the layer", href=place.base, data_key="t")
    parts = [
        element("header", title, element("nav", table, aria_label="views", class_="steps"), class_="title"),
        element("p", counted(len(bank.bank), "concept"), id="state", class_="lead", role="status"),
        element("noscript", element("p", "The map needs scripts; the table of the layer holds the same concepts.")),
        _controls(kind, any(p is not None for p in _facts(bank, bank.titles)["p_value"])),
        element("div", _board(kind), _side(), class_="mapping"),
        element(
            "section",
            element("h2", "In view ", element("span", id="seen-count", class_="faint")),
            element(
                "div", _table(kind), class_="scrolling", tabindex="0", role="region", aria_label="concepts in view"
            ),
            element("button", "more", type="button", id="more", hidden=""),
            id="seen",
        ),
    ]
    data = {
        "base": place.base,
        "kind": kind,
        "image": None if bank.run.manifest.thumbnails is None else version(bank.run),
    }
    whole = page(place, f"map of {bank.layer}", parts, scripts=["map.js"], data=data)
    return Response(whole, media_type="text/html; charset=utf-8")


def _controls(kind: str, tested: bool) -> Html:
    offered = [(name, text) for name, text in COLOURS if tested or name != "p"]
    options = [element("option", text.format(kind=kind), value=name) for name, text in offered]
    tools = [
        element("label", element("input", type="radio", name="tool", value=name, checked=on), f" {text}")
        for name, text, on in (("move", "move", ""), ("lasso", "lasso", None))
    ]
    find = element(
        "input",
        type="search",
        id="find",
        name="find",
        placeholder="number, name or label",
        autocomplete="off",
    )
    return element(
        "form",
        element("label", "Colour by ", element("select", *options, id="by", name="by")),
        element("label", "Find ", find),
        element("fieldset", element("legend", "A drag does", class_="hidden"), *tools, class_="drags"),
        element("span", *_buttons(("in", "+", "zoom in"), ("out", "\u2212", "zoom out"), ("all", "all", "show all"))),
        element("output", id="count", for_="find", aria_live="polite"),
        id="filters",
        class_="filters",
        role="search",
    )


def _buttons(*each: tuple[str, str, str]) -> list[Html]:
    return [
        joined([element("button", text, type="button", id=f"zoom-{name}", aria_label=said, title=said), " "])
        for name, text, said in each
    ]


def _board(kind: str) -> Html:
    said = f"map of all concepts, alike ones near each other; the table below lists those in view with their {kind}"
    canvas = element("canvas", id="canvas", tabindex="0", role="application", aria_label=said, aria_describedby="keys")
    keys = [joined([element("kbd", key), f" {what} "]) for key, what in KEYS]
    card = element("div", id="card", class_="callout", hidden="")
    note = "Shift and drag: lasso. "
    help_ = element("p", "Keys on the map: ", *keys, note, id="keys", class_="faint small keys")
    return element("div", element("div", canvas, card, id="map", class_="plane"), help_)


def _side() -> Html:
    chosen = element(
        "section",
        element("h2", "Chosen ", element("span", "none", id="chosen-count", class_="faint")),
        element(
            "p",
            element("button", "copy the numbers", type="button", id="copy-chosen", data_copy="", disabled=""),
            " ",
            element("button", "clear", type="button", id="clear", disabled=""),
        ),
        element("ul", id="chosen", class_="plain chosen", tabindex="0", aria_label="chosen concepts"),
    )
    legend = element("section", element("h2", "Colours"), element("ul", id="legend", class_="plain legend"))
    return element("div", legend, chosen, class_="side")


def _table(kind: str) -> Html:
    names = ("concept", kind, "images", "p", "name or commonest label")
    return element(
        "table",
        element("caption", "the concepts that the map shows now", class_="hidden"),
        element("thead", element("tr", *(element("th", name, scope="col") for name in names))),
        element("tbody"),
        id="table",
    )


@lru_cache(4)
def _facts(bank: OpenedBank, titles: Titles) -> dict[str, list[Any]]:
    """What is known of each concept, but for where it lies."""
    table, count = columns(bank), len(bank.bank)
    made: dict[str, list[Any]] = {name: [0] * count for name in ("direction", "size", "image", "label")}
    p_value = [value if _known(value) else None for value in bank.bank.concepts["p_value"].to_pylist()]
    labels: dict[str, int] = {}
    called = [printable(title.text, LABEL) for title in titles.of_layer(bank.view)]
    for direction, p, groups in zip(table["direction"], table["p_value"], table["groups"], strict=True):
        for concept, size, _, image_ids in groups:
            made["direction"][concept], made["size"][concept] = direction, size
            made["image"][concept] = image_ids[0]
            made["label"][concept] = labels.setdefault(called[concept], len(labels))
            if p_value[concept] is None:
                p_value[concept] = p  # of the first division of its direction
    return {**made, "p_value": p_value, "labels": list(labels)}


def _known(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))
