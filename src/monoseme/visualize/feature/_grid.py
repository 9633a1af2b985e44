"""Feature images as one matplotlib figure: a row for each direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...base import UsageError, printable
from .._style import new_figure
from ._images import FeatureImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _LABEL, _LEAST = 6, 170, 64


def feature_grid(
    images: FeatureImages, titles: Sequence[str] | None = None, *, background: str | Sequence[float] = "white"
) -> Figure:
    """Draw feature images, a row for each direction, with the activation that they reached.

    Parameters
    ----------
    images : FeatureImages
        R directions with n images each.
    titles : sequence of R str, optional
        What stands at the left of each row; the directions' own names by default.
    background : str or numbers in [0, 1]
        What shows through where MaCo's images are transparent.

    Raises
    ------
    UsageError
        There are more or fewer titles than directions, or the images are no pictures.
    MissingExtraError
        matplotlib is not installed.
    """
    named = images.names if titles is None else tuple(titles)
    if len(named) != len(images):
        raise UsageError(f"{len(named)} titles are given for {len(images)} rows of images")
    rows = [images.pictures(row, background=background) for row in range(len(images))]
    count, tall, wide = images.pixels.shape[1:4]
    line = max(tall, _LEAST)
    width = _LABEL + count * (wide + _GAP) + 10
    height = len(rows) * (line + _GAP) + 14
    figure = new_figure(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for row, (name, pictures) in enumerate(zip(named, rows, strict=True)):
        y = 10 + row * (line + _GAP)
        reached = images.activation[row]
        told = f"{reached[0]:.3g}" if count == 1 else f"{reached.min():.3g} to {reached.max():.3g}"
        text = f"{printable(name, 40)}\nactivation {told}"
        axes.text(_LABEL - 12, y + line / 2, text, fontsize=9, ha="right", va="center", parse_math=False)
        for place, picture in enumerate(pictures):
            x = _LABEL + place * (wide + _GAP)
            axes.imshow(
                np.asarray(picture.convert("RGB")),
                extent=(x, x + wide, y + tall, y),
                interpolation="none",
                aspect="auto",
            )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure
