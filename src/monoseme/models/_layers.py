"""The layers of a model: one dry run with a hook on every submodule tells what each of them gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ..base import MonosemeError, UsageError, did_you_mean, join_words
from ._layouts import Grid, TokenFacts, map_layout, token_facts, token_prefix, tokens_are_last
from ._outputs import first_tensor, logits

LAYOUTS = ("NCHW", "NHWC", "NLC", "NC")
_DIMENSIONS = {"NCHW": 4, "NHWC": 4, "NLC": 3, "NC": 2}
# They hand on what they are given, so as a default the layer that made it is the better name.
_PASSIVE = (nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class LayerInfo:
    """What a layer gives, as seen in a dry run."""

    name: str
    """Dotted, as in ``model.get_submodule(name)``."""
    kind: str
    """The module's class."""
    shape: tuple[int, ...] = ()
    """Of its output, without the batch."""
    layout: str = ""
    """"NCHW" or "NHWC" (feature maps), "NLC" (tokens), "NC" (one vector an image); empty when unusable."""
    channels: int = 0
    """How many neurons it has."""
    stride: tuple[int, int] | None = None
    """Input pixels from one position to the next, rounded: (down, right); None without a grid of positions."""
    prefix_tokens: int = 0
    """Tokens before the patch tokens (class, distillation, registers), which pooling over positions leaves out."""
    has_cls: bool = False
    """Whether token 0 is a class token."""
    calls: int = 0
    """How often a forward pass calls it; the last call counts."""
    order: int = 0
    """Place in the order in which layers finish."""
    unusable: str | None = None
    """Why it cannot be read, or None."""

    @property
    def positions(self) -> int:
        """Over how many positions pooling goes: pixels of the map, or patch tokens."""
        if self.layout == "NLC":
            return self.shape[0] - self.prefix_tokens
        return math.prod(self.shape) // self.channels if self.layout in ("NCHW", "NHWC") else 1


@dataclass(frozen=True)
class Probe:
    """What a dry run showed."""

    layers: dict[str, LayerInfo]
    """By name, in the order in which they finish; those never called come last."""
    outputs: int | None
    """How many units the model's own output has, or None when it gives no predictions."""


@dataclass
class _Seen:
    calls: int = 0
    finished: int = 0
    output: tuple[torch.Size, torch.dtype] | None = None


