"""Fit the frame that embeddings are seen in: raw, centred, standardised or min-max scaled."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ..banks import Frame
from ..base import Activations, MonosemeError, UsageError, did_you_mean, join_words

Scaling = Literal["raw", "centred", "standardised", "minmax"]


def fit_frame(acts: Activations, scaling: Scaling) -> Frame:
    """One pass over the data for the statistics that `scaling` needs; channels that never vary are left unscaled."""
    if scaling not in get_args(Scaling):
        choices = get_args(Scaling)
        raise UsageError(f"no scaling {scaling!r}{did_you_mean(scaling, choices)}; use {join_words(choices)}")
    if scaling == "raw":
        return Frame()
    width = acts.shape[1]
    total, squares = np.zeros(width), np.zeros(width)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    shift = np.asarray(acts[[0]], dtype=np.float64)[0]  # sums about a row of the data, so that squares do not cancel
    for first, block in acts.blocks():
        require_finite(block, first)
        wide = block.astype(np.float64)
        low, high = np.minimum(low, wide.min(0)), np.maximum(high, wide.max(0))
        wide -= shift
        total += wide.sum(0)
        squares += np.square(wide).sum(0)
    mean = total / acts.shape[0]
    if scaling == "centred":
        return Frame(centre=mean + shift)
    if scaling == "standardised":
        deviation = np.sqrt(np.maximum(squares / acts.shape[0] - mean**2, 0))
        return Frame(centre=mean + shift, scale=_unless_constant(deviation, high - low))
    return Frame(centre=low, scale=_unless_constant(high - low, high - low))


def require_finite(block: npt.NDArray[np.floating], first_row: int) -> None:
    """Raise a sentence that names the first row with a NaN or an infinity."""
    # The sum of finite numbers may overflow, so it only says where to look closer.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(block.sum(dtype=np.float32))
    if suspicious:
        bad = ~np.isfinite(block).all(axis=1)
        if bad.any():
            row = first_row + int(bad.argmax())
            raise MonosemeError(
                f"the activations of image {row} are not finite; look at that image and the model's precision, "
                "or leave the image out"
            )


def _unless_constant(scale: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where((spread > 0) & (scale > 0), scale, 1.0)
