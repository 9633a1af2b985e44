"""What is nearest to a concept in the other banks of the run: by cosine where vectors are of one space and mean the same, else by
what the two make of the same images.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from ..base import MonosemeError, counted, printable
from ..base.html import Html, element, joined
from ..views import Nearby, nearest_by_profile, nearest_by_vector, one_kind, one_space
from ._bank import Bank, Number
from ._images import opened, thumbnails
from ._marks import NameAnswer, called, name_answer
from ._opened import Fact, Opened, OpenedBank
from ._page import HTML

router = APIRouter()

BANKS = 6
"""Other banks that one is compared with; each is loaded, and its layer read."""
NEAREST = 3
IMAGES = 1024
"""Images that concepts of different layers are compared over."""
PICTURES = 6


class NearAnswer(BaseModel):
    """A concept of another bank: how near, what it is called, and whether it is the very same."""

    concept: int
    value: float
    name: NameAnswer
    same: bool


class ElsewhereAnswer(BaseModel):
    """The nearest concepts of another bank."""

    layer: str
    bank: str
    measure: Literal["cosine", "correlation"] | None
    images: int | None
    chance: float | None
    nearest: list[NearAnswer]
    same: int | None
    error: str | None


Run = Annotated[Opened, Depends(opened)]


@router.get("/api/banks/{layer}/{bank}/concept/{concept}/elsewhere")
def elsewhere_json(bank: Bank, concept: Number, run: Run) -> list[ElsewhereAnswer]:
    """The nearest concepts of the run's other banks, as data."""
    bank.require(concept)
    return [_answer(other, found) for other, found in _found(bank, concept, run)]


@router.get("/banks/{layer}/{bank}/concept/{concept}/elsewhere", **HTML)
def elsewhere(bank: Bank, concept: Number, run: Run) -> Response:
    """The nearest concepts of the run's other banks, as a part of the concept's page."""
    bank.require(concept)
    parts = [_shown(other, found) for other, found in _found(bank, concept, run)]
    more = len(run.banks) - 1 - len(parts)
    if more > 0:
        parts.append(element("p", f"{counted(more, 'further bank')} of the run not compared.", class_="faint"))
    return Response(joined(parts) or element("p", "The run has no other bank.", class_="faint"), media_type="text/html")


def waiting(bank: OpenedBank, concept: int, banks: int) -> Html:
    """What stands in its place until it is there."""
    address = f"{bank.place().base}/concept/{concept}/elsewhere"
    if banks < 2:
        return element("p", "The run has no other bank.", class_="faint")
    said = element(
        "p", f"being compared with {counted(min(banks - 1, BANKS), 'other bank')} of the run ...", class_="faint"
    )
    link = element("noscript", element("p", element("a", "nearest concepts of other banks", href=address)))
    return element("div", said, link, data_part_from=address, aria_busy="true", id="elsewhere")


def _found(bank: OpenedBank, concept: int, run: Opened) -> list[tuple[OpenedBank, Nearby | str]]:
    """(other bank, what is nearest in it or why that is not known): banks of the same layer first."""
    others = sorted(
        (each for each in run.banks if each != (bank.layer, bank.name)), key=lambda each: each[0] != bank.layer
    )
    found: list[tuple[OpenedBank, Nearby | str]] = []
    for layer, name in others[:BANKS]:
        other = run.bank(layer, name)
        try:
            found.append((other, bank.later(partial(_nearby, bank, concept, other)).result()))
        except MonosemeError as error:
            found.append((other, str(error)))
    return found


def _nearby(bank: OpenedBank, concept: int, other: OpenedBank) -> Nearby:
    if one_space(bank.bank, other.bank) and one_kind(bank.bank, other.bank):
        return nearest_by_vector(bank.bank, concept, other.bank, NEAREST)
    mine = _profiles(bank)[:, concept].astype(np.float32)
    return nearest_by_profile(bank.bank, concept, other.bank, mine, _profiles(other), NEAREST)


@lru_cache(BANKS + 1)
def _profiles(bank: OpenedBank) -> npt.NDArray[np.float16]:
    """(n, M) what the concepts of a bank make of the images that all are compared over: the same ones for each bank of a run."""
    from ..evaluation import profiles

    return profiles(bank.bank, bank.acts, _rows(bank)).astype(np.float16)


def _rows(bank: OpenedBank) -> npt.NDArray[np.int64]:
    copies = bank.acts.images().first_copies
    rows = np.arange(len(bank.acts)) if copies is None else np.flatnonzero(copies)
    return rows if len(rows) <= IMAGES else np.sort(np.random.default_rng(0).choice(rows, IMAGES, replace=False))


def _names(other: OpenedBank, concept: int) -> NameAnswer:
    near = other.bank[concept]
    return name_answer(other.titles.of(near.key, other.labels.counts(near.image_ids)))


def _answer(other: OpenedBank, found: Nearby | str) -> ElsewhereAnswer:
    if isinstance(found, str):
        return ElsewhereAnswer(
            layer=other.layer,
            bank=other.name,
            measure=None,
            images=None,
            chance=None,
            nearest=[],
            same=None,
            error=found,
        )
    return ElsewhereAnswer(
        layer=other.layer,
        bank=other.name,
        measure=found.measure,
        images=None if found.measure == "cosine" else len(_rows(other)),
        chance=found.chance,
        nearest=[
            NearAnswer(concept=number, value=value, name=_names(other, number), same=number == found.same)
            for number, value in zip(found.concepts, found.values, strict=True)
        ],
        same=found.same,
        error=None,
    )


def _shown(other: OpenedBank, found: Nearby | str) -> Html:
    heading = element("h3", f"{printable(other.layer, 60)} / {other.name}")
    if isinstance(found, str):
        return element("div", heading, element("p", f"not known: {found}", class_="faint"))
    said = "by the cosine of the vectors"
    if found.chance is not None:
        said = (
            f"by the correlation of projections over {len(_rows(other)):,} images; by chance the largest is "
            f"{found.chance:.2f}"
        )
    lines = [element("p", said, class_="faint small")]
    base = other.place().base
    if found.same is not None:
        link = element("a", f"concept {found.same}", href=f"{base}/concept/{found.same}")
        lines.append(element("p", "The same concept is there: ", link))
    rows = []
    for number, value in zip(found.concepts, found.values, strict=True):
        near = other.bank[number]
        ids = near.image_ids[:PICTURES]
        facts = [Fact(row["uri"], row["label"]) for row in other.run.images(ids, ["uri", "label"]).to_pylist()]
        name = other.titles.of(near.key, other.labels.counts(near.image_ids))
        link = element("a", f"concept {number}", href=f"{base}/concept/{number}")
        where = f" of {other.bank.start_name} {near.direction}, {found.measure} {value:.2f} "
        rows.append(element("li", element("p", link, where, called(name)), thumbnails(other.run, ids, facts)))
    lines.append(element("ul", *rows, class_="plain near"))
    return element("div", heading, *lines)