@dataclass
class _Recorder:
    """Hooks that note the shape of every output, and the grids of the convolutions' outputs before it."""

    batch: int
    seen: dict[str, _Seen] = field(default_factory=dict)
    grids: list[Grid] = field(default_factory=list)
    grids_before: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    def hook(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def note(module: nn.Module, _args: object, output: object) -> None:
            tensor = first_tensor(output)
            seen = self.seen.setdefault(name, _Seen())
            seen.calls += 1
            seen.finished = self.clock = self.clock + 1
            seen.output = None if tensor is None else (tensor.shape, tensor.dtype)
            if isinstance(module, nn.Conv2d) and tensor is not None and len(tensor) == self.batch:
                self.grids.append((tensor.shape[-2], tensor.shape[-1]))
            self.grids_before[name] = len(self.grids)

        return note


def probe(
    module: nn.Module, batch: Tensor, *, layouts: Mapping[str, str] | None = None, prefix_tokens: int | None = None
) -> Probe:
    """Run `module` once on `batch` (B, C, H, W) and describe what every named submodule gave.

    Parameters
    ----------
    module
        In evaluation mode.
    batch
        (B, C, H, W); B must differ from the other leading sizes that occur, 2 does.
    layouts
        Layer name or glob -> one of `LAYOUTS`; what the user states wins over what the shapes suggest.
    prefix_tokens
        How many tokens come before the patch tokens, where the user knows.

    Raises
    ------
    UsageError
        A stated layout names no layer, or does not fit the layer's output.
    """
    recorder = _Recorder(len(batch))
    handles = [inner.register_forward_hook(recorder.hook(name)) for name, inner in module.named_modules() if name]
    try:
        with torch.no_grad():  # not inference mode: what modules cache in their first pass must stay fit for gradients
            output = module(batch)
    finally:
        for handle in handles:
            handle.remove()

    facts = token_facts(module, prefix_tokens)
    input_size = (batch.shape[-2], batch.shape[-1])
    found: list[LayerInfo] = []
    for name, inner in module.named_modules():
        seen = recorder.seen.get(name)
        if seen is not None:
            info = LayerInfo(name, type(inner).__name__, calls=seen.calls, order=seen.finished)
            grids = recorder.grids[: recorder.grids_before[name]]
            found.append(_described(info, inner, seen, len(batch), facts, grids, input_size))
        elif name:
            never = recorder.clock + 1
            found.append(LayerInfo(name, type(inner).__name__, order=never, unusable="the forward pass never calls it"))
    found.sort(key=lambda info: info.order)
    layers = {info.name: replace(info, order=place) for place, info in enumerate(found)}
    _state_layouts(layers, layouts or {}, facts, recorder, input_size)
    predictions = logits(output, len(batch))
    classifies = (
        predictions is not None and getattr(module, "num_classes", None) != 0
    )  # timm's word for "features only"
    return Probe(layers, predictions.shape[1] if predictions is not None and classifies else None)


def default_layer(layers: Mapping[str, LayerInfo]) -> str:
    """The last layer to finish that still has positions: a map of more than one pixel, or tokens.

    Raises
    ------
    MonosemeError
        There is none.
    """
    spatial = [
        info.name
        for info in layers.values()
        if info.unusable is None and info.positions > 1 and info.kind not in {kind.__name__ for kind in _PASSIVE}
    ]
    if not spatial:
        raise MonosemeError("no layer of the model gives feature maps or tokens; name a layer to read")
    return spatial[-1]


def _described(
    info: LayerInfo,
    module: nn.Module,
    seen: _Seen,
    batch: int,
    facts: TokenFacts,
    grids: list[Grid],
    input_size: Grid,
) -> LayerInfo:
    """`info` completed with what the output's shape says, or with the reason why it cannot be used."""
    info = replace(info, shape=() if seen.output is None else tuple(seen.output[0][1:]))
    unusable = _unusable(seen, batch)
    if unusable is not None:
        return replace(info, unusable=unusable)
    if len(info.shape) == 1:
        return _laid_out(info, "NC", facts, grids, input_size)
    if len(info.shape) == 2:
        if tokens_are_last(info.shape, facts, grids):
            return replace(info, unusable="its output looks like channels x tokens; state its layout if it is not")
        return _laid_out(info, "NLC", facts, grids, input_size)
    layout = map_layout(info.shape, input_size, module)
    if layout is None:
        size = " x ".join(map(str, info.shape))
        return replace(
            info, unusable=f"its output ({size}) does not look like a feature map; state its layout if it is"
        )
    return _laid_out(info, layout, facts, grids, input_size)


def _unusable(seen: _Seen, batch: int) -> str | None:
    """Why an output cannot be used whatever its layout, or None."""
    if seen.output is None:
        return "its output is not a tensor"
    shape, dtype = seen.output
    if not dtype.is_floating_point:
        return f"its output is {str(dtype).removeprefix('torch.')}, not floating point"
    if not 2 <= len(shape) <= 4:
        return f"its output has {len(shape)} dimensions"
    if 0 in shape:
        return "its output is empty"
    if shape[0] != batch:
        return f"it gives {shape[0]} items for {batch} images (it works on windows, or the batch does not come first)"
    return None


def _laid_out(info: LayerInfo, layout: str, facts: TokenFacts, grids: list[Grid], input_size: Grid) -> LayerInfo:
    """`info` with its shape read as `layout`."""
    channels = info.shape[0] if layout == "NCHW" else info.shape[-1]
    info = replace(info, layout=layout, channels=channels, unusable=None)
    if layout == "NC":
        return info
    if layout == "NLC":
        prefix, grid = token_prefix(info.shape[0], facts, grids, input_size)
        info = replace(info, prefix_tokens=prefix, has_cls=prefix > 0 and facts.has_cls is not False)
    else:
        grid = (info.shape[1], info.shape[2]) if layout == "NCHW" else (info.shape[0], info.shape[1])
    stride = None if grid is None else (round(input_size[0] / grid[0]), round(input_size[1] / grid[1]))
    return replace(info, stride=stride)


def _state_layouts(
    layers: dict[str, LayerInfo],
    layouts: Mapping[str, str],
    facts: TokenFacts,
    recorder: _Recorder,
    input_size: Grid,
) -> None:
    """Give layers the layouts that the user stated."""
    for pattern, layout in layouts.items():
        check_layout(pattern, layout)
        matched = matching(pattern, layers)
        if not matched:
            raise UsageError(
                f"a layout is stated for {pattern}, but there is no such layer{did_you_mean(pattern, layers)}"
            )
        fitting = [
            name
            for name in matched
            if len(layers[name].shape) + 1 == _DIMENSIONS[layout]
            and _unusable(recorder.seen[name], recorder.batch) is None
        ]
        if not fitting or (pattern in layers and pattern not in fitting):
            first = layers[matched[0]]
            why = first.unusable or f"its output is {first.layout}, {' x '.join(map(str, first.shape))} an image"
            raise UsageError(f"{first.name} cannot have the layout {layout}: {why}")
        for name in fitting:
            grids = recorder.grids[: recorder.grids_before[name]]
            layers[name] = _laid_out(layers[name], layout, facts, grids, input_size)


def check_layout(pattern: str, layout: str) -> None:
    """Raise a `UsageError` when `layout` is none of `LAYOUTS`."""
    if layout not in LAYOUTS:
        raise UsageError(
            f"unknown layout {layout!r} for {pattern}{did_you_mean(layout, LAYOUTS)} (known: {join_words(LAYOUTS, 'and')})"
        )


def is_glob(pattern: str) -> bool:
    """Whether a layer name holds a wildcard."""
    return any(character in pattern for character in "*?[")


def matching(pattern: str, names: Mapping[str, object]) -> list[str]:
    """The names that a name or a glob stands for, in their order; a ``*`` also crosses dots.

    >>> matching("layer*", {"stem": 0, "layer1": 0, "layer1.conv": 0})
    ['layer1', 'layer1.conv']
    """
    if pattern in names or not is_glob(pattern):
        return [pattern] if pattern in names else []
    return [name for name in names if fnmatchcase(name, pattern)]
