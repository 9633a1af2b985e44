"""From encoded bytes to an upright 8-bit RGB image, or to a `BadImage` that says why not."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

from ._rgb import TURNED, orientation_of, to_rgb, turned_upright

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 178_956_970
"""The most pixels an image may declare; where Pillow itself begins to refuse (twice what it warns at)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "QOI", "HEIF")
"""Pillow's names of the formats tried. None of them runs a program, as EPS does; HEIF only where a plugin is registered."""

TRUNCATED = "truncated: the file ends before its image does"


class BadImage(Exception):
    """An image that cannot be used; `str()` of it is the reason, in one line and without a path.

    >>> str(BadImage("empty file"))
    'empty file'
    """


class Decoded(NamedTuple):
    """Upright RGB pixels, and the upright size that the file declares (larger, if decoded at reduced scale)."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> Decoded:
    """Decode one image, the first frame if there are several.

    Parameters
    ----------
    data
        The encoded file.
    max_pixels
        Refuse images that declare more than this.
    at_least
        When given, JPEGs may be decoded at 1/2, 1/4 or 1/8 of their size, as long as the short side keeps this
        many pixels.

    Raises
    ------
    BadImage
        The bytes are not an image, are damaged or cut off, or declare too many pixels.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (640, 480), "red").save(file, "JPEG")
    >>> decode(file.getvalue()).image.size
    (640, 480)
    >>> decode(file.getvalue(), at_least=100)
    Decoded(image=<PIL.Image.Image image mode=RGB size=160x120 at ...>, width=640, height=480)
    """
    with pillow_judges():
        image = _open(data)
        width, height = _checked(image.size, max_pixels)
        if at_least is not None:
            image.draft(None, (max(at_least, 1), max(at_least, 1)))
        image.load()
        orientation = orientation_of(image)
        if orientation in TURNED:
            width, height = height, width
        return Decoded(turned_upright(to_rgb(image), orientation), width, height)


def upright_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Upright (width, height), from the header alone wherever the format allows.

    Raises
    ------
    BadImage
        As `decode`, as far as the header tells.
    """
    with pillow_judges():
        image = _open(data)
        width, height = _checked(image.size, max_pixels)
        if image.format == "TIFF":  # Pillow declares these upright
            return width, height
        if image.format == "PNG" and "exif" not in image.info:
            if b"eXIf" in data:
                image.load()  # its EXIF follows the pixels
            else:
                return width, height  # asking a PNG for EXIF would decode it
        orientation = orientation_of(image)
        return (height, width) if orientation in TURNED else (width, height)


def upright_rgb(image: Image.Image, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An image that is already Pillow's (and may still be lazy), as `decode` would give it."""
    with pillow_judges():
        _checked(image.size, max_pixels)
        image.load()
        return turned_upright(to_rgb(image), orientation_of(image))


@contextmanager
def pillow_judges() -> Iterator[None]:
    """Within, whatever Pillow raises about an image becomes `BadImage`, and its warnings are kept from the user."""
    with _hushed():
        try:
            yield
        except BadImage:
            raise
        except Exception as error:  # decoders raise nearly anything on hostile bytes
            raise BadImage(_reason(error)) from error


def _open(data: bytes) -> ImageFile.ImageFile:
    """The lazily opened image. `Image.open` would do, but for its fixed bomb limit and its list of formats."""
    from PIL import Image

    if not data:
        raise BadImage("empty file")
    Image.init()
    failure: tuple[str, Exception] | None = None
    for name in FORMATS:
        if name not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[name]
        try:
            accepted = accept(data[:16]) if accept else True
            if isinstance(accepted, str):
                raise BadImage(f"this build of Pillow cannot read {name}")
            if accepted:
                return factory(io.BytesIO(data), "")
        except BadImage:
            raise
        except Exception as error:  # nearly anything, and another format may still know the bytes as its own
            failure = name, error
    raise BadImage(_verdict(data, failure))


def _verdict(data: bytes, failure: tuple[str, Exception] | None) -> str:
    """Why no format took the bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") > len(data) - 8:
        return TRUNCATED  # Pillow only says that there is no decoder
    if failure is not None:
        return _reason(failure[1], failure[0])
    kind = {b"avi": "AVIF", b"hei": "HEIC", b"hev": "HEIC", b"mif": "HEIF", b"msf": "HEIF"}.get(data[8:11])
    if data[4:8] == b"ftyp" and kind:
        return f"{kind}, which this build of Pillow cannot read; convert it to JPEG"
    return "not an image (unknown format)"


def _checked(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    width, height = size
    if width <= 0 or height <= 0:
        raise BadImage(f"no pixels: {width:,} x {height:,}")
    if width * height > max_pixels:
        limit = f"{max_pixels // 10**6:,} million" if max_pixels >= 10**6 else f"{max_pixels:,}"
        raise BadImage(f"too large: {width:,} x {height:,} pixels (limit {limit})")
    return size


def _reason(error: Exception, kind: str = "image") -> str:
    from PIL.Image import DecompressionBombError

    said = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(error))).strip()
    if isinstance(error, DecompressionBombError):
        return "too large: more pixels than Pillow decodes in this format"
    if isinstance(error, MemoryError):
        return "too large: not enough memory to decode it"
    if isinstance(error, EOFError) or re.search(
        "truncated|unexpected end|not enough image data|buffer is not large", said, re.I
    ):
        return TRUNCATED
    return f"damaged {kind}: {said[:80]}" if said else f"damaged {kind}"


_hush_lock = threading.Lock()
_hush_depth = 0
_HUSH = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop warnings that arise in Pillow's modules while any thread is inside.

    `warnings.catch_warnings` would restore a whole list of filters, which mixes up threads that overlap; one narrow
    filter put in and taken out again cannot harm those of others.
    """
    global _hush_depth
    with _hush_lock:
        filters = cast("list[object]", warnings.filters)
        if _HUSH not in filters:
            filters.insert(0, _HUSH)
        _hush_depth += 1
    try:
        yield
    finally:
        with _hush_lock:
            _hush_depth -= 1
            filters = cast("list[object]", warnings.filters)
            if not _hush_depth and _HUSH in filters:
                filters.remove(_HUSH)
