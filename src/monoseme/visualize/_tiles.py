"""Thumbnails as square tiles, alone and in rows."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ..runs import Run

TILE, GAP = 88, 6


def tiles(run: Run, image_ids: npt.ArrayLike, size: int = TILE) -> list[Image.Image]:
    """The middle of each thumbnail as a square of `size` pixels."""
    return [ImageOps.fit(each, (size, size), Image.Resampling.LANCZOS) for each in run.thumbnails(image_ids)]


def strip(
    run: Run,
    image_ids: npt.NDArray[np.int64],
    columns: int,
    size: int = TILE,
    gap: int = GAP,
    pale: Container[int] = (),
) -> Image.Image:
    """Rows of tiles on white; those at the places in `pale` are faint."""
    lines = max(1, -(-len(image_ids) // columns))
    pitch = size + gap
    canvas = Image.new("RGB", (columns * pitch - gap, lines * pitch - gap), "white")
    for place, tile in enumerate(tiles(run, image_ids, size)):
        if place in pale:
            tile = Image.blend(tile, Image.new("RGB", tile.size, "white"), 0.6)
        canvas.paste(tile, (place % columns * pitch, place // columns * pitch))
    return canvas
