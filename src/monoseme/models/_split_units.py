"""A convolution or linear layer of which some output channels are made of several."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import UsageError
from ._model import Model
from ._producer import Linear, Producer, channel_dim, for_units


class SplitUnits(nn.Module):
    """A linear module that gives what it gave before, by way of more channels.

    Channel c, a sum over input channels, is computed as the sum of k channels that each leave out the inputs that belong to
    the other k - 1 alone, less k - 1 times a channel of what belongs to none alone (Hesse et al., Disentangling Polysemantic
    Channels in Convolutional Neural Networks, CVPR Workshops 2025, where k is 2).

    Parts
    -----
    whole : the module as it was
    parts : the new channels: for each split channel its k, then what they share
    concepts : the k of each, as they would look at the layer: after its batch norm and activation function. To be read by
        taps; nothing else depends on it.
    """

    units: Tensor
    merge: Tensor

    def __init__(
        self, whole: Linear, producers: Sequence[Producer], own: Sequence[Tensor], chain: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.whole = whole
        weight = full_weight(whole)
        merge = torch.zeros(len(own), sum(len(sources) + 1 for sources in own))
        masks: list[Tensor] = []
        units: list[int] = []
        for row, (each, sources) in enumerate(zip(producers, own, strict=True)):
            first, count = len(units), len(sources)
            merge[row, first : first + count] = 1
            merge[row, first + count] = 1 - count
            of_none = ~sources.any(0)
            masks += [*(sources | of_none), of_none]
            units += [each.unit] * (count + 1)
        kept = torch.stack(masks).to(weight)
        self.parts = copy.deepcopy(whole)
        self.parts.weight = nn.Parameter(weight[units] * kept.reshape(*kept.shape, *[1] * (weight.ndim - 2)), False)
        if whole.bias is not None:
            self.parts.bias = nn.Parameter(whole.bias.detach()[units], False)
        if isinstance(self.parts, nn.Conv2d):
            self.parts.in_channels, self.parts.out_channels, self.parts.groups = weight.shape[1], len(units), 1
        else:
            self.parts.out_features = len(units)
        shown = (merge == 1).any(0).nonzero()[:, 0]
        alone = [for_units(each, [units[place] for place in shown.tolist()]) for each in chain]
        self.concepts = nn.Sequential(Channels(shown), *(each for each in alone if each is not None))
        self.register_buffer("units", torch.tensor([each.unit for each in producers]), persistent=False)
        self.register_buffer("merge", merge.to(weight), persistent=False)
        self.to(weight.device).eval()

    def forward(self, given: Tensor) -> Tensor:
        out: Tensor = self.whole(given)
        parts = self.parts(given)
        self.concepts(parts)
        convolution = isinstance(self.whole, nn.Conv2d)
        merged = (
            functional.conv2d(parts, self.merge[..., None, None])
            if convolution
            else functional.linear(parts, self.merge)
        )
        return out.index_copy(channel_dim(out), self.units, merged)


class Channels(nn.Module):
    """Some of the channels, in a tensor of their own."""

    places: Tensor

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("places", places, persistent=False)

    def forward(self, given: Tensor) -> Tensor:
        return given.index_select(channel_dim(given), self.places)


def full_weight(module: Linear) -> Tensor:
    """(out, in, ...) weights over all input channels, with zeros where groups have none."""
    weight = module.weight.detach()
    groups = module.groups if isinstance(module, nn.Conv2d) else 1
    if groups == 1:
        return weight
    out, each = weight.shape[:2]
    whole = weight.new_zeros(out, each * groups, *weight.shape[2:])
    for group in range(groups):
        rows = slice(group * out // groups, (group + 1) * out // groups)
        whole[rows, group * each : (group + 1) * each] = weight[rows]
    return whole


def with_split_units(model: Model, producers: Sequence[Producer], own: Sequence[Tensor]) -> tuple[Model, str]:
    """A model with channels split, and the layer where the new ones are read; the model given stays as it is.

    producers : of the neurons, all of one module and with one chain
    own : for each (k, inputs) bool, the input channels that belong to one of its k new channels alone

    Raises
    ------
    UsageError
        The neurons are computed by different modules, or the sources are of another number of inputs.
    """
    first = producers[0]
    for each in producers:
        if (each.name, each.chain, each.rectified) != (first.name, first.chain, first.rectified):
            raise UsageError(
                f"neurons are computed by {first.name} and {each.name}; split those of one module at a time"
            )
    network = copy.deepcopy(model.module)
    inputs = full_weight(linear(network, first.name)).shape[1]
    for sources in own:
        if sources.shape[1] != inputs:
            raise UsageError(
                f"{first.name} has {inputs:,} inputs, not {sources.shape[1]:,}; give sources of that module"
            )
    chain = [network.get_submodule(name) for name in first.chain] + ([nn.ReLU()] if first.rectified else [])
    split = SplitUnits(linear(network, first.name), producers, own, chain)
    return model.with_module(replaced(network, first.name, split)), f"{first.name}.concepts"


def with_readable_input(model: Model, name: str) -> tuple[Model, str]:
    """The same model with a layer that gives what goes into a module, and that layer's name."""
    network = copy.deepcopy(model.module)
    behind = nn.Sequential(nn.Identity(), network.get_submodule(name))
    return model.with_module(replaced(network, name, behind)), f"{name}.0"


def linear(network: nn.Module, name: str) -> Linear:
    """A convolution or linear layer by name."""
    module = network.get_submodule(name)
    if not isinstance(module, Linear):
        raise UsageError(f"{name} is a {type(module).__name__}, not a convolution or linear layer")
    return module


def replaced(network: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """A network with another module in a place; `network` itself is changed, unless it is that module."""
    if not name:
        return module
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
    return network
