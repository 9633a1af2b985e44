"""Receptive fields: which part of the input each position of a layer sees, measured by gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..base import MonosemeError, UsageError, first_line

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ..models import Model, ToLayer

Pair = tuple[int, int]
_Marginals = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

# So many pixels more, down and right, show the stride: a multiple of most strides that networks have.
_MORE_PIXELS = 480
_AT_ONCE = 4


@dataclass(frozen=True)
class ReceptiveField:
    """Which part of the input a position of a layer sees. Made by `receptive_field`.

    Pixels of the input are counted so that pixel k covers k to k + 1; pairs are (down, right) or (height, width).

    Attributes
    ----------
    input_size : (height, width) of the input.
    grid : (rows, columns) of positions.
    whole : (height, width) of all pixels that can change a position; the input's where each pixel can.
    effective : (height, width) of the box in the middle that holds `share` of a middle position's sensitivity.
    share : how much of it.
    stride : (down, right), pixels from one position to the next.
    offset : (y, x) of the centre of gravity of what position (0, 0) sees.
    """

    input_size: Pair
    grid: Pair
    whole: tuple[float, float]
    effective: tuple[float, float]
    share: float
    stride: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def even(cls, input_size: Pair, grid: Pair) -> ReceptiveField:
        """As if each position saw its own cell of an even grid and nothing else: for networks without gradients.

        >>> ReceptiveField.even((224, 224), (14, 14)).centre(0, 13)
        (8.0, 216.0)
        """
        cell = (input_size[0] / grid[0], input_size[1] / grid[1])
        return cls(input_size, grid, cell, cell, 1.0, cell, (cell[0] / 2, cell[1] / 2))

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """(y, x) in pixels of the input of the middle of what a position sees; rarely outside the input, at its border."""
        return self.offset[0] + row * self.stride[0], self.offset[1] + column * self.stride[1]


def receptive_field(
    model: Model, layer: str, *, share: float = 0.5, samples: int = 16, seed: int = 0
) -> ReceptiveField:
    """Measure which part of the input each position of a layer sees.

    Noise goes in, and gradients of random mixtures of a position's neurons come back. Pixels whose gradient is not zero can
    change the position: from the last that reaches the first position and the first that reaches the last one follows the
    size of the whole field. The effective field (Luo et al. 2016, https://arxiv.org/abs/1701.04128) is far smaller, for
    gradients fall off like a bell; what reaches a position alike from everywhere (attention, squeeze and excitation) is left
    out of it. A larger input shows the stride, by how many positions there are more. The squared gradient's centres of
    gravity, of positions that lie alike about the middle so that the borders' pulls cancel, show the offset. Networks that
    take one size of input alone, as most transformers, are taken to see the even grid of their patches.

    Parameters
    ----------
    model : Model
        From `load_model` or `wrap`.
    layer : str
        A layer with positions.
    share : float
        How much of the squared gradient the effective field holds, at least.
    samples : int
        Noise pictures for the effective field.
    seed : int
        Of the noise.

    Raises
    ------
    UsageError
        There is no such layer, it has no positions, or a number is out of range.
    MonosemeError
        No gradient reaches the input.

    Examples
    --------
    >>> import monoseme as ms
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    >>> field = receptive_field(ms.wrap(net, ms.Preprocess.imagenet(32), device="cpu"), "2")
    >>> field.grid, field.whole, field.stride
    ((16, 16), (9.0, 9.0), (2.0, 2.0))
    """
    from ..models import ToLayer

    if not 0 < share <= 1:
        raise UsageError(f"the share of the effective field lies between 0 and 1, not at {share}")
    if samples < 1:
        raise UsageError(f"at least one noise picture is needed, not {samples}")
    to_layer = ToLayer(model, layer)
    size = (model.input_size[1], model.input_size[2])
    grid = _grid(to_layer, size)
    stride = _stride(to_layer, size, grid)
    near, far = ((grid[0] - 1) // 2, (grid[1] - 1) // 2), (grid[0] // 2, grid[1] // 2)
    corners = [(0, 0), (grid[0] - 1, grid[1] - 1)]
    first, last, *middle = _marginals(to_layer, size, [*corners, *dict.fromkeys((near, far))], samples, seed)
    even = ReceptiveField.even(size, grid)
    return ReceptiveField(
        input_size=size,
        grid=grid,
        whole=_pair(
            _whole(first[axis], last[axis], (stride or even.stride)[axis] * (grid[axis] - 1)) for axis in (0, 1)
        ),
        effective=_pair(
            fmean(_holding(_without_floor(field[axis]), (1 + share) / 2) for field in middle) for axis in (0, 1)
        ),
        share=share,
        stride=stride or even.stride,
        offset=even.offset
        if stride is None
        else _pair(
            fmean(_gravity(field[axis]) for field in middle) - stride[axis] * (grid[axis] - 1) / 2 for axis in (0, 1)
        ),
    )


def _stride(to_layer: ToLayer, size: Pair, grid: Pair) -> tuple[float, float] | None:
    """(down, right) pixels to the next position; None where the input's size or the number of positions is fixed."""
    try:
        more = _grid(to_layer, (size[0] + _MORE_PIXELS, size[1] + _MORE_PIXELS))
    except Exception:  # whatever a network raises on a size that it does not take
        return None
    if not (more[0] > grid[0] and more[1] > grid[1]):
        return None
    down, right = (_MORE_PIXELS / (after - before) for after, before in zip(more, grid, strict=True))
    return _pair(stride if stride < 1 else round(stride) for stride in (down, right))


def _whole(first: npt.NDArray[np.float64], last: npt.NDArray[np.float64], apart: float) -> float:
    """Size of the whole field along an axis, from what reaches the first and the last position, `apart` pixels from it."""
    end, begin = int(np.flatnonzero(first)[-1]) + 1, int(np.flatnonzero(last)[0])
    full = len(first)
    return float(full) if end == full or begin == 0 else min(end - begin + apart, float(full))


def _gravity(marginal: npt.NDArray[np.float64]) -> float:
    return float(np.average(np.arange(len(marginal)) + 0.5, weights=_without_floor(marginal)))


def _without_floor(marginal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What exceeds the level that is reached nearly everywhere, which is the share of global context."""
    local = np.maximum(marginal - np.quantile(marginal, 0.1), 0)
    return local if local.any() else marginal


def _holding(marginal: npt.NDArray[np.float64], share: float) -> float:
    """Length of the middle stretch that holds a share of the sum, both tails alike."""
    cumulated = np.concatenate([[0.0], np.cumsum(marginal)]) / marginal.sum()
    low, high = np.interp([(1 - share) / 2, (1 + share) / 2], cumulated, np.arange(len(cumulated)))
    return float(high - low)


def _grid(to_layer: ToLayer, size: Pair) -> Pair:
    import torch

    from ..models import by_position

    with torch.no_grad():
        grid = by_position(to_layer(torch.zeros(1, to_layer.model.input_size[0], *size)), to_layer.info, size)
    return grid.shape[1], grid.shape[2]


def _marginals(to_layer: ToLayer, size: Pair, positions: Sequence[Pair], samples: int, seed: int) -> list[_Marginals]:
    """Squared gradient of each position, summed over noise pictures, channels and columns (or rows) of pixels."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    sums = [(np.zeros(size[0]), np.zeros(size[1])) for _ in positions]
    for begin in range(0, samples, _AT_ONCE):
        noise = _noise((min(_AT_ONCE, samples - begin), to_layer.model.input_size[0], *size), generator)
        try:
            found = list(_energies(to_layer, noise, positions, generator))
        except RuntimeError as error:
            raise MonosemeError(
                f"no gradient of layer {to_layer.info.name} reaches the input ({first_line(error)}), so its receptive field "
                "cannot be measured; use ReceptiveField.even"
            ) from error
        for (down, across), energy in zip(sums, found, strict=True):
            down += energy.sum((0, 2))
            across += energy.sum((0, 1))
    if not all(down.sum() > 0 and np.isfinite(down).all() for down, _ in sums):
        raise MonosemeError(
            f"the gradient of layer {to_layer.info.name} vanishes, so its receptive field cannot be measured; "
            "use ReceptiveField.even"
        )
    return sums


def _energies(
    to_layer: ToLayer, noise: Tensor, positions: Sequence[Pair], generator: Generator
) -> Iterator[npt.NDArray[np.float64]]:
    """For each position the (B, H, W) squared gradient of a random mixture of its neurons; each picture's sums to 1."""
    import torch

    from ..models import by_position

    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # its fast algorithms smear exact zeros
        images = noise.to(to_layer.model.device).requires_grad_(True)
        grid = by_position(to_layer(images), to_layer.info, (noise.shape[2], noise.shape[3]))
        mixture = torch.randn(len(noise), grid.shape[-1], generator=generator).to(grid)
        for place, (row, column) in enumerate(positions):
            (gradient,) = torch.autograd.grad(
                (grid[:, row, column] * mixture).sum(), images, retain_graph=place + 1 < len(positions)
            )
            energy = gradient.cpu().double().square().sum(1).numpy()
            total = energy.sum((1, 2), keepdims=True)
            yield energy / np.where(total > 0, total, 1)


def _noise(shape: tuple[int, int, int, int], generator: Generator) -> Tensor:
    """Blots with grain: white noise alone is too unlike pictures."""
    import torch

    coarse = torch.randn(*shape[:2], max(shape[2] // 8, 1), max(shape[3] // 8, 1), generator=generator)
    blots = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    return blots + 0.3 * torch.randn(*shape, generator=generator)


def _pair(values: Iterable[float]) -> tuple[float, float]:
    first, second = (float(value) for value in values)
    return first, second
