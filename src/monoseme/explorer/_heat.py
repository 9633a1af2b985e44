"""Where in its images a concept or a direction is, an image at a time, for pages that lay it over the thumbnails."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from ..base.html import Html, element
from ._bank import Bank, Direction, Number
from ._choice import Asked, Choice, asked
from ._cut import cut, letter
from ._images import LARGEST
from ._network import Network, TheNetwork
from ._opened import NotFound, OpenedBank
from ._sight import Aim, ImageHeat, Sights

router = APIRouter()

ImageId = Annotated[int, Path(ge=0, le=LARGEST)]


def concept_aim(bank: Bank, concept: Number) -> Aim:
    """A concept of the bank, in the colour that it has on its direction's page."""
    bank.require(concept)
    found = bank.bank[concept]
    place = [each.number for each in bank.bank.for_direction(found.direction)].index(concept)
    return Aim(f"concept {concept}", found.vector, place)


def direction_aim(bank: Bank, direction: Direction) -> Aim:
    """A direction itself."""
    view = bank.direction(direction)
    if view.start is None:
        raise NotFound(f"{view.name} is a score, which is no direction and is at no place")
    return Aim(view.name, view.start, None)


def group_aim(
    bank: Bank,
    direction: Direction,
    wanted: Annotated[Asked, Depends(asked)],
    group: Annotated[int | None, Query(ge=0, le=1000, description="place among the concepts; none: itself")] = None,
) -> Aim:
    """One of the concepts that a choice makes of a direction, or the direction itself."""
    if group is None:
        return direction_aim(bank, direction)
    concepts = cut(bank, direction, Choice.of(bank, wanted)).view.concepts
    if group >= len(concepts):
        raise NotFound(f"there is no concept at place {group}; the choice makes {len(concepts)}, numbered from 0")
    return Aim(f"concept {letter(group)}", concepts[group].vector, group)


async def _sights(request: Request) -> Sights:
    found = request.app.state.sights
    assert isinstance(found, Sights)
    return found


TheSights = Annotated[Sights, Depends(_sights)]


@router.get("/api/banks/{layer}/{bank}/concept/{concept}/heat/{image_id}")
async def concept_heat(
    bank: Bank,
    image_id: ImageId,
    aim: Annotated[Aim, Depends(concept_aim)],
    model: TheNetwork,
    sights: TheSights,
    response: Response,
) -> ImageHeat:
    """Where in an image of the run a concept is."""
    return await _heat(bank, image_id, aim, model, sights, response)


@router.get("/api/banks/{layer}/{bank}/neuron/{direction}/heat/{image_id}")
async def direction_heat(
    bank: Bank,
    image_id: ImageId,
    aim: Annotated[Aim, Depends(group_aim)],
    model: TheNetwork,
    sights: TheSights,
    response: Response,
) -> ImageHeat:
    """Where in an image of the run a direction is, or one of the concepts that a choice makes of it."""
    return await _heat(bank, image_id, aim, model, sights, response)


async def _heat(
    bank: OpenedBank, image_id: int, aim: Aim, model: Network, sights: Sights, response: Response
) -> ImageHeat:
    if image_id >= len(bank.run):
        raise NotFound(f"there is no image {image_id}; the run holds {len(bank.run):,}, numbered from 0")
    sight = sights.of(bank)
    found = await asyncio.wrap_future(model.ask(lambda network: sight.image(network, image_id, aim)))
    response.headers["cache-control"] = "private, max-age=60"
    return found


def concept_address(bank: OpenedBank, concept: int) -> str:
    """Where the heatmaps of a concept are; {image} stands for the number of an image."""
    return f"/api{bank.place().base}/concept/{concept}/heat/{{image}}"


def direction_address(bank: OpenedBank, direction: int) -> str:
    """Where those of a direction are."""
    return f"/api{bank.place().base}/neuron/{direction}/heat/{{image}}"


def group_address(bank: OpenedBank, direction: int, choice: Choice, group: int) -> str:
    """Where those of a concept are that a choice has made of a direction."""
    return f"{direction_address(bank, direction)}?{urlencode({'group': group, **choice.query()})}"


def pointer(model: Network, bank: OpenedBank, direction: int, concept: str) -> Html:
    """The line above pictures that can be pointed at: what is then seen in them, or why nothing is.

    direction : that of the pictures
    concept : what their concepts are called
    """
    if (missing := model.missing) is not None:
        text = f"Where in the images it is cannot be shown: {missing}."
        return element("p", text, id="sight", class_="faint small", data_model="missing", data_live="")
    options = [element("option", concept, value="concept")]
    itself = None
    if bank.bank.start(direction) is not None:
        itself = direction_address(bank, direction)
        options.append(element("option", f"the {bank.bank.start_name} itself", value="direction"))
    options.append(element("option", "nothing", value=""))
    select = element("select", *options, id="seen", data_direction=itself)
    line = element("p", element("label", "Point at an image to see where in it is ", select), class_="small")
    keys = "Arrow keys go from image to image, Escape takes the map away."
    return element(
        "div",
        line,
        element("p", keys, id="sight", class_="faint small", data_model=model.answer().state),
        class_="pointer",
        data_live="",
    )
