"""The page to try a picture on: it is sent, looked at and forgotten; what was seen in it comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from ..base import MonosemeError
from ..base.html import Html, element
from ..use import RATE
from ._bank import Bank
from ._distribution import Distributions
from ._heat import TheSights
from ._images import LARGEST, version
from ._later import on_one_core
from ._network import ModelAnswer, TheNetwork
from ._opened import OpenedBank
from ._page import HTML, page
from ._safety import PICTURE
from ._seen import PIXELS, Passed, TryAnswer, decoded, looked_at, nearest, passed

if TYPE_CHECKING:
    from ..models import Model

router = APIRouter()

AT_ONCE = 4
"""Pictures that are held at once; each may be as large as a picture may be."""
ASKED = 20
"""Concepts that can be asked for beside the strongest."""

Concepts = Annotated[list[Annotated[int, Query(ge=0, le=LARGEST)]], Query(alias="concept", max_length=ASKED)]


class TryPageAnswer(BaseModel):
    """What a picture may be, and what is there to look at it."""

    layer: str
    bank: str
    model: ModelAnswer
    most_bytes: int
    most_pixels: int
    rate: float
    calibrated: bool


async def _distributions(request: Request) -> Distributions:
    found = request.app.state.distributions
    assert isinstance(found, Distributions)
    return found


TheDistributions = Annotated[Distributions, Depends(_distributions)]


@router.get("/api/banks/{layer}/{bank}/try")
def try_json(bank: Bank, model: TheNetwork, distributions: TheDistributions) -> TryPageAnswer:
    """What a picture may be; asking begins to read the layer, so that levels are known when a picture comes."""
    return TryPageAnswer(
        layer=bank.layer,
        bank=bank.name,
        model=model.answer(),
        most_bytes=PICTURE.limit,
        most_pixels=PIXELS,
        rate=RATE,
        calibrated=model.missing is None and distributions.of(bank).levels is not None,
    )


@router.post(
    "/api/banks/{layer}/{bank}/try",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "the picture itself, as a file of one of the usual formats",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURE.kinds},
        }
    },
)
async def try_picture(
    bank: Bank,
    request: Request,
    model: TheNetwork,
    sights: TheSights,
    distributions: TheDistributions,
    concept: Concepts = [],  # noqa: B006  # FastAPI copies it
) -> TryAnswer:
    """Which concepts and neurons fire most in a picture, and where. The picture is never written, and forgotten with the answer."""
    model.require()
    held = request.app.state.pictures
    if held.locked():
        raise MonosemeError("several pictures are being looked at already; try again in a moment")
    async with held:
        content = await request.body()
        sight, distribution = sights.of(bank), distributions.of(bank).begin()

        def send(network: Model) -> Passed:
            return passed(network, bank, decoded(content))

        found = await asyncio.wrap_future(model.ask(send))
        sample = await asyncio.wrap_future(distribution.sample)

        def look(network: Model) -> TryAnswer:
            return looked_at(network, bank, sight, found, sample, distribution.levels, concept)

        answer = await asyncio.wrap_future(model.ask(look))
        answer.model = model.answer()
        answer.nearest = await run_in_threadpool(on_one_core, lambda: nearest(bank, found.embedding))
        return answer


@router.get("/banks/{layer}/{bank}/try", **HTML)
def try_page(bank: Bank, model: TheNetwork, distributions: TheDistributions, concept: Concepts = []) -> Response:  # noqa: B006
    """A place to drop, choose or paste a picture."""
    title = element("h1", "Try an image", element("span", f" on {bank.layer}", class_="faint"))
    parts = [element("header", title, class_="title")]
    data: dict[str, Any] = {}
    if model.missing is not None:
        parts += _without(model.missing)
    else:
        distributions.of(bank).begin()
        parts += _with(bank)
        data = {
            "address": f"/api{bank.place().base}/try",
            "base": bank.place().base,
            "most": PICTURE.limit,
            "asked": concept,
            "version": version(bank.run),
        }
    scripts = ["try.js"] if data else []
    content = page(bank.place(), f"try an image on {bank.layer}", parts, scripts=scripts, data=data or None)
    return Response(content, media_type="text/html; charset=utf-8")


def _without(missing: str) -> list[Html]:
    return [
        element("p", "A picture can be looked at with the run's model only, which is not at hand.", class_="lead"),
        element("p", f"{missing[:1].upper()}{missing[1:]}."),
    ]


def _with(bank: OpenedBank) -> list[Html]:
    field = element("input", type="file", accept="image/*", id="file")
    megabytes, megapixels = PICTURE.limit // 2**20, PIXELS // 10**6
    limits = f"At most {megabytes} MiB and {megapixels} million pixels. It is not kept: neither on disk nor in memory."
    return [
        element(
            "div",
            element("p", element("label", "Drop a picture here, paste one, or choose one: ", for_="file"), field),
            element("p", limits, class_="faint small"),
            element("noscript", element("p", "The page needs its script to send a picture.", class_="error")),
            id="drop",
            class_="drop",
        ),
        element("p", id="state", class_="lead", role="status"),
        element("div", id="seen", tabindex="-1"),
    ]
