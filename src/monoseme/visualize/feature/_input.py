"""From pixels to a network's input, with gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...base import UsageError
from ...models import CallablePreprocess, Model, Preprocess

_PROBES = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (30, 90, 220))


def to_input(model: Model, normalise: Callable[[Tensor], Tensor] | None = None) -> Callable[[Tensor], Tensor]:
    """What turns (B, channels, H, W) pixels less a half, in (-0.5, 0.5), into what the network takes.

    A `Preprocess` says it; of a function of the user's it is found by showing it pictures of one colour, if it gives ``gain * pixel
    + offset`` for each channel.

    Parameters
    ----------
    model
        The model, for its preprocessing.
    normalise
        From pixels in [0, 1] to the network's input, in place of the preprocessing's.

    Raises
    ------
    UsageError
        The function of the user's does something else.
    """
    if normalise is not None:
        return lambda pixels: normalise(pixels + 0.5)
    preprocess = model.preprocess
    if isinstance(preprocess, Preprocess):
        gain = [255 * preprocess.scale / std for std in preprocess.std]
        low = [-mean / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True)]
    else:
        gain, low = _probed(preprocess, model.input_size[0])
    gains = torch.tensor(gain, dtype=torch.float32, device=model.device).view(1, -1, 1, 1)
    offsets = torch.tensor(low, dtype=torch.float32, device=model.device).view(1, -1, 1, 1) + gains / 2
    return lambda pixels: torch.addcmul(offsets, pixels, gains)


def _probed(preprocess: CallablePreprocess, channels: int) -> tuple[list[float], list[float]]:
    """Gain and value of black, a channel each."""
    made = [preprocess.pixels(Image.new("RGB", (640, 480), colour)) for colour in _PROBES]
    middle = np.array([each[:, each.shape[1] // 2, each.shape[2] // 2] for each in made], dtype=np.float64)
    black, gain = middle[0], middle[1] - middle[0]
    known = (0, 1, 2) if channels == 1 else (0, 1, 2, 3)  # how colours become grey does not matter
    pixels = np.array(_PROBES, dtype=np.float64)[:, : middle.shape[1]] / 255
    fits = middle.shape[1] in (1, 3) and np.allclose(
        (black + gain * pixels)[list(known)], middle[list(known)], atol=0.01 * np.abs(gain).max()
    )
    if not fits:
        raise UsageError(
            "how the preprocessing turns pixels into the network's input cannot be told; give normalise, a function from "
            "(B, channels, H, W) pixels in [0, 1] to that input"
        )
    return gain.tolist(), black.tolist()
