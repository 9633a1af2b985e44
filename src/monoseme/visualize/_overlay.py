"""A heatmap laid over a photograph that stays to be seen: what the map does not reach fades, a line goes round the rest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor
from scipy import ndimage

from ..base import UsageError

# Luma of Rec. 601, which Pillow's own conversion to grey uses.
_LUMA = np.array([0.299, 0.587, 0.114])


def overlay(
    picture: Image.Image,
    heat: npt.ArrayLike,
    *,
    level: float = 0.5,
    peak: float | None = None,
    colour: str = "#E69F00",
    line: float | None = None,
    fade: float = 0.8,
) -> Image.Image:
    """A photograph with the place that a heatmap points at left as it is, outlined, and the rest faded.

    Where the map reaches `level` of its peak, each pixel is the photograph's own. Round that runs a line in colour between
    two thin white ones, and beyond it the photograph loses colour and contrast the more, the lower the map is: shape, light and
    shade tell the place, so colour vision is not needed. A map that reaches the level nowhere leaves all of it faded.

    Parameters
    ----------
    picture : PIL image
        The photograph.
    heat : (height, width) array
        One value a pixel, as `Heatmaps.on_picture` gives it, NaN where nothing is known; 0 is where fading is full.
    level : float
        The part of the peak from which on the photograph is left alone.
    peak : float, optional
        What counts as the peak, for pictures that are to be compared; by default the map's own greatest value.
    colour : str
        Of the line, as Pillow reads colours.
    line : float, optional
        Its width in pixels; by default a hundredth of the longer side, and 2 at least. 0 draws none.
    fade : float
        How much of colour and contrast is lost where the map is 0 or lower, from 0 to 1.

    Raises
    ------
    UsageError
        The map has another size than the picture, or a number is out of range.

    Examples
    --------
    >>> photo, heat = Image.new("RGB", (40, 20), "red"), np.zeros((20, 40))
    >>> heat[8:12, 10:14] = 3.0
    >>> seen = overlay(photo, heat)
    >>> seen.getpixel((12, 10)) == photo.getpixel((12, 10)), seen.getpixel((35, 3)) == photo.getpixel((35, 3))
    (True, False)
    """
    values = np.asarray(heat, dtype=np.float64)
    if values.shape != (picture.height, picture.width):
        raise UsageError(
            f"the map has {values.shape} values, but the picture {picture.height} x {picture.width} pixels; "
            "draw it out with Heatmaps.on_picture"
        )
    if not 0 < level <= 1:
        raise UsageError(f"the level is a part of the peak between 0 and 1, not {level}")
    if not 0 <= fade <= 1:
        raise UsageError(f"fading lies between 0 and 1, not at {fade}")
    try:
        paint = np.array(ImageColor.getrgb(colour)[:3], dtype=np.float64)
    except ValueError as error:
        raise UsageError(f"{colour!r} is no colour; write it as #E69F00 or by its name") from error
    known = np.isfinite(values)
    highest = peak if peak is not None else float(values[known].max(initial=0.0))
    part = np.where(known & (values > 0), values, 0) / highest if highest > 0 else np.zeros_like(values)
    inside = known & (part >= level)
    photo = np.asarray(picture.convert("RGB"), dtype=np.float64)
    # pale grey keeps shapes and stays lighter than the photograph, on paper as on a screen
    pale = 255 - (255 - (photo @ _LUMA)[..., None]) * (1 - 0.45 * fade)
    strength = fade * (1 - np.clip(part / level, 0, 1) ** 2)[..., None]
    made = photo + strength * (pale - photo)
    width = line if line is not None else max(2.0, max(picture.size) / 100)
    if width > 0 and inside.any():
        away = ndimage.distance_transform_edt(~inside)
        edge = max(width / 4, 0.75)
        for outer, shade in ((width + 2 * edge, np.full(3, 255.0)), (width + edge, paint), (edge, np.full(3, 255.0))):
            cover = np.clip(outer + 0.5 - away, 0, 1)[..., None]
            made += cover * (shade - made)
    made[inside] = photo[inside]
    return Image.fromarray(np.clip(np.round(made), 0, 255).astype(np.uint8))
