"""The output of one layer at every position, with gradients where they are wanted: where in a picture something is."""

from __future__ import annotations

import math
from contextlib import suppress
from threading import get_ident

from torch import Tensor, nn

from ..base import MonosemeError, UsageError
from ._changes import one_layer
from ._layers import LayerInfo
from ._model import Model
from ._outputs import first_tensor
from ._taps import Enough


class ToLayer:
    """A model up to one layer: call it with a batch of images to get what the layer gives.

    The pass ends as soon as the layer is done. Gradients flow to the images when these ask for them; wrap the call in
    ``torch.inference_mode()`` where none are wanted.

    Parameters
    ----------
    model
        From `load_model` or `wrap`.
    layer
        Its exact name.

    Raises
    ------
    UsageError
        There is no such layer, or it cannot be read.

    Examples
    --------
    >>> import torch
    >>> from monoseme.models import Preprocess, wrap
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 14 * 14, 5))
    >>> to_layer = ToLayer(wrap(net, Preprocess.imagenet(16), device="cpu"), "0")
    >>> images = torch.zeros(4, 3, 16, 16, requires_grad=True)
    >>> to_layer(images).shape, by_position(to_layer(images), to_layer.info).shape
    (torch.Size([4, 8, 14, 14]), torch.Size([4, 14, 14, 8]))
    """

    def __init__(self, model: Model, layer: str) -> None:
        self.model = model
        self.info: LayerInfo = one_layer(model, layer)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) float images, normalised as the model takes them -> the layer's output as it is.

        Any height and width that the network takes.

        Raises
        ------
        MonosemeError
            The pass did not come by the layer.
        """
        found: list[Tensor] = []
        calls, thread = 0, get_ident()

        def read(_module: nn.Module, _args: object, output: object) -> None:
            nonlocal calls
            tensor = first_tensor(output)
            if thread != get_ident() or tensor is None:
                return
            calls += 1
            found[:] = [tensor]
            if calls >= self.info.calls:  # of a layer that is called more than once, the last call counts
                raise Enough

        module = self.model.module.eval()
        handle = module.get_submodule(self.info.name).register_forward_hook(read)
        try:
            with suppress(Enough):
                module(self.model.batch(images))
        finally:
            handle.remove()
        if not found:
            raise MonosemeError(
                f"the forward pass of {self.model.spec} did not come by layer {self.info.name}, though it did in the dry run"
            )
        return found[0]


def by_position(output: Tensor, info: LayerInfo, size: tuple[int, int] | None = None) -> Tensor:
    """What a layer gave as a grid of embeddings: (B, h, w, C) float32, tokens before the patch tokens left out.

    Parameters
    ----------
    output
        Of the layer, as `ToLayer` gives it.
    info
        The layer's description.
    size : (height, width), optional
        Of the images that went in, for tokens, whose grid has the images' proportions; square by default.

    Raises
    ------
    UsageError
        The layer gives one vector an image, or tokens that form no grid.
    """
    if info.layout == "NCHW":
        return output.permute(0, 2, 3, 1).float()
    if info.layout == "NHWC":
        return output.float()
    if info.layout == "NLC":
        tokens = output[:, info.prefix_tokens :]
        height, width = _grid(tokens.shape[1], size or (1, 1), info)
        return tokens.reshape(len(tokens), height, width, -1).float()
    raise UsageError(f"layer {info.name} gives one vector an image and no positions; choose a layer before its pooling")


def _grid(tokens: int, size: tuple[int, int], info: LayerInfo) -> tuple[int, int]:
    """Rows and columns of patch tokens: the factors nearest to the images' proportions."""
    pairs = [(rows, tokens // rows) for rows in range(1, tokens + 1) if tokens % rows == 0]
    rows, columns = min(pairs, key=lambda pair: abs(math.log(pair[0] * size[1] / (pair[1] * size[0]))))
    if abs(rows * size[1] - columns * size[0]) > max(size):  # more than a cell off the proportions
        raise UsageError(f"the {tokens} tokens of layer {info.name} form no grid of positions; choose another layer")
    return rows, columns
