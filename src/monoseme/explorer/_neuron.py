"""The neuron page: its exemplars, the tree they stand on, and the concepts that a line across the tree makes of them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from ..base.html import Html, element
from ._bank import Bank, Direction
from ._beside import link
from ._choice import Asked, Choice, asked
from ._controls import controls
from ._cut import Cut, cut, letter, vectors_of
from ._dendrogram import dendrogram
from ._feature import TheFeatures, gallery, slots
from ._groups import charts_of, groups, similar, summary
from ._heat import pointer
from ._images import opened
from ._marks import AnnotationAnswer, NameAnswer, answer_of, name_answer
from ._network import TheNetwork
from ._opened import Opened, OpenedBank
from ._page import HTML, page

router = APIRouter()

Wanted = Annotated[Asked, Depends(asked)]


class GroupAnswer(BaseModel):
    """Exemplars of one concept."""

    name: str
    concept: int | None
    key: str | None
    called: NameAnswer
    annotation: AnnotationAnswer | None
    size: int
    labels: list[tuple[str, int]]
    separation: float | None
    p_value: float | None
    ranks: list[int]


class TreeAnswer(BaseModel):
    """The Ward tree: leaves are 0 to K - 1, step i makes node K + i."""

    merges: list[tuple[int, int]]
    heights: list[float]
    cut: float | None
    p_value: list[float | None] | None
    divides: list[bool] | None


class ChoiceAnswer(BaseModel):
    """How it was split."""

    method: str
    top: int
    min_size: int
    threshold: float | None
    outlier: str | None
    granularity: float | None
    band: float
    own: bool


class NeuronAnswer(BaseModel):
    """All that a neuron's page shows, as data."""

    layer: str
    bank: str
    direction: int
    title: str
    choice: ChoiceAnswer
    division: dict[str, float | None]
    image_ids: list[int]
    activation: list[float]
    concept: list[int]
    concepts: list[GroupAnswer]
    dropped: list[int]
    similarities: list[list[float]]
    tree: TreeAnswer


@router.get("/banks/{layer}/{bank}/neuron/{direction}", **HTML)
def neuron_page(
    bank: Bank,
    direction: Direction,
    wanted: Wanted,
    run: Annotated[Opened, Depends(opened)],
    request: Request,
    model: TheNetwork,
    features: TheFeatures,
) -> Response:
    """One neuron, with its tree, its concepts and the controls to split it otherwise."""
    found = _cut(bank, direction, wanted)
    view, place = found.view, bank.place()
    named = f"{view.name} of {bank.layer}"
    head = element(
        "header",
        element("h1", view.name, element("span", f" of {bank.layer}", class_="faint")),
        _steps(bank, direction, link(bank, direction, run)),
        class_="title",
    )
    read_only = bool(request.app.state.guard.read_only)
    parts = [
        head,
        element("div", element("p", summary(found)), id="summary", class_="lead", data_waiting=_waiting(found)),
        element(
            "section",
            element("h2", "Tree of its strongest images"),
            element(
                "div",
                element("div", dendrogram(found), id="tree"),
                _line(),
                id="board",
                class_="board",
            ),
            controls(bank, found, read_only),
            class_="cutting",
        ),
        element(
            "section",
            element("h2", "Concepts"),
            pointer(model, bank, direction, "its concept"),
            element("div", groups(bank, found.view, found.choice), id="groups"),
        ),
        element(
            "section",
            element("h2", "How alike the vectors are"),
            element(
                "div",
                similar(found),
                id="similar",
                class_="scrolling",
                tabindex="0",
                role="region",
                aria_label="cosines",
            ),
        ),
        element(
            "section",
            element("h2", "Exemplars beside each other"),
            element("div", element("p", "being drawn ...", class_="faint"), id="charts", class_="charts"),
        ),
        element(
            "section", *gallery(bank, model, features, slots(bank, direction, _numbers(bank, direction))), data_live=""
        ),
    ]
    return Response(
        page(place, named, parts, scripts=["neuron.js", "heat.js", "feature.js"]), media_type="text/html; charset=utf-8"
    )


