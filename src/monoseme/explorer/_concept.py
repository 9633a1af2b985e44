"""The concept page: its images in the whole data set, what they are of, its neighbours, and how to take it along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy.typing as npt
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from ..base import counted, printable
from ..base.html import Html, element, joined
from ..views import ConceptView, view_concept
from ._bank import Bank
from ._images import LARGEST, thumbnails
from ._opened import Fact, NotFound, OpenedBank
from ._page import page
from ._take import command, python_line, take_along

router = APIRouter()

PER_PAGE = 60
NEAREST = 8
LABELS = 12
HTML: dict[str, Any] = {"response_class": Response, "responses": {200: {"content": {"text/html": {}}}}}

Number = Annotated[int, Path(ge=0, le=LARGEST, description="its row in the bank's vectors")]
PageNumber = Annotated[int, Query(alias="page", ge=1, le=LARGEST, description=f"which {PER_PAGE} images, from 1")]


class TopImage(BaseModel):
    """An image with its projection on the concept."""

    rank: int
    image_id: int
    uri: str
    label: str | None
    projection: float
    held_out: bool
    exemplar: bool


class EvidenceAnswer(BaseModel):
    """A reason to believe in it, or not."""

    name: str
    value: float
    meaning: str


class ConceptAnswer(BaseModel):
    """All that a concept's page shows, as data."""

    layer: str
    bank: str
    concept: int
    key: str
    direction: int
    size: int
    name: str | None
    name_from: str | None
    verdict: str | None
    labels: list[tuple[str, int]]
    predictions: list[tuple[str, int]]
    evidence: list[EvidenceAnswer]
    nearest: list[tuple[int, float]]
    neurons: list[tuple[int, float]]
    page: int
    pages: int
    images: list[TopImage]
    python: str
    command: str | None


class VectorAnswer(BaseModel):
    """A concept's unit vector in the bank's frame, and its detector where the bank has them."""

    concept: int
    vector: list[float]
    detector: list[float] | None


@router.get("/api/banks/{layer}/{bank}/concept/{concept}")
def concept_json(bank: Bank, concept: Number, number: PageNumber = 1) -> ConceptAnswer:
    """One concept, as data."""
    view = _view(bank, concept)
    made_of = view.composition
    return ConceptAnswer(
        layer=bank.layer,
        bank=bank.name,
        concept=view.concept.number,
        key=view.concept.key,
        direction=view.concept.direction,
        size=view.concept.size,
        name=view.title.text if view.title else None,
        name_from=view.title.source if view.title else None,
        verdict=view.cause.verdict if view.cause else None,
        labels=view.labels,
        predictions=view.predictions,
        evidence=[EvidenceAnswer(name=e.name, value=e.value, meaning=e.meaning) for e in view.evidence],
        nearest=view.nearest,
        neurons=list(zip(made_of.neurons.tolist(), made_of.values.tolist(), strict=True)),
        page=number,
        pages=_pages(bank),
        images=_images(bank, view, number),
        python=python_line(bank, concept),
        command=command(bank),
    )


@router.get("/api/banks/{layer}/{bank}/concept/{concept}/vector")
def concept_vector(bank: Bank, concept: Number) -> VectorAnswer:
    """The vector of a concept, to steer with, and its detector, to find with."""
    _exists(bank, concept)
    detectors = bank.bank.detectors
    return VectorAnswer(
        concept=concept,
        vector=bank.bank.vectors[concept].tolist(),
        detector=None if detectors is None else detectors[concept].tolist(),
    )


@router.get("/banks/{layer}/{bank}/concept/{concept}", **HTML)
def concept_page(bank: Bank, concept: Number, number: PageNumber = 1) -> Response:
    """One concept: what it is of, and its strongest images in the whole data set."""
    view, place = _view(bank, concept), bank.place()
    found = view.concept
    neuron = element("a", f"{bank.bank.start_name} {found.direction}", href=f"{place.base}/neuron/{found.direction}")
    label = printable(view.title.text, 60) if view.title else ""
    title = element("h1", f"concept {found.number}", element("span", f" {label}", class_="faint"))
    key = element("code", found.key)
    called = [view.title.detail] if view.title else []
    called += [f"no name: {printable(view.nameless, 200)}"] if view.nameless else []
    lead = joined(
        [
            counted(found.size, "exemplar"),
            " of ",
            neuron,
            f" of {printable(bank.layer, 60)}; key ",
            key,
            *("; " + each for each in called),
        ]
    )
    parts = [
        element("header", title, _steps(bank, concept), class_="title"),
        element("p", lead, class_="lead"),
        element("section", element("h2", "Evidence"), _evidence(view)),
        element("section", *_what(bank, view), class_="columns"),
        element("section", *_top(bank, view, number), id="images"),
        element("section", element("h2", "Nearest concepts of other directions"), _nearest(bank, view)),
        element("section", element("h2", "Take it along"), take_along(bank, concept), class_="take"),
    ]
    named = f"concept {found.number} of {bank.layer}"
    return Response(page(place, named, parts), media_type="text/html; charset=utf-8")


def _exists(bank: OpenedBank, concept: int) -> None:
    if concept >= len(bank.bank):
        raise NotFound(f"there is no concept {concept}; the bank holds {len(bank.bank):,}, numbered from 0")


def _view(bank: OpenedBank, concept: int) -> ConceptView:
    _exists(bank, concept)
    evaluation = bank.evaluation if bank.evaluated else None
    return view_concept(
        bank.bank,
        concept,
        bank.run,
        labels=bank.labels,
        evaluation=evaluation,
        causal=bank.causal,
        names=bank.names,
        nearest=NEAREST,
    )


