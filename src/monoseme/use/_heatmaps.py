"""Heatmaps: how strongly each position of a picture shows a concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..banks import ConceptBank, Frame
from ..base import Activations, Reporter, Silent, UsageError, counted
from ._asked import FloatArray, centre_of, checked_pictures, layer_of, pooling_of, vectors_of, windows_of
from ._fields import ReceptiveField, receptive_field
from ._place import on_picture

if TYPE_CHECKING:
    import torch

    from ..models import Model

_MOST_BYTES = 2**30


@dataclass(frozen=True)
class Heatmaps:
    """How strongly each position of n pictures shows each of R concepts. Made by `heatmaps`.

    Attributes
    ----------
    values : (n, R, h, w) float32
        In the units of `ConceptBank.project`; 0 is where `centre` lies, or the bank's frame has its zero.
    projections : (n, R) float32
        Of the whole pictures, about the same zero.
    exact : "mean", "sum" or None
        What of a map gives the projection of its picture: the mean for mean pooling; the sum for max pooling, where each
        neuron counts at the position of its maximum alone; nothing for a class token, which is at no position.
    concepts : (R,) int64 or None
        Numbers of the concepts; None for vectors of your own.
    sizes : (n, 2) int64
        (width, height) of the pictures.
    windows : (n, 4) float64 or None
        (left, top, right, bottom) of the part of each picture that the model saw, in pixels of the picture; None where the
        preprocessing is a function of your own.
    field : ReceptiveField
        What part of the input each position sees.
    """

    values: FloatArray
    projections: FloatArray
    exact: Literal["mean", "sum"] | None
    concepts: npt.NDArray[np.int64] | None
    sizes: npt.NDArray[np.int64]
    windows: npt.NDArray[np.float64] | None
    field: ReceptiveField

    def __len__(self) -> int:
        return len(self.values)

    def on_picture(self, image: int, concept: int = 0, size: tuple[int, int] | None = None) -> FloatArray:
        """A map drawn out over its whole picture.

        Between positions the values run smoothly (cubic convolution, Keys 1981), and never beyond the map's own range.

        Parameters
        ----------
        image, concept : int
            Which map: row and column of `projections`.
        size : (width, height), optional
            In how many pixels; by default the picture's own.

        Returns
        -------
        (height, width) float32, NaN where the model did not look.

        Raises
        ------
        UsageError
            There is no such map, or what part of the picture the model saw is not known.
        """
        window = self.window(image, concept)
        width, height = size or (int(self.sizes[image, 0]), int(self.sizes[image, 1]))
        if width < 1 or height < 1:
            raise UsageError(f"a map cannot be drawn in {width} x {height} pixels; ask for at least one each way")
        across, down = self.sizes[image]
        left, top, right, bottom = window
        scaled = (left * width / across, top * height / down, right * width / across, bottom * height / down)
        return on_picture(self.values[image, concept], self.field, scaled, (width, height))

    def window(self, image: int, concept: int = 0) -> tuple[float, float, float, float]:
        """The part of a picture that the model saw: (left, top, right, bottom) in pixels of the picture.

        Raises
        ------
        UsageError
            There is no such map, or the window is not known.
        """
        count, concepts = self.projections.shape
        if not (0 <= image < count and 0 <= concept < concepts):
            raise UsageError(
                f"there is no map {image}, {concept}; there are {counted(count, 'picture')} and {counted(concepts, 'concept')}"
                ", numbered from 0"
            )
        if self.windows is None:
            raise UsageError(
                "what part of a picture the model saw is not known, for its preprocessing is a function of your own; "
                "give heatmaps the windows"
            )
        left, top, right, bottom = (float(side) for side in self.windows[image])
        return left, top, right, bottom

    def __repr__(self) -> str:
        count, concepts, rows, columns = self.values.shape
        return (
            f"<heatmaps of {counted(concepts, 'concept')} on {counted(count, 'picture')}, {rows} x {columns} positions>"
        )


def heatmaps(
    bank: ConceptBank,
    model: Model,
    images: Sequence[Image.Image],
    concepts: int | Sequence[int] | npt.ArrayLike | None = None,
    *,
    centre: npt.ArrayLike | Activations | None = None,
    detectors: bool = False,
    layer: str | None = None,
    pooling: str | None = None,
    windows: npt.ArrayLike | None = None,
    field: ReceptiveField | None = None,
    batch_size: int = 16,
    progress: Reporter | None = None,
) -> Heatmaps:
    """Where in pictures concepts are: the layer's output at every position, projected on the concept vectors.

    A layer's embedding is linear in its positions where it is their mean; then the mean of a map *is* the projection of the
    picture, as `ConceptBank.project` gives it. For max pooling each neuron counts at the position of its maximum (alike at
    several that tie), and the sum of a map is the projection. A class token is at no position: the maps of the patch tokens
    are what it could have read, and neither mean nor sum is its projection.

    Parameters
    ----------
    bank : ConceptBank
        The concepts.
    model : Model
        The one whose activations the bank was made from (`monoseme.runs.model_of` finds it for a run).
    images : sequence of n PIL images
        Of any size, upright RGB, such as `monoseme.runs.originals` loads.
    concepts : int, sequence of int, or (R, C) array, optional
        Numbers of concepts, or vectors in the bank's frame: a row of the identity shows a neuron. All concepts by default.
    centre : (C,) array or Activations, optional
        The embedding that is zero, in raw units, or activations whose mean is. With the activations of the data set a map is
        positive where a picture shows more of a concept than the average one. By default the centre of the bank's frame,
        as for `ConceptBank.project`.
    detectors : bool
        Whether the concepts' detectors are taken instead of their vectors.
    layer, pooling : str, optional
        For a bank of a plain array, which does not say them; mean pooling by default.
    windows : (n, 4) array, optional
        The part of each picture that the model sees, (left, top, right, bottom) in pixels of the picture, where the
        preprocessing is a function of your own.
    field : ReceptiveField, optional
        From `receptive_field`, to measure it once for many calls.
    batch_size : int
        Pictures in one forward pass.
    progress : Reporter, optional
        Told of each batch.

    Raises
    ------
    UsageError
        The bank and the model do not fit together, there is no such concept, a picture has no pixels, the layer has no
        positions, or the maps would take more than 1 GiB.

    Examples
    --------
    >>> import monoseme as ms
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> model = ms.wrap(net, ms.Preprocess.imagenet(32), device="cpu")
    >>> embeddings = np.random.default_rng(0).random((200, 8)).astype(np.float32)
    >>> bank = ms.disentangle(embeddings, "published", top=20, distance_threshold=1.0)
    >>> maps = ms.heatmaps(bank, model, [Image.new("RGB", (60, 40), "teal")], np.eye(8)[[3]], layer="1")
    >>> maps.values.shape, maps.exact, bool(np.allclose(maps.values.mean((2, 3)), maps.projections))
    ((1, 1, 15, 15), 'mean', True)
    """
    import torch

    from ..models import ToLayer, by_position, pool

    info = layer_of(bank, model, layer)
    pooling = pooling_of(bank, info, pooling, model.spec)
    if info.layout == "NC":
        raise UsageError(
            f"layer {info.name} gives one vector an image and no positions; choose a layer before its pooling"
        )
    numbers, vectors = vectors_of(bank, concepts, detectors=detectors)
    pictures = checked_pictures(images)
    seen = windows_of(model, pictures, windows)
    if batch_size < 1:
        raise UsageError(f"a batch holds at least one picture, not {batch_size}")
    if (size := 4 * len(pictures) * len(vectors) * info.positions) > _MOST_BYTES:
        raise UsageError(
            f"the maps would take {size / 2**30:.1f} GiB; name fewer concepts, or give fewer pictures at a time"
        )
    frame = bank.frame if centre is None else Frame(centre_of(centre, info.channels), bank.frame.scale)
    to_layer = ToLayer(model, info.name)
    onto = torch.from_numpy(vectors.T.copy()).to(model.device)
    maps, projections = [], []
    with (progress or Silent()).task("heatmaps", len(pictures), "pictures") as task, torch.no_grad():
        # not inference mode: what modules cache must stay fit for the gradients of a receptive field
        for first in range(0, len(pictures), batch_size):
            pixels = _pixels(model, pictures[first : first + batch_size])
            output = to_layer(model.preprocess.tensor(pixels, model.device))
            grid = by_position(output, info, (model.input_size[1], model.input_size[2]))
            parts = _at_maximum(grid, frame) if pooling == "max" else _framed(grid, frame)
            maps.append((parts @ onto).permute(0, 3, 1, 2).cpu().numpy())
            projections.append(frame(pool(output, info, pooling).cpu().numpy()) @ vectors.T)
            task.advance(len(pixels))
    exact: dict[str, Literal["mean", "sum"]] = {"mean": "mean", "max": "sum"}
    return Heatmaps(
        values=np.concatenate(maps),
        projections=np.concatenate(projections),
        exact=exact.get(pooling),
        concepts=numbers,
        sizes=np.array([picture.size for picture in pictures], dtype=np.int64),
        windows=seen,
        field=field or receptive_field(model, info.name),
    )


def _framed(grid: torch.Tensor, frame: Frame) -> torch.Tensor:
    """What `Frame` does to embeddings, on the device."""
    if frame.centre is not None:
        grid = grid - _like(grid, frame.centre)
    return grid if frame.scale is None else grid / _like(grid, frame.scale)


def _at_maximum(grid: torch.Tensor, frame: Frame) -> torch.Tensor:
    """(B, h, w, C) in the frame, each channel only where it is at its maximum, shared alike where several positions are."""
    largest = grid.amax((1, 2), keepdim=True)
    there = (grid == largest).to(grid.dtype)
    return there / there.sum((1, 2), keepdim=True) * _framed(largest, frame)


def _like(grid: torch.Tensor, values: npt.NDArray[np.float64]) -> torch.Tensor:
    import torch

    return torch.from_numpy(values.astype(np.float32)).to(grid.device)


def _pixels(model: Model, pictures: list[Image.Image]) -> npt.NDArray[Any]:
    made = [model.preprocess.pixels(picture) for picture in pictures]
    if len({each.shape for each in made}) > 1:
        raise UsageError(
            "the preprocessing makes pictures of several shapes, which cannot form a batch; give it a crop"
        )
    return np.stack(made)
