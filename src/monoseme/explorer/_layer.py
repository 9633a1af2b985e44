"""The layer page: all its directions in one table that is sorted, searched and walked through with the keyboard."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from ..base import counted, printable
from ..base.html import Html, element, joined
from ..views.charts import histogram
from ..views.pieces import facts, figures, last_part
from ._bank import Bank
from ._images import opened, version
from ._opened import Opened, OpenedBank
from ._page import Place, bank_address, page

router = APIRouter()

STRIP = 5
"""Thumbnails of each concept in the table."""
LABEL = 60
"""Letters of a label that the table shows."""
HTML: dict[str, Any] = {"response_class": Response, "responses": {200: {"content": {"text/html": {}}}}}
PAGE = "text/html; charset=utf-8"

COLUMNS = (
    ("direction", "", ""),
    ("concepts", "concepts", "how many concepts it has"),
    ("kept", "kept", "exemplars that are in a concept"),
    ("p_value", "p", "chance that one thing would be divided so clearly"),
    ("q_value", "q", "the same, corrected for all directions"),
    ("separation", "separation", "Ward distance of the nearest two concepts"),
    ("stability", "stability", "of the least stable concept, 1 is best"),
)


class ConceptRow(BaseModel):
    """A concept in the table: its number, how many exemplars, what it is called, its strongest exemplars."""

    concept: int
    size: int
    label: str
    image_ids: list[int]


class DirectionRow(BaseModel):
    """A direction in the table."""

    direction: int
    concepts: int
    kept: int
    p_value: float | None
    q_value: float | None
    separation: float | None
    stability: float | None
    groups: list[ConceptRow]


class LayerAnswer(BaseModel):
    """All directions of a bank."""

    layer: str
    bank: str
    method: str
    kind: str
    images: int
    histogram: dict[int, int]
    directions: list[DirectionRow]


class RunAnswer(BaseModel):
    """What the run holds."""

    run: str
    model: str | None
    images: int
    listed: int
    finished: bool
    layers: list[str]
    banks: list[tuple[str, str]]
    thumbnails: bool


@router.get(
    "/",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}, 307: {"description": "to the first bank"}},
)
def home(run: Annotated[Opened, Depends(opened)]) -> Response:
    """The first bank of the run; where it has none yet, what to do about it."""
    banks = run.banks
    if banks:
        return RedirectResponse(bank_address(*banks[0]))
    now, place = run.run, run.place()
    made = f"{len(now):,} of {now.manifest.images['count']:,} images are embedded"
    parts = [
        element("h1", printable(place.run, 60)),
        element("p", f"The run holds no bank of concepts yet; {made}.", class_="lead"),
        element("p", "Make one, then load this page again: ", element("code", f"monoseme disentangle {place.run}")),
    ]
    return Response(page(place, place.run, parts), media_type=PAGE)


@router.get("/api/run")
def run_json(run: Annotated[Opened, Depends(opened)]) -> RunAnswer:
    """What the run holds: images, layers, banks."""
    now = run.run
    return RunAnswer(
        run=run.place().run,
        model=now.manifest.model.get("spec"),
        images=len(now),
        listed=int(now.manifest.images["count"]),
        finished=now.finished,
        layers=list(now.layers) if now.manifest.finished else [],
        banks=run.banks,
        thumbnails=now.manifest.thumbnails is not None,
    )


@router.get("/banks/{layer}/{bank}", **HTML)
def layer_page(bank: Bank) -> Response:
    """All directions of a bank as a table; what it shows and in which order is in its address."""
    made = _whole_page(bank, bank.place())
    bank.prepare()
    return Response(made, media_type=PAGE)


@router.get("/banks/{layer}/{bank}/figures", **HTML)
def layer_figures(bank: Bank) -> Response:
    """The figures of the bank's evaluation, as a part of its page."""
    return Response(figures(bank.evaluation) if bank.evaluated else "", media_type=PAGE)


@router.get("/api/banks/{layer}/{bank}")
def layer_json(bank: Bank) -> LayerAnswer:
    """All directions of a bank, as data."""
    columns = _columns(bank)
    names = [name for name, _, _ in COLUMNS]
    rows = [
        DirectionRow(
            **dict(zip(names, values, strict=True)),
            groups=[ConceptRow(concept=c, size=size, label=label, image_ids=ids) for c, size, label, ids in mine],
        )
        for *values, mine in zip(*(columns[name] for name in names), columns["groups"], strict=True)
    ]
    return LayerAnswer(
        layer=bank.layer,
        bank=bank.name,
        method=str(bank.bank.info.get("method")),
        kind=bank.view.kind,
        images=len(bank.run),
        histogram=bank.view.histogram,
        directions=rows,
    )


