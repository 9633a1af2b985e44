"""The layer page: all its directions in one table that is sorted, searched and walked through with the keyboard."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from ..base import counted, printable
from ..base.html import Html, element, joined
from ..views import Titles
from ..views.charts import histogram
from ..views.pieces import facts, figures, last_part
from ._bank import Bank
from ._images import opened, version
from ._marks import AnnotationAnswer, NameAnswer, answer_of, name_answer
from ._opened import Opened, OpenedBank
from ._page import HTML, PAGE, Place, bank_address, page
from ._rows import COLUMNS, columns, known, said, tags

router = APIRouter()


SAID = {
    "": "anything or nothing",
    "named": "a name",
    "unnamed": "no name yet",
    "tagged": "a tag",
    "rejected": "rejected",
    "kept": "not rejected",
}
"""What people may say of a concept, for the filter."""


class ConceptRow(BaseModel):
    """A concept in the table: its number, how many exemplars, its commonest label, its strongest exemplars, and
    what is said of it.
    """

    concept: int
    size: int
    label: str
    image_ids: list[int]
    name: NameAnswer
    annotation: AnnotationAnswer | None


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
    made = _whole_page(bank, bank.place(), bank.titles)
    bank.prepare()
    return Response(made, media_type=PAGE)


@router.get("/banks/{layer}/{bank}/figures", **HTML)
def layer_figures(bank: Bank) -> Response:
    """The figures of the bank's evaluation, as a part of its page."""
    return Response(figures(bank.evaluation) if bank.evaluated else "", media_type=PAGE)


@router.get("/api/banks/{layer}/{bank}")
def layer_json(bank: Bank) -> LayerAnswer:
    """All directions of a bank, as data."""
    found, fields = columns(bank), [name for name, _, _ in COLUMNS]
    keys, called = bank.bank.concepts["key"].to_pylist(), bank.titles.of_layer(bank.view)

    def row(concept: int, size: int, label: str, ids: list[int]) -> ConceptRow:
        about = bank.titles.said(keys[concept])
        return ConceptRow(
            concept=concept,
            size=size,
            label=label,
            image_ids=ids,
            name=name_answer(called[concept]),
            annotation=None if about is None else answer_of(about),
        )

    rows = [
        DirectionRow(**dict(zip(fields, values, strict=True)), groups=[row(*group) for group in mine])
        for *values, mine in zip(*(found[name] for name in fields), found["groups"], strict=True)
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


@lru_cache(4)  # of a bank as it is on disk at one moment, and of what is said by then: another moment is another object
def _whole_page(bank: OpenedBank, place: Place, titles: Titles) -> bytes:
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
            f"{counted(len(bank.bank), 'concept')} from {counted(len(view.directions), kind)}, bank {bank.name}: ",
            element("a", "map of its concepts", href=f"{place.base}/map", data_key="m"),
            class_="lead",
        ),
        element(
            "details",
            element("summary", "About the run, the method and its figures"),
            *about,
            class_="about",
            id="about",
        ),
        _filters(kind, bool(view.labels.names), known(bank, "p_value"), tags(bank, titles)),
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
        "columns": columns(bank),
        "said": said(bank, titles),
    }
    title = f"{bank.layer} of {last_part(model)}"
    return page(place, title, parts, scripts=["layer.js"], data=data)


def _filters(kind: str, labels: bool, tests: bool, tags: list[str]) -> Html:
    search = element(
        "input", type="search", id="q", name="q", placeholder=f"{kind} number, name, label", autocomplete="off"
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
    options = [element("option", text, value=value) for value, text in SAID.items()]
    options += [element("option", f"tag: {tag}", value=f"tag:{tag}") for tag in tags]
    parts.append(element("label", "People say ", element("select", *options, id="people", name="said")))
    parts.append(element("output", id="count", for_="q", aria_live="polite"))
    return element("form", *parts, id="filters", class_="filters", role="search")


def _table(bank: OpenedBank) -> Html:
    heads = []
    for name, text, meaning in COLUMNS:
        if name in ("direction", "concepts", "kept") or known(bank, name):
            button = element("button", text or bank.view.kind, type="button", title=meaning or None)
            heads.append(element("th", button, scope="col", data_key=name, aria_sort="none", role="columnheader"))
    heads.append(
        element("th", "concepts by name or commonest label", scope="col", role="columnheader", class_="strips")
    )
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
