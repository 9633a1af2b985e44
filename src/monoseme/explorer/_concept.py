"""The concept page: its images in the whole data set, what they are of, its neighbours, and how to take it along."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from ..base import UsageError, counted, printable
from ..base.html import Html, element, joined
from ..views import ConceptView, view_concept
from ..views.pieces import marks
from ._bank import Bank, Number
from ._elsewhere import waiting
from ._evidence import evidence, made_of
from ._feature import TheFeatures, gallery, slots
from ._heat import concept_address, pointer
from ._images import LARGEST, thumbnails
from ._marks import AnnotationAnswer, NameAnswer, answer_of, called, form, name_answer
from ._network import Network, TheNetwork
from ._opened import Fact, NotFound, OpenedBank
from ._page import HTML, page
from ._take import command, python_line, take_along

router = APIRouter()

PER_PAGE = 60
NEAREST = 8

Only = Annotated[Literal["held-out"] | None, Query(description="only the images that were held out from splitting")]
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
    name: NameAnswer
    annotation: AnnotationAnswer | None
    direction: int
    size: int
    nameless: str | None
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
def concept_json(bank: Bank, concept: Number, number: PageNumber = 1, only: Only = None) -> ConceptAnswer:
    """One concept, as data."""
    view = _view(bank, concept)
    composed = view.composition
    return ConceptAnswer(
        layer=bank.layer,
        bank=bank.name,
        concept=view.concept.number,
        key=view.concept.key,
        name=name_answer(view.title),
        annotation=None if view.annotation is None else answer_of(view.annotation),
        direction=view.concept.direction,
        size=view.concept.size,
        nameless=view.nameless,
        verdict=view.cause.verdict if view.cause else None,
        labels=view.labels,
        predictions=view.predictions,
        evidence=[EvidenceAnswer(name=e.name, value=e.value, meaning=e.meaning) for e in view.evidence],
        nearest=view.nearest,
        neurons=list(zip(composed.neurons.tolist(), composed.values.tolist(), strict=True)),
        page=number,
        pages=_pages(bank, only),
        images=_images(bank, view, number, only),
        python=python_line(bank, concept),
        command=command(bank),
    )


@router.get("/api/banks/{layer}/{bank}/concept/{concept}/vector")
def concept_vector(bank: Bank, concept: Number) -> VectorAnswer:
    """The vector of a concept, to steer with, and its detector, to find with."""
    bank.require(concept)
    detectors = bank.bank.detectors
    return VectorAnswer(
        concept=concept,
        vector=bank.bank.vectors[concept].tolist(),
        detector=None if detectors is None else detectors[concept].tolist(),
    )


@router.get("/banks/{layer}/{bank}/concept/{concept}", **HTML)
def concept_page(
    bank: Bank,
    concept: Number,
    model: TheNetwork,
    features: TheFeatures,
    request: Request,
    number: PageNumber = 1,
    only: Only = None,
) -> Response:
    """One concept: what it is of, and its strongest images in the whole data set."""
    view, place = _view(bank, concept), bank.place()
    found = view.concept
    neuron = element("a", f"{bank.bank.start_name} {found.direction}", href=f"{place.base}/neuron/{found.direction}")
    title = element("h1", f"concept {found.number} ", called(view.title, id="called"))
    key = element("code", found.key)
    worth = element("span", f"; {view.title.detail}" if view.title.detail else "", id="worth")
    lead = joined(
        [counted(found.size, "exemplar"), " of ", neuron, f" of {printable(bank.layer, 60)}; key ", key, worth]
    )
    parts = [
        element("header", title, _steps(bank, concept), class_="title"),
        element("p", lead, " ", element("span", marks(view.annotation), id="marks"), class_="lead"),
        element(
            "section",
            element("div", element("h2", "Evidence"), evidence(view)),
            element("div", element("h2", "What people say"), form(bank, view, request.app.state.guard.read_only)),
            class_="columns",
        ),
        element("section", *made_of(bank, view), class_="columns"),
        element("section", *_top(bank, view, number, only, model), id="images"),
        element("section", element("h2", "Nearest concepts of other directions"), _nearest(bank, view)),
        element(
            "section",
            element("h2", "Nearest concepts of other banks and layers"),
            waiting(bank, concept, len(place.banks)),
            data_live="",
        ),
        element("section", *gallery(bank, model, features, slots(bank, found.direction, [concept])), data_live=""),
        element("section", element("h2", "Take it along"), take_along(bank, concept), class_="take", data_live=""),
    ]
    named = f"concept {found.number} of {bank.layer}"
    scripts = ["concept.js", "heat.js", "feature.js"]
    return Response(page(place, named, parts, scripts=scripts), media_type="text/html; charset=utf-8")


def _view(bank: OpenedBank, concept: int) -> ConceptView:
    bank.require(concept)
    titles = bank.titles
    return view_concept(
        bank.bank,
        concept,
        bank.run,
        labels=bank.labels,
        evaluation=bank.evaluation if bank.evaluated else None,
        causal=bank.causal,
        names=titles.names,
        annotations=titles.annotations,
        nearest=NEAREST,
    )


def _pages(bank: OpenedBank, only: str | None) -> int:
    """How many pages of images there are.

    Raises
    ------
    UsageError
        Held-out images are asked for, and none were held out.
    """
    copies = bank.acts.images().first_copies
    some = np.ones(len(bank.run), dtype=np.bool_) if copies is None else copies
    if only is not None:
        if bank.held_out is None:
            raise UsageError("no images were held out when this bank was made; split again with --holdout 0.2")
        some = some & bank.held_out
    return max(1, -(-int(some.sum()) // PER_PAGE))


def _images(bank: OpenedBank, view: ConceptView, number: int, only: str | None) -> list[TopImage]:
    """A page of the data set's images by their projection: from what the bank keeps, beyond that from a pass over the layer."""
    pages = _pages(bank, only)
    if number > pages:
        raise NotFound(f"there is no page {number} of images; the last is {pages:,}")
    some = slice((number - 1) * PER_PAGE, number * PER_PAGE)
    ids: npt.NDArray[Any]
    if only is not None and bank.held_out is not None:
        order, values = bank.ranking(view.concept.number)
        outside = bank.held_out[order]
        ids, projections = order[outside][some], values[outside][some]
    elif some.stop <= len(view.top_images) or pages == 1:
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


