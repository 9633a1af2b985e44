"""Thumbnails: one by its number as a JPEG, and as elements of pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Path, Request, Response

from ..base import MonosemeError, printable
from ..base.html import Html, element
from ..runs import Run
from ._opened import Fact, NotFound, Opened

router = APIRouter()

SIDE = 96
"""Side in pixels that pages show a thumbnail at; it scales with the screen."""
LARGEST = 2**53
"""The largest number that an address may hold: what JSON can say exactly."""


async def opened(
    request: Request,
) -> Opened:  # what needs no thread is async: a change of threads costs more than it does
    """The run that this application shows."""
    found = request.app.state.opened
    assert isinstance(found, Opened)
    return found


@router.get(
    "/image/{image_id}.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The thumbnail that the run keeps."}},
)
def image(
    image_id: Annotated[int, Path(ge=0, le=LARGEST)], run: Annotated[Opened, Depends(opened)], v: str = ""
) -> Response:
    """A thumbnail as the run keeps it. With the version `v` that pages give, it may be kept for good."""
    now = run.run
    content = thumbnail_of(now, image_id)
    kept = "private, max-age=31536000, immutable" if v and v == version(now) else "private, max-age=60"
    return Response(content, media_type="image/jpeg", headers={"cache-control": kept})


def thumbnail_of(run: Run, image_id: int) -> bytes:
    """A thumbnail of the run as the JPEG that it keeps.

    Raises
    ------
    NotFound
        There is no such image, or the run keeps no thumbnails.
    MonosemeError
        It is damaged.
    """
    if image_id >= len(run):
        raise NotFound(f"there is no image {image_id}; the run holds {len(run):,}, numbered from 0")
    if run.manifest.thumbnails is None:
        raise NotFound("the run holds no thumbnails (it was made with --no-thumbnails)")
    content = run.images([image_id], ["thumbnail"])["thumbnail"][0].as_py()
    if content is None or content[:2] != b"\xff\xd8":
        raise MonosemeError(f"the thumbnail of image {image_id} is damaged; embed again with --overwrite")
    assert isinstance(content, bytes)
    return content


def version(run: Run) -> str:
    """Of a run's pictures: the same number is the same picture as long as this does not change."""
    return str(run.manifest.images["digest"])[:12]


def address(run: Run, image_id: int) -> str | None:
    """Where a thumbnail is, None where the run has none."""
    return None if run.manifest.thumbnails is None else f"/image/{image_id}.jpg?v={version(run)}"


def image_of(place: str) -> int | None:
    """The image that an address is the thumbnail of, None for any other address.

    >>> image_of("/image/5.jpg?v=0a"), image_of("/banks/3/x")
    (5, None)
    """
    found = re.match(r"/image/(\d+)\.jpg", place)
    return None if found is None else int(found[1])


def described(image_id: int, fact: Fact, more: str = "") -> str:
    """What an image is, in words."""
    label = f" ({printable(fact.label, 60)})" if fact.label else ""
    return f"image {image_id}: {printable(fact.uri, 120)}{label}{more}"


def thumbnails(
    run: Run,
    image_ids: npt.NDArray[np.int64] | Sequence[int],
    facts: Sequence[Fact],
    more: Sequence[str] | None = None,
    marks: Sequence[str | None] | None = None,
    heat: str | None = None,
) -> Html:
    """A list of pictures, each with its name.

    more : what to say of each beside its name
    marks : a few words to be seen on each, None for nothing
    heat : as for `listed`
    """
    said = more if more is not None else [""] * len(facts)
    seen = marks if marks is not None else [None] * len(facts)
    rows = zip(image_ids, facts, said, seen, strict=True)
    return listed([tile(run, int(image_id), fact, text, mark) for image_id, fact, text, mark in rows], heat)


def listed(tiles: Sequence[Html], heat: str | None = None) -> Html:
    """A list of pictures.

    heat : address of the heatmaps that are laid over them, with {image} for the number of an image
    """
    return element("ul", *tiles, class_="thumbs", data_heat=heat)


def tile(
    run: Run, image_id: int, fact: Fact, more: str = "", mark: str | None = None, place: int | None = None
) -> Html:
    """One picture of a list.

    place : a number that stays the same whatever its neuron is split into, so that it need not be drawn anew
    """
    words, source = described(image_id, fact, more), address(run, image_id)
    if source is None:
        shown = element("span", printable(fact.uri, 40), title=words, class_="name")
    else:
        shown = element(
            "img", src=source, alt=words, title=words, width=SIDE, height=SIDE, loading="lazy", data_image=image_id
        )
    badge = Html() if mark is None else element("span", mark, class_="mark")
    return element("li", shown, badge, data_place=place)
