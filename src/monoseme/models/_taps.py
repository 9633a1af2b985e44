"""Taps: reading layers during the forward pass, averaged over positions on the spot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import get_ident
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..base import MonosemeError, UsageError, did_you_mean, join_words
from ._layers import LayerInfo
from ._model import Model
from ._outputs import first_tensor, logits

POOLINGS = ("mean", "max", "cls")


@dataclass(frozen=True)
class Tap:
    """A layer to read, and how its positions become one vector an image.

    pooling : "mean" or "max" over the pixels of a map or the patch tokens, or "cls" for the class token.
    """

    layer: str
    pooling: str = "mean"


@dataclass(frozen=True)
class TapOutput:
    """What one forward pass gave, on the model's device."""

    pooled: dict[Tap, Tensor]
    """Tap -> (B, C) float32."""
    output: Tensor | None
    """The model's own predictions (logits), (B, classes) float32, where wanted and given."""


class Enough(BaseException):
    """Ends a forward pass whose rest nobody wants. No `Exception`, so that models that catch those let it through."""


class Tapped:
    """A model with taps on some of its layers; call it with a batch of images.

    Layers are read by hooks, so any control flow in the model works, and pooled inside the hook, so that operations in place
    that follow cannot change what was read. Of a layer that is called more than once in a pass, the last call counts.
    Without predictions the pass ends as soon as the last wanted layer is done. Hooks are there while a ``with`` block lasts,
    or during a call outside of one; they never stay.

    Parameters
    ----------
    model
        From `load_model` or `wrap`.
    taps
        Each layer by its exact name (`Model.resolve` finds names), several poolings of one layer allowed.
    predictions
        Whether the model's own output is wanted too.

    Raises
    ------
    UsageError
        A layer or a pooling does not exist, or "cls" is asked of a layer without a class token.

    Examples
    --------
    >>> from monoseme.models import Preprocess, wrap
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 14 * 14, 5))
    >>> model = wrap(net, Preprocess.imagenet(16), device="cpu")
    >>> mean, largest = Tap("0"), Tap("0", "max")
    >>> with Tapped(model, [mean, largest], predictions=True) as tapped:
    ...     got = tapped(torch.zeros(4, 3, 16, 16))
    >>> got.pooled[mean].shape, got.pooled[largest].shape, got.output.shape
    (torch.Size([4, 8]), torch.Size([4, 8]), torch.Size([4, 5]))
    """

    def __init__(self, model: Model, taps: Sequence[Tap], *, predictions: bool) -> None:
        self.model = model
        self.taps = tuple(dict.fromkeys(taps))
        self.predictions = predictions and model.outputs is not None
        if not self.taps:
            raise UsageError("name at least one layer to read")
        model.resolve([tap.layer for tap in self.taps])
        layers = model.layers()
        self._infos: dict[str, LayerInfo] = {}
        self._poolings: dict[str, list[Tap]] = {}
        for tap in self.taps:
            info = layers.get(tap.layer)
            if info is None:
                raise UsageError(f"a tap is on one layer, not on {tap.layer}; model.resolve turns patterns into names")
            check_pooling(tap, info, model.spec)
            self._infos[tap.layer] = info
            self._poolings.setdefault(tap.layer, []).append(tap)
        self._handles: list[RemovableHandle] = []
        self._thread: int | None = None  # that runs a pass of ours
        self._calls: Counter[str] = Counter()
        self._pooled: dict[Tap, Tensor] = {}

    def __enter__(self) -> Tapped:
        self.model.module.eval()  # in case somebody trained it in between
        try:
            for name in self._infos:
                module = self.model.module.get_submodule(name)
                self._handles.append(module.register_forward_hook(self._hook(name)))
        except BaseException:
            self._remove_hooks()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove_hooks()

    def __call__(self, batch: Tensor) -> TapOutput:
        """Run the model on (B, C, H, W), float, as `model.preprocess.tensor` makes them.

        Raises
        ------
        UsageError
            The batch is no floating-point (B, C, H, W) tensor.
        MonosemeError
            A wanted layer was not called, or gave something of another shape than in the dry run.
        """
        if not self._handles:
            with self:
                return self(batch)
        images = self.model.batch(batch)
        self._calls.clear()
        self._pooled.clear()
        output: object = None
        with torch.inference_mode():
            self._thread = get_ident()
            try:
                with suppress(Enough):
                    output = self.model.module(images)
            finally:
                self._thread = None
            predicted = logits(output, len(images)) if self.predictions else None
            pooled = {tap: self._checked(tap, len(images)) for tap in self.taps}
            self._pooled.clear()
            return TapOutput(pooled, None if predicted is None else predicted.float())

    def _hook(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def read(_module: nn.Module, _args: object, output: object) -> None:
            if self._thread != get_ident():
                return  # somebody else's pass, which is not ours to read or to end
            tensor = first_tensor(output)
            if tensor is not None:
                for tap in self._poolings[name]:
                    self._pooled[tap] = pool(tensor, self._infos[name], tap.pooling)
            self._calls[name] += 1
            if not self.predictions and all(self._calls[wanted] >= info.calls for wanted, info in self._infos.items()):
                raise Enough

        return read

    def _checked(self, tap: Tap, batch: int) -> Tensor:
        if tap not in self._pooled:
            raise MonosemeError(
                f"the forward pass of {self.model.spec} did not come by layer {tap.layer}, though it did in the dry run"
            )
        pooled, info = self._pooled[tap], self._infos[tap.layer]
        if pooled.shape != (batch, info.channels):
            raise MonosemeError(
                f"layer {tap.layer} of {self.model.spec} gave {tuple(pooled.shape)} for {batch} images, "
                f"but {info.channels} channels in the dry run; feed images of the size {self.model.input_size}"
            )
        return pooled

    def _remove_hooks(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def pool(output: Tensor, info: LayerInfo, pooling: str) -> Tensor:
    """One vector an image, (B, C) float32, which shares no memory with `output`.

    Sums run in float32 also for half-precision maps. Tokens before the patch tokens are left out of "mean" and "max".

    >>> info = LayerInfo("x", "Conv2d", (8, 2, 2), "NCHW", 8)
    >>> pool(torch.ones(4, 8, 2, 2, dtype=torch.bfloat16), info, "mean").dtype
    torch.float32
    """
    if info.layout == "NC":
        return output.to(torch.float32, copy=True)
    if pooling == "cls":
        return output[:, 0].to(torch.float32, copy=True)
    if info.layout == "NLC":
        output = output[:, info.prefix_tokens :]
    over = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}[info.layout]
    if pooling == "max":
        return output.amax(over).float()
    return output.mean(over, dtype=torch.float32)


def check_pooling(tap: Tap, info: LayerInfo, spec: str) -> None:
    """Raise a `UsageError` for a pooling that does not exist, or that the layer does not have."""
    if tap.pooling not in POOLINGS:
        raise UsageError(
            f"unknown pooling {tap.pooling!r}{did_you_mean(tap.pooling, POOLINGS)} (known: {join_words(POOLINGS, 'and')})"
        )
    if tap.pooling == "cls" and not info.has_cls:
        raise UsageError(f"layer {tap.layer} of {spec} has no class token to read; pool it by mean or max")