def _pages(bank: OpenedBank) -> int:
    copies = bank.acts.images().first_copies
    images = len(bank.run) if copies is None else int(copies.sum())
    return max(1, -(-images // PER_PAGE))


def _images(bank: OpenedBank, view: ConceptView, number: int) -> list[TopImage]:
    """A page of the data set's images by their projection: from what the bank keeps, beyond that from a pass over the layer."""
    pages = _pages(bank)
    if number > pages:
        raise NotFound(f"there is no page {number} of images; the last is {pages:,}")
    some = slice((number - 1) * PER_PAGE, number * PER_PAGE)
    ids: npt.NDArray[Any]
    if some.stop <= len(view.top_images) or pages == 1:
        ids, projections = view.top_images[some], view.projections[some]
    else:
        order, values = bank.ranking(view.concept.number)
        ids, projections = order[some], values[some]
    rows = bank.run.images(ids, ["uri", "label"]).to_pylist()
    held, mine = bank.held_out, set(view.concept.image_ids.tolist())
    return [
        TopImage(
            rank=some.start + place,
            image_id=int(image_id),
            uri=row["uri"],
            label=row["label"],
            projection=float(projection),
            held_out=bool(held is not None and held[image_id]),
            exemplar=int(image_id) in mine,
        )
        for place, (image_id, projection, row) in enumerate(zip(ids, projections, rows, strict=True))
    ]


def _evidence(view: ConceptView) -> Html:
    if view.cause is not None:
        return joined([element("p", view.cause.sentence), _facts(view)])
    return _facts(view)


def _facts(view: ConceptView) -> Html:
    if not view.evidence:
        return element("p", "Nothing is known but its images.", class_="faint")
    rows = [
        joined([element("dt", each.name), element("dd", element("b", f"{each.value:.3g}"), f" {each.meaning}")])
        for each in view.evidence
    ]
    return element("dl", *rows, class_="facts")


def _what(bank: OpenedBank, view: ConceptView) -> list[Html]:
    made_of = view.composition
    whole = view.concept.size
    parts = []
    if view.labels:
        parts.append(_counts("Labels of its exemplars", view.labels, whole))
    if view.predictions:
        parts.append(_counts("What the model says of them", view.predictions, whole))
    neurons = [
        element(
            "li",
            element("meter", value=f"{abs(value):.3f}", max="1", aria_label=f"{value:.2f}"),
            " ",
            element("b", f"{value:.2f}"),
            f" neuron {neuron}",
        )
        for neuron, value in zip(made_of.neurons.tolist(), made_of.values.tolist(), strict=True)
    ]
    note = element("p", f"These hold {made_of.share:.0%} of the vector's squared length.", class_="faint small")
    parts.append(
        element("div", element("h2", "Neurons it is made of"), element("ul", *neurons, class_="plain counts"), note)
    )
    return parts


def _counts(name: str, counts: Sequence[tuple[str, int]], whole: int) -> Html:
    items = [
        element(
            "li",
            element("meter", value=count, max=whole, aria_label=f"{count} of {whole}"),
            " ",
            element("b", count),
            f" {printable(label, 60)}",
        )
        for label, count in counts[:LABELS]
    ]
    more = len(counts) - LABELS
    rest = element("p", f"and {counted(more, 'further one')}", class_="faint small") if more > 0 else Html()
    return element("div", element("h2", name), element("ul", *items, class_="plain counts"), rest)


def _top(bank: OpenedBank, view: ConceptView, number: int) -> list[Html]:
    found, pages = _images(bank, view, number), _pages(bank)
    marks = [
        " ".join(word for word, is_so in (("held out", each.held_out), ("exemplar", each.exemplar)) if is_so)
        for each in found
    ]
    pictures = thumbnails(
        bank.run,
        [each.image_id for each in found],
        [Fact(each.uri, each.label) for each in found],
        [
            f", projection {each.projection:.3g}" + (f", {mark}" if mark else "")
            for each, mark in zip(found, marks, strict=True)
        ],
        marks=[("held out" if each.held_out else None) for each in found],
    )
    held = sum(each.held_out for each in found)
    said = (
        f"Images {found[0].rank + 1:,} to {found[-1].rank + 1:,} of the whole data set by their projection"
        if found
        else "No images"
    )
    if bank.held_out is not None:
        said += f"; {held} of them were held out from splitting"
    links = [
        element("a", text, href=f"?page={other}#images", rel=relation)
        for text, other, relation in (("stronger", number - 1, "prev"), ("weaker", number + 1, "next"))
        if 1 <= other <= pages
    ]
    nav = element(
        "nav",
        *links,
        element("span", f"page {number:,} of {pages:,}", class_="faint"),
        aria_label="pages",
        class_="steps",
    )
    return [element("h2", "Strongest images"), element("p", f"{said}.", class_="faint"), pictures, nav]


def _nearest(bank: OpenedBank, view: ConceptView) -> Html:
    rows = []
    base = bank.place().base
    for other, cosine in view.nearest:
        near = bank.bank[other]
        ids = near.image_ids[:6]
        facts = [Fact(row["uri"], row["label"]) for row in bank.run.images(ids, ["uri", "label"]).to_pylist()]
        name = element("a", f"concept {other}", href=f"{base}/concept/{other}")
        said = f" of {bank.bank.start_name} {near.direction}, cosine {cosine:.2f} "
        label = element("span", bank.labels.commonest(near.image_ids, 2, 40), class_="faint")
        rows.append(element("li", element("p", name, said, label), thumbnails(bank.run, ids, facts)))
    if not rows:
        return element("p", "There is no other.", class_="faint")
    return element("ul", *rows, class_="plain near")


def _steps(bank: OpenedBank, concept: int) -> Html:
    base = bank.place().base
    links = [
        element("a", f"{text} (concept {other})", href=f"{base}/concept/{other}", data_key=key, rel=relation)
        for text, other, key, relation in (("previous", concept - 1, "k", "prev"), ("next", concept + 1, "j", "next"))
        if 0 <= other < len(bank.bank)
    ]
    return element("nav", *links, aria_label="neighbours", class_="steps")
