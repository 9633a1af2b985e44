"""Pictures inside a page: rows of thumbnails and matrices, as data."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..base.html import Html, data_uri, element
from ..runs import Run
from ..visualize import strip

TILE, GAP = 80, 4
_PALE, _DEEP = (247, 251, 255), (8, 48, 107)


def row_of_images(run: Run, image_ids: npt.NDArray[np.int64], alt: str, *, columns: int, quality: int) -> Html:
    """A row of thumbnails as one picture; nothing where the run has none."""
    if run.manifest.thumbnails is None or len(image_ids) == 0:
        return Html()
    shown = image_ids[:columns]
    made = strip(run, shown, len(shown), size=TILE, gap=GAP)
    buffer = io.BytesIO()
    made.save(buffer, "WEBP", quality=quality, method=2)
    source = data_uri(buffer.getvalue(), "image/webp")
    return element("img", src=source, alt=alt, width=made.width, height=made.height, class_="strip", decoding="async")


def matrix(values: npt.NDArray[np.float64], name: str, *, side: int = 200, reverse: bool = False) -> Html:
    """A square matrix as a picture, deep blue for alike; the diagonal does not count for the scale."""
    apart = values[~np.eye(len(values), dtype=np.bool_)]
    low, high = (float(apart.min()), float(apart.max())) if len(apart) else (0.0, 1.0)
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    share = 1 - share if reverse else share
    pale, deep = np.array(_PALE), np.array(_DEEP)
    pixels = (pale + share[..., None] * (deep - pale)).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    alt = f"{name}, from {low:.3g} to {high:.3g}"
    return element(
        "img",
        src=data_uri(buffer.getvalue(), "image/png"),
        alt=alt,
        title=alt,
        width=side,
        height=side,
        class_="matrix",
    )
