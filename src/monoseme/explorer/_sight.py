"""Where in a picture directions of a layer are: heatmaps laid over it, and the place in words."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from pydantic import BaseModel

from ..base.html import data_uri
from ..models import give_back_memory
from ._opened import OpenedBank
from ._photographs import Photographs, Source

if TYPE_CHECKING:
    from ..models import Model
    from ..use import Heatmaps
    from ..visualize import Finder

SIDE = 220
"""Longest side of an overlaid picture in pixels."""
KEPT = 400
"""Overlaid pictures that are kept in memory, of some 10 kB each."""
QUALITY = 80


class Aim(NamedTuple):
    """What to look for.

    name : how it is called
    vector : (C,) in the bank's frame
    place : that of its colour, None for grey
    """

    name: str
    vector: npt.NDArray[np.float32]
    place: int | None


class HeatAnswer(BaseModel):
    """Where in a picture something is: the picture as it is there, and faded elsewhere; as a data URI and in words."""

    of: str
    projection: float
    where: str
    picture: str


class ImageHeat(HeatAnswer):
    """The same of an image of the run, from its original or, where that is not at hand, from its thumbnail."""

    image_id: int
    source: Source


class Sight:
    """Looks for directions of one bank's layer. Used by the model's thread alone."""

    def __init__(self, bank: OpenedBank, photographs: Photographs) -> None:
        self._bank, self._photographs = bank, photographs
        self._finder: tuple[Model, Finder] | None = None
        self._kept: OrderedDict[tuple[int, str, int | None, bytes], ImageHeat] = OrderedDict()

    def image(self, model: Model, image_id: int, aim: Aim) -> ImageHeat:
        """Where in an image of the run it is."""
        key = (image_id, aim.name, aim.place, aim.vector.tobytes())
        if key not in self._kept:
            picture, source = self._photographs(self._bank.run, image_id)
            (found,) = self.picture(model, picture, [aim])
            self._kept[key] = ImageHeat(**found.model_dump(), image_id=image_id, source=source)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def picture(self, model: Model, picture: Image.Image, aims: Sequence[Aim], size: int = SIDE) -> list[HeatAnswer]:
        """Where in a picture each of several directions is."""
        maps = self._find(model)([picture], np.stack([aim.vector for aim in aims]))
        small = ImageOps.contain(picture, (2 * size, 2 * size), Image.Resampling.LANCZOS)
        return [_overlaid(maps, small, row, aim, size) for row, aim in enumerate(aims)]

    def _find(self, model: Model) -> Finder:
        from ..visualize import Finder

        if self._finder is None or self._finder[0] is not model:
            self._finder = (model, Finder(self._bank.bank, self._bank.run, model))
            give_back_memory()  # measuring the receptive field takes far more than looking
        return self._finder[1]


def _overlaid(maps: Heatmaps, picture: Image.Image, row: int, aim: Aim, size: int) -> HeatAnswer:
    from ..visualize import GREY, mark, overlaid

    colour = GREY if aim.place is None else mark(aim.place).colour
    (seen,) = overlaid(maps, [picture], row, colour, size)
    with io.BytesIO() as file:
        seen.save(file, "JPEG", quality=QUALITY)
        content = data_uri(file.getvalue(), "image/jpeg")
    return HeatAnswer(
        of=aim.name,
        projection=float(maps.projections[0, row]),
        where=place_of(maps.on_picture(0, row, (60, 60))),
        picture=content,
    )


_PLACES = (
    ("in the upper left", "at the top", "in the upper right"),
    ("on the left", "in the middle", "on the right"),
    ("in the lower left", "at the bottom", "in the lower right"),
)


def place_of(heat: npt.NDArray[np.float32]) -> str:
    """The place where a map (height, width; NaN where nothing is known) reaches half of its peak, in words.

    >>> heat = np.zeros((10, 10), dtype=np.float32)
    >>> heat[:2, :3] = 5
    >>> place_of(heat), place_of(-heat)
    ('in the upper left, on 6 % of the picture', 'nowhere more than in the average image')
    """
    known = np.where(np.isfinite(heat), heat, 0)
    if known.max() <= 0:
        return "nowhere more than in the average image"
    there = known >= known.max() / 2
    down, across = (places.mean() + 0.5 for places in np.nonzero(there))
    row, column = int(3 * down / heat.shape[0]), int(3 * across / heat.shape[1])
    return f"{_PLACES[row][column]}, on {100 * there.mean():.0f} % of the picture"


class Sights:
    """One `Sight` for each bank that is looked at, the last few."""

    def __init__(self, images: object | None) -> None:
        photographs = Photographs(images)
        self.of = lru_cache(4)(lambda bank: Sight(bank, photographs))
