"""Crops: the part of a picture that shows a concept, as large as what a position of the layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..base import UsageError
from ._heatmaps import Heatmaps
from ._place import to_picture

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """A part of a picture round a peak of a heatmap. Made by `concept_crops`.

    image : which picture of the heatmaps
    box : (left, top, right, bottom) in pixels of the picture
    value : of the map at the peak
    picture : what the box holds
    """

    image: int
    box: Box
    value: float
    picture: Image.Image


def concept_crops(
    maps: Heatmaps,
    images: Sequence[Image.Image],
    concept: int = 0,
    *,
    count: int = 1,
    least: int = 32,
    share: float = 0.5,
    overlap: float = 0.2,
) -> list[list[Crop]]:
    """Cut each picture round the peaks of a concept's heatmap.

    A crop is as large as the effective receptive field, brought to the picture's scale, and lies inside the part of the
    picture that the model saw.

    Parameters
    ----------
    maps : Heatmaps
        Of these pictures.
    images : sequence of n PIL images
        The pictures that the maps were made from.
    concept : int
        Which concept: a column of ``maps.projections``.
    count : int
        Crops of a picture at most, the highest peak first.
    least : int
        Pixels a side at least, where the picture has as many.
    share : float
        Further peaks count where they reach this part of the highest, above zero.
    overlap : float
        Of further peaks those are left out whose crops share more than this part of their union with one taken.

    Returns
    -------
    list of n lists of `Crop`

    Raises
    ------
    UsageError
        The pictures are not those of the maps, or a number is out of range.

    Examples
    --------
    >>> import monoseme as ms
    >>> field = ms.ReceptiveField.even((64, 64), (4, 4))
    >>> values = np.zeros((1, 1, 4, 4), np.float32)
    >>> values[0, 0, 1, 2] = 1
    >>> size, window = np.array([[128, 64]]), np.array([[32.0, 0.0, 96.0, 64.0]])
    >>> maps = ms.Heatmaps(values, values.mean((2, 3)), "mean", None, size, window, field)
    >>> [[crop]] = concept_crops(maps, [Image.new("RGB", (128, 64))], least=8)
    >>> crop.box
    (64, 16, 80, 32)
    """
    if len(images) != len(maps) or any(
        picture.size != tuple(size) for picture, size in zip(images, maps.sizes, strict=True)
    ):
        raise UsageError(
            "these are not the pictures that the heatmaps were made from; give the same, in the same order"
        )
    if count < 1 or least < 1:
        raise UsageError(f"ask for at least one crop of at least one pixel, not {count} of {least}")
    return [
        _of_one(maps, picture, place, concept, count, least, share, overlap) for place, picture in enumerate(images)
    ]


def _of_one(
    maps: Heatmaps, picture: Image.Image, place: int, concept: int, count: int, least: int, share: float, overlap: float
) -> list[Crop]:
    window = maps.window(place, concept)
    values = maps.values[place, concept]
    order = np.argsort(-values, axis=None, kind="stable")
    crops: list[Crop] = []
    for cell in order:
        row, column = divmod(int(cell), values.shape[1])
        value = float(values[row, column])
        if crops and (len(crops) == count or value <= 0 or value < share * crops[0].value):
            break
        box = _box(maps, window, picture.size, (row, column), least)
        if all(_union_share(box, crop.box) <= overlap for crop in crops):
            crops.append(Crop(place, box, value, picture.crop(box)))
    return crops


def _box(
    maps: Heatmaps,
    window: tuple[float, float, float, float],
    size: tuple[int, int],
    position: tuple[int, int],
    least: int,
) -> Box:
    """The effective field of a position in pixels of the picture, moved into the part that was seen."""
    centre = to_picture(maps.field, window, *position)
    sides = []
    for axis in (0, 1):  # across, down
        low, high = max(0, round(window[axis])), min(size[axis], round(window[axis + 2]))
        low, high = (low, high) if low < high else (0, size[axis])  # nothing but padding was seen
        seen = maps.field.effective[1 - axis] * (window[axis + 2] - window[axis]) / maps.field.input_size[1 - axis]
        length = min(max(round(seen), least), high - low)
        begin = min(max(round(centre[axis] - length / 2), low), high - length)
        sides.append((begin, begin + length))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _union_share(one: Box, other: Box) -> float:
    """Intersection over union."""
    lows, highs = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = float(np.prod(np.maximum(highs - lows, 0)))
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