def _top(bank: OpenedBank, view: ConceptView, number: int, only: str | None, model: Network) -> list[Html]:
    found, pages = _images(bank, view, number, only), _pages(bank, only)
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
        heat=concept_address(bank, view.concept.number),
    )
    held = sum(each.held_out for each in found)
    whole = "whole data set" if only is None else "held-out part of the data set"
    said = (
        f"Images {found[0].rank + 1:,} to {found[-1].rank + 1:,} of the {whole} by their projection"
        if found
        else "No images"
    )
    if bank.held_out is not None and only is None:
        said += f"; {held} of them were held out from splitting"
    links = [
        element("a", text, href=f"?page={other}{'' if only is None else '&only=held-out'}#images", rel=relation)
        for text, other, relation in (("stronger", number - 1, "prev"), ("weaker", number + 1, "next"))
        if 1 <= other <= pages
    ]
    if bank.held_out is not None:
        text, query = ("only those held out", "?only=held-out") if only is None else ("all images", "?page=1")
        links.append(element("a", text, href=f"{query}#images"))
    nav = element(
        "nav",
        *links,
        element("span", f"page {number:,} of {pages:,}", class_="faint"),
        aria_label="pages",
        class_="steps",
    )
    pointed = pointer(model, bank, view.concept.direction, "the concept")
    return [element("h2", "Strongest images"), element("p", f"{said}.", class_="faint"), pointed, pictures, nav]


def _nearest(bank: OpenedBank, view: ConceptView) -> Html:
    rows = []
    base = bank.place().base
    for other, cosine in view.nearest:
        near = bank.bank[other]
        ids = near.image_ids[:6]
        facts = [Fact(row["uri"], row["label"]) for row in bank.run.images(ids, ["uri", "label"]).to_pylist()]
        heat = concept_address(bank, other)
        name = element("a", f"concept {other}", href=f"{base}/concept/{other}")
        said = f" of {bank.bank.start_name} {near.direction}, cosine {cosine:.2f} "
        label = called(bank.titles.of(near.key, bank.labels.counts(near.image_ids)))
        rows.append(element("li", element("p", name, said, label), thumbnails(bank.run, ids, facts, heat=heat)))
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
