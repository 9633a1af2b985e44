"""Images as files that any program reads as they were embedded."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ._decode import BadImage, pillow_judges

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "PPM": ".ppm",
}
"""Pillow's names of the formats that every build of it reads, and the suffixes that such files have."""


def as_file(image: Image.Image, encoded: bytes | None) -> tuple[bytes, str]:
    """Content and suffix of a file that shows an image.

    Most programs open a file with Pillow and convert it to RGB. Where that gives the pixels of `image`, the encoded bytes
    are used as they are. It does not for photographs that are upright only by their EXIF orientation, for transparency and
    for more than 8 bits; then, and without encoded bytes, it is a PNG of the pixels, from which nothing is lost.

    Parameters
    ----------
    image
        RGB, as `ImageSource.load` gives it.
    encoded
        The bytes that it was decoded from, if there are any.

    Returns
    -------
    content, suffix
        The suffix has its dot and follows from the content alone.

    Examples
    --------
    >>> from PIL import Image
    >>> as_file(Image.new("RGB", (2, 2)), None)[1]
    '.png'
    """
    suffix = None if encoded is None else _suffix_if_plain(encoded, image)
    if encoded is not None and suffix is not None:
        return encoded, suffix
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue(), ".png"


def _suffix_if_plain(encoded: bytes, image: Image.Image) -> str | None:
    """The suffix of the bytes' format, if whoever opens them without further ado sees that image."""
    from PIL import Image

    Image.init()
    formats = [name for name in SUFFIXES if name in Image.OPEN]
    try:
        with pillow_judges(), Image.open(io.BytesIO(encoded), formats=formats) as plain:
            same = plain.size == image.size and plain.convert("RGB").tobytes() == image.tobytes()
            return SUFFIXES.get(plain.format or "") if same else None
    except BadImage:
        return None
