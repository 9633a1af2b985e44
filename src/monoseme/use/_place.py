"""From positions of a layer to pixels of a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._fields import ReceptiveField

FloatArray = npt.NDArray[np.float32]
Window = tuple[float, float, float, float]


def on_picture(values: FloatArray, field: ReceptiveField, window: Window, size: tuple[int, int]) -> FloatArray:
    """Draw a map (h, w) out over a picture of `size` (width, height) of which the model saw `window`; NaN elsewhere."""
    down, inside_down = _weights(
        values.shape[0], field.stride[0], field.offset[0], field.input_size[0], window[1::2], size[1]
    )
    across, inside_across = _weights(
        values.shape[1], field.stride[1], field.offset[1], field.input_size[1], window[::2], size[0]
    )
    drawn = np.clip(down @ values @ across.T, values.min(), values.max())
    return np.where(inside_down[:, None] & inside_across, drawn, np.nan).astype(np.float32)


def to_picture(field: ReceptiveField, window: Window, row: float, column: float) -> tuple[float, float]:
    """(x, y) in pixels of the picture of the centre of a position."""
    y, x = field.centre(row, column)
    left, top, right, bottom = window
    return left + x * (right - left) / field.input_size[1], top + y * (bottom - top) / field.input_size[0]


def _weights(
    count: int, stride: float, offset: float, full: int, window: tuple[float, ...], pixels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(pixels, count) weights of positions for pixels along an axis, and which pixels lie in the window.

    Keys' cubic convolution (1981, equation 4, a = -1/2); beyond the outermost positions their values go on.
    """
    low, high = window
    middle = np.arange(pixels) + 0.5
    place = np.clip(((middle - low) * full / (high - low) - offset) / stride, 0, count - 1)
    base = np.floor(place).astype(np.int64)
    weights = np.zeros((pixels, count))
    for neighbour in (-1, 0, 1, 2):
        distance = np.abs(place - base - neighbour)
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        np.add.at(weights, (np.arange(pixels), np.clip(base + neighbour, 0, count - 1)), weight)
    return weights, (middle > low) & (middle < high)
