"""From any Pillow mode to upright 8-bit RGB, by value and without clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION_TAG = 0x0112
TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it is nonsense.

    Ask after `image.load()`: a PNG may carry its EXIF behind the pixels, and Pillow turns a TIFF while loading it.
    """
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # corrupt EXIF must not lose an image whose pixels are fine
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turned_upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as its EXIF orientation says that it should be seen."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode as a new RGB image: transparency on white, deep grey scaled to 8 bits.

    >>> from PIL import Image
    >>> to_rgb(Image.new("I;16", (1, 1), 0x8080)).getpixel((0, 0))
    (128, 128, 128)
    >>> to_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if image.mode.startswith("I;16"):
        rgb = _grey(_from_16_bits(np.asarray(image)))
    elif image.mode in ("I", "F"):
        # Pillow scales deep PNM and PNG to 16 bits; a 32-bit TIFF holds whatever its maker measured.
        deep = image.mode == "I" and image.format in ("PPM", "PNG")
        rgb = _grey(_from_16_bits(np.asarray(image)) if deep else _from_measurements(np.asarray(image)))
    elif image.has_transparency_data:
        rgb = _on_white(image)
    elif image.mode == "RGB":
        rgb = image.copy()
    else:
        rgb = image.convert("RGB")
    rgb.info = {}  # profiles, comments and EXIF are about the file, not about these pixels
    return rgb


def _grey(values: npt.NDArray[np.uint8]) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(values)).convert("RGB")


def _from_16_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """0..65535 to 0..255, so that 257 steps become one and white stays white."""
    scaled: npt.NDArray[np.uint8] = ((np.clip(values, 0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8)
    return scaled


def _from_measurements(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """32-bit values: 0..1 (floats) and 0..255 by their meaning, anything else stretched from its least to its greatest."""
    wide = values.astype(np.float64)
    known = np.isfinite(wide)
    low, high = (wide[known].min(), wide[known].max()) if known.any() else (0.0, 0.0)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    wide = np.clip(np.nan_to_num(wide, nan=low, posinf=high, neginf=low), low, high)
    return np.rint((wide - low) / max(high - low, np.finfo(np.float64).tiny) * 255).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode in ("La", "RGBa"):  # premultiplied alpha converts only to its plain twin
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    overlay = image.convert("RGBA")
    canvas = Image.new("RGBA", overlay.size, "white")
    canvas.alpha_composite(overlay)
    return canvas.convert("RGB")
