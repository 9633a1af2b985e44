"""The space in which images are optimised: decorrelated colours, and how strong each frequency is in photographs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ...base import UsageError
from ._config import Size, pair

Array = npt.NDArray[np.float32]

# A square root of the covariance of ImageNet's colours, as published with Lucid (Olah et al. 2017): a column for each
# decorrelated channel, with its spread.
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
_PHOTOGRAPH_SPREAD = 1.5
"""Standard deviation of a photograph in a decorrelated channel (of 192 of Caltech-101 the medians are 2.2, 1.3 and 1.2)."""
_DARKEST = 0.02
"""Pixels are kept away from 0 and 1 by so much, where their logit has no end."""


def colour_mix(channels: int, decorrelate: bool = True) -> Array:
    """(channels, channels): what decorrelated channels are multiplied by to become those of an image, before the sigmoid.

    The identity for other than three channels, or where nothing is to be mixed.

    >>> mix = colour_mix(3)
    >>> float(np.linalg.norm(mix, axis=0).max().round(6)), colour_mix(2).tolist()
    (1.0, [[1.0, 0.0], [0.0, 1.0]])
    """
    if channels != 3 or not decorrelate:
        return np.eye(channels, dtype=np.float32)
    colours = np.array(_COLOURS, dtype=np.float32)
    mixed: Array = colours / np.linalg.norm(colours, axis=0).max()
    return mixed


def frequencies(size: Size) -> Array:
    """(H, W // 2 + 1) frequencies of a real image's Fourier coefficients in cycles a pixel; never below one cycle an image."""
    height, width = size
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    found: Array = np.maximum(np.hypot(down, across), 1 / max(height, width)).astype(np.float32)
    return found


def inverse_frequency(size: Size, channels: int) -> Array:
    """(channels, H, W // 2 + 1): magnitudes that fall with the frequency, as those of photographs do, of their spread.

    The model that stands in where nobody has photographs (Field, JOSA A 1987: the amplitudes of natural images fall as 1/f).
    """
    magnitudes = 1 / frequencies(size)
    magnitudes[0, 0] = 0
    power = magnitudes.astype(np.float64) ** 2 * multiplicity(size)
    spread = np.sqrt(power.sum()) / (size[0] * size[1])
    return np.repeat((magnitudes * (_PHOTOGRAPH_SPREAD / spread))[None], channels, axis=0).astype(np.float32)


def multiplicity(size: Size) -> npt.NDArray[np.float64]:
    """(W // 2 + 1,) how many coefficients of the full transform each column of a real image's stands for: 1 or 2."""
    count = np.full(size[1] // 2 + 1, 2.0)
    count[0] = 1
    if size[1] % 2 == 0:
        count[-1] = 1
    return count


def magnitude_spectrum(
    images: Iterable[Image.Image | npt.NDArray[Any]], size: int | Size, *, decorrelate: bool = True
) -> Array:
    """The average magnitudes of your own images, to which ``parametrisation="maco"`` then holds.

    Parameters
    ----------
    images : N of them
        Pictures (those of a run: ``run.thumbnails(range(100))``), or (H, W, channels) arrays of 8-bit or [0, 1] pixels. Pictures
        are cropped and resized to `size`; arrays must have it.
    size : int or (height, width)
        Of the feature images.
    decorrelate : bool
        As in the `FeatureConfig`.

    Returns
    -------
    array (channels, H, W // 2 + 1) float32
        Mean over the N images of the absolute Fourier coefficients of what the parametrisation works on: the logits of the
        pixels in decorrelated colours. Fel et al. 2023, section 3.

    Raises
    ------
    UsageError
        There is no image, or one is of another shape.

    Examples
    --------
    >>> noise = np.random.default_rng(0).random((5, 16, 16, 3))
    >>> magnitude_spectrum(noise, 16).shape
    (3, 16, 9)
    """
    height, width = pair(size)
    total: npt.NDArray[np.float64] | None = None
    count = 0
    for image in images:
        pixels = _pixels(image, (height, width))
        unmix = np.linalg.inv(colour_mix(pixels.shape[-1], decorrelate))
        kept = np.clip(pixels, _DARKEST, 1 - _DARKEST)
        decorrelated = np.log(kept / (1 - kept)) @ unmix.T
        magnitudes = np.abs(np.fft.rfft2(decorrelated, axes=(0, 1))).transpose(2, 0, 1)
        if total is not None and total.shape != magnitudes.shape:
            raise UsageError(f"the images have {len(total)} and {len(magnitudes)} channels; give images of one kind")
        total = magnitudes if total is None else total + magnitudes
        count += 1
    if total is None:
        raise UsageError("a magnitude spectrum needs at least one image")
    return (total / count).astype(np.float32)


def _pixels(image: Image.Image | npt.NDArray[Any], size: Size) -> npt.NDArray[np.float64]:
    """(H, W, channels) in [0, 1]."""
    if isinstance(image, Image.Image):
        image = np.asarray(ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS))
    array = np.asarray(image)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[:2] != size:
        raise UsageError(
            f"the images must be pictures or ({size[0]}, {size[1]}, channels) arrays, not of shape {array.shape}"
        )
    return array / 255 if array.dtype == np.uint8 else array.astype(np.float64)
