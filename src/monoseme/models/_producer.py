"""Where a neuron is computed: the convolution or linear layer behind it, and what is done to its unit alone after that."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..base import UsageError
from ._changes import require_unchanged
from ._model import Model
from ._outputs import first_tensor, with_first_tensor
from ._positions import ToLayer

Linear = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Producer:
    """What computes a neuron of a layer.

    name : the convolution or linear layer
    unit : its output channel
    chain : names of the modules that work on each channel alone between there and the layer's output, in order
    rectified : whether a ReLU that is no module comes at the end
    """

    name: str
    unit: int
    chain: tuple[str, ...]
    rectified: bool


def producer(model: Model, layer: str, neuron: int) -> Producer:
    """Find what computes a neuron, by following tensors from module to module and comparing what comes out.

    In the pass for that, convolutions and linear layers give random numbers, so that no channel is silent. Batch norms, activation functions, pooling and depthwise convolutions may follow, and the layer may join several branches.

    Raises
    ------
    UsageError
        It is no channel of one convolution or linear layer: two branches are added up, or channels are mixed in between.
    """
    require_unchanged(model)
    to_layer, trace = ToLayer(model, layer), _Trace({module: name for name, module in model.module.named_modules()})
    noise = torch.rand((8, *model.input_size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        handles = [
            module.register_forward_hook(trace.note)
            for module in trace.names
            if not any(True for _ in module.children())
        ]
        try:
            output = to_layer(noise)
        finally:
            for handle in handles:
                handle.remove()
        if not 0 <= neuron < to_layer.info.channels:
            raise UsageError(f"layer {layer} has {to_layer.info.channels:,} neurons, numbered from 0, and no {neuron}")
        wanted = output[:, neuron] if to_layer.info.layout == "NCHW" else output[..., neuron]
        places = [place for place, call in enumerate(trace.calls) if _sums(call.module)]
        for unit in (neuron, None):  # where branches are joined, the channel has another number
            for place in reversed(places):
                found = _matched(trace, place, wanted, unit)
                if found is not None:
                    return found
    near = f"; name a convolution or linear layer itself, such as {trace.calls[places[-1]].name}" if places else ""
    raise UsageError(f"neuron {neuron} of {layer} is not one channel of a convolution or linear layer alone{near}")


def channel_dim(tensor: Tensor) -> int:
    """Where the channels of a module's output are: after the batch in maps, last elsewhere."""
    return 1 if tensor.ndim == 4 else -1


def is_depthwise(module: nn.Module) -> bool:
    """Whether each channel comes of one channel."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels == module.out_channels


def _sums(module: nn.Module) -> bool:
    """Whether a channel is a sum over several."""
    return isinstance(module, Linear) and not is_depthwise(module)


def for_units(module: nn.Module, units: Sequence[int]) -> nn.Module | None:
    """A module that does to channel i what this one does to channel ``units[i]``; None where it mixes channels."""
    own, rows = copy.deepcopy(module), torch.tensor(units)
    if isinstance(own, _BatchNorm) or is_depthwise(own):
        for name, tensor in [*own.named_parameters(), *own.named_buffers()]:
            if tensor.ndim:
                taken = tensor.detach()[rows.to(tensor.device)]
                setattr(own, name, nn.Parameter(taken, False) if isinstance(tensor, nn.Parameter) else taken)
        for name in ("num_features", "in_channels", "out_channels", "groups"):
            if hasattr(own, name):
                setattr(own, name, len(units))
        return own
    return None if any(True for _ in own.parameters()) else own


@dataclass
class _Call:
    name: str
    module: nn.Module
    given: Tensor
    gave: Tensor
    value: Tensor
    """What it gave, before anything worked on it in place."""


@dataclass
class _Trace:
    """Calls of the innermost modules in order, with the very tensors that went in and out."""

    names: dict[nn.Module, str]
    calls: list[_Call] = field(default_factory=list)
    random: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def note(self, module: nn.Module, args: tuple[object, ...], output: object) -> object:
        given, gave = first_tensor(args), first_tensor(output)
        if given is None or gave is None:
            return output
        if _sums(module):
            gave = (10 * (1 + gave.float().std()) * torch.randn(gave.shape, generator=self.random).to(gave.device)).to(
                gave
            )
        self.calls.append(_Call(self.names[module], module, given, gave, gave.clone()))
        return with_first_tensor(output, gave)

    def paths(self, place: int) -> Iterator[tuple[_Call, ...]]:
        """Chains of modules that each take what the one before gave and may leave channels apart, the shortest first."""
        yield ()
        for later in range(place + 1, len(self.calls)):
            if self.calls[later].given is self.calls[place].gave and not _sums(self.calls[later].module):
                for rest in self.paths(later):
                    yield (self.calls[later], *rest)


def _matched(trace: _Trace, place: int, wanted: Tensor, unit: int | None) -> Producer | None:
    """Whether a module's channel, or any of its channels, becomes the neuron along a path."""
    start = trace.calls[place]
    for rectified, path in itertools.product((False, True), trace.paths(place)):
        value = (path[-1] if path else start).value
        channels = value.movedim(channel_dim(value), 0)
        if channels.shape[1:] != wanted.shape or (unit is not None and unit >= len(channels)):
            continue
        seen = channels.relu() if rectified else channels
        same = (seen == wanted).flatten(1).all(1).nonzero()[:, 0].tolist()
        if unit is not None:
            same = [each for each in same if each == unit]
        if len(same) == 1 and _alone(start, path, same[0], wanted, rectified):
            return Producer(start.name, same[0], tuple(call.name for call in path), rectified)
    return None


def _alone(start: _Call, path: tuple[_Call, ...], unit: int, wanted: Tensor, rectified: bool) -> bool:
    """Whether the modules of a path make the neuron of that channel alone."""
    value = start.value.narrow(channel_dim(start.value), unit, 1).clone()
    for call in path:
        module = for_units(call.module, [unit])
        if module is None:
            return False
        try:
            value = module(value)
        except (RuntimeError, ValueError, IndexError):  # it wants all channels
            return False
    value = (value.relu() if rectified else value).movedim(channel_dim(value), 0)
    return value.shape[1:] == wanted.shape and torch.allclose(value[0], wanted, rtol=1e-4, atol=1e-5)