@router.get("/banks/{layer}/{bank}/neuron/{direction}/cut", **HTML)
def neuron_cut(bank: Bank, direction: Direction, wanted: Wanted) -> Response:
    """The parts of the page that follow the line, to be put in place of those that are there."""
    found = _cut(bank, direction, wanted)
    parts = {
        "summary": element("p", summary(found)),
        "tree": dendrogram(found),
        "groups": groups(bank, found.view, found.choice),
        "similar": similar(found),
    }
    return _parts(parts, waiting=_waiting(found))


@router.get("/banks/{layer}/{bank}/neuron/{direction}/charts", **HTML)
def neuron_charts(bank: Bank, direction: Direction, wanted: Wanted) -> Response:
    """The parts that take longer: matrix, map, projections."""
    found = _cut(bank, direction, wanted)
    return _parts({"charts": charts_of(bank, found)})


@router.get("/api/banks/{layer}/{bank}/neuron/{direction}")
def neuron_json(bank: Bank, direction: Direction, wanted: Wanted) -> NeuronAnswer:
    """One neuron, split as the query says, as data."""
    found, titles = _cut(bank, direction, wanted), bank.titles
    view, tree, choice = found.view, found.tree, found.choice
    vectors = vectors_of(view.concepts, view.embeddings.shape[1])
    ranks = {concept.number: np.flatnonzero(view.concept == concept.number).tolist() for concept in view.concepts}
    return NeuronAnswer(
        layer=bank.layer,
        bank=bank.name,
        direction=direction,
        title=view.title,
        choice=ChoiceAnswer(**{name: getattr(choice, name) for name in ChoiceAnswer.model_fields}),
        division=view.division,
        image_ids=view.image_ids.tolist(),
        activation=view.activation.tolist(),
        concept=view.concept.tolist(),
        concepts=[
            GroupAnswer(
                name=letter(place),
                concept=concept.number if choice.own else None,
                key=concept.key or None,
                called=name_answer(titles.of(concept.key, labels := view.labels.counts(concept.image_ids))),
                annotation=None if (said := titles.said(concept.key)) is None else answer_of(said),
                size=concept.size,
                labels=labels,
                separation=concept.separation,
                p_value=concept.p_value,
                ranks=ranks[concept.number],
            )
            for place, concept in enumerate(view.concepts)
        ],
        dropped=np.flatnonzero(view.concept < 0).tolist(),
        similarities=np.clip(vectors @ vectors.T, -1, 1).tolist(),
        tree=TreeAnswer(
            merges=view.merges.tolist(),
            heights=view.heights.tolist(),
            cut=tree.cut,
            p_value=None if tree.p_value is None else [None if np.isnan(p) else float(p) for p in tree.p_value],
            divides=None if tree.divides is None else tree.divides.tolist(),
        ),
    )


def _numbers(bank: OpenedBank, direction: int) -> list[int]:
    return [concept.number for concept in bank.bank.for_direction(direction)]


def _cut(bank: OpenedBank, direction: int, wanted: Asked) -> Cut:
    return cut(bank, direction, Choice.of(bank, wanted))


def _waiting(found: Cut) -> str | None:
    """Says to the page that p-values are still to come."""
    return "yes" if found.waiting else None


def _parts(parts: dict[str, Html], **said: str | None) -> Response:
    made = [element("template", content, data_part=name) for name, content in parts.items()]
    state = element("template", data_part="", **{f"data_{name}": value for name, value in said.items()})
    return Response("".join([*made, state]), media_type="text/html; charset=utf-8")


def _line() -> Html:
    """The line: drawn and moved by the script, over the tree and apart from it, for the tree is drawn anew while it moves."""
    return element("div", element("span", id="height"), id="rule", class_="rule", hidden="")


def _steps(bank: OpenedBank, direction: int, *more: Html) -> Html:
    """Links to the directions before and after this one, and more."""
    known = np.unique(bank.bank.directions)
    at = int(np.searchsorted(known, direction))
    links: list[object] = []
    for text, other, key in (("previous", at - 1, "k"), ("next", at + 1, "j")):
        if 0 <= other < len(known):
            address = f"{bank.place().base}/neuron/{known[other]}"
            name = f"{text} ({bank.bank.start_name} {known[other]})"
            links.append(element("a", name, href=address, data_key=key, rel="prev" if text == "previous" else "next"))
    return element("nav", *links, *more, aria_label="neighbours", class_="steps")