@lru_cache(4)  # of a bank as it is on disk at one moment: another moment is another object
def _whole_page(bank: OpenedBank, place: Place) -> bytes:
    view = bank.view
    kind = view.kind
    model = printable(str(bank.run.manifest.model.get("spec")), 60)
    name = f"{kind}s by number of concepts"
    about = [facts(view, bank.run), element("figure", histogram(view.histogram, name), element("figcaption", name))]
    if bank.evaluated:
        about.append(element("div", id="figures", data_address=f"{place.base}/figures"))
    parts = [
        element("h1", printable(bank.layer, 80), element("span", f" of {model}", class_="faint")),
        element(
            "p",
            f"{counted(len(bank.bank), 'concept')} from {counted(len(view.directions), kind)}, bank {bank.name}",
            class_="lead",
        ),
        element(
            "details",
            element("summary", "About the run, the method and its figures"),
            *about,
            class_="about",
            id="about",
        ),
        _filters(kind, bool(view.labels.names) or bank.names is not None, _known(bank, "p_value")),
        _table(bank),
        element(
            "p",
            "Keys: ",
            *_keys(("j", "next"), ("k", "previous"), ("enter", "open"), ("/", "search")),
            class_="faint small keys",
        ),
        element("noscript", element("p", "Without scripts: ", *_plain_links(bank))),
    ]
    data = {
        "base": place.base,
        "kind": kind,
        "image": None if bank.run.manifest.thumbnails is None else version(bank.run),
        "columns": _columns(bank),
    }
    title = f"{bank.layer} of {last_part(model)}"
    return page(place, title, parts, scripts=["layer.js"], data=data)


def _filters(kind: str, labels: bool, tests: bool) -> Html:
    search = element(
        "input", type="search", id="q", name="q", placeholder=f"{kind} number or label", autocomplete="off"
    )
    parts = [element("label", "Search ", search)]
    if labels:
        parts.append(
            element(
                "label", "Label contains ", element("input", id="label", name="label", size="12", autocomplete="off")
            )
        )
    if tests:
        limit = element("input", type="number", id="p", name="p", min="0", max="1", step="any", placeholder="1")
        parts.append(element("label", "p at most ", limit))
    parts.append(
        element("label", element("input", type="checkbox", id="several", name="several"), " more than one concept")
    )
    parts.append(element("output", id="count", for_="q", aria_live="polite"))
    return element("form", *parts, id="filters", class_="filters", role="search")


def _table(bank: OpenedBank) -> Html:
    heads = []
    for name, text, meaning in COLUMNS:
        if name in ("direction", "concepts", "kept") or _known(bank, name):
            button = element("button", text or bank.view.kind, type="button", title=meaning or None)
            heads.append(element("th", button, scope="col", data_key=name, aria_sort="none", role="columnheader"))
    heads.append(element("th", "concepts with what they are called", scope="col", role="columnheader", class_="strips"))
    table = element(
        "table",
        element("caption", f"all {bank.view.kind}s of the bank", class_="hidden"),
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        element("tbody", role="rowgroup"),
        id="directions",
        role="table",
        aria_rowcount=len(bank.view.directions) + 1,
    )
    return element(
        "div", table, id="rows", class_="rows", tabindex="0", role="region", aria_label=f"table of {bank.view.kind}s"
    )


def _keys(*pairs: tuple[str, str]) -> list[Html]:
    return [joined([element("kbd", key), f" {what} "]) for key, what in pairs]


def _plain_links(bank: OpenedBank) -> list[Html]:
    base = bank.place().base
    numbers = bank.view.directions["direction"].to_pylist()
    return [joined([element("a", each, href=f"{base}/neuron/{each}"), " "]) for each in numbers]


def _known(bank: OpenedBank, column: str) -> bool:
    values = bank.view.directions[column]
    return bool(values.null_count < len(values))


@lru_cache(4)
def _columns(bank: OpenedBank) -> dict[str, list[Any]]:
    """The table column by column; groups holds for each direction (concept, size, label, image_ids) of its concepts."""
    table = bank.view.directions
    columns: dict[str, list[Any]] = {
        name: [_plain(value) for value in table[name].to_pylist()] for name, _, _ in COLUMNS
    }
    columns["groups"] = _groups(bank, table["direction"].to_numpy(), table["labels"].to_pylist())
    return columns


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
