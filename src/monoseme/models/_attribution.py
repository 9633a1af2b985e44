"""Which units of a lower layer drove a neuron: what the neuron gave is handed down to them."""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import MissingExtraError, UsageError, did_you_mean
from ._changes import Change, one_layer, require_unchanged
from ._layers import LayerInfo
from ._model import Model
from ._positions import ToLayer
from ._taps import Tap, check_pooling, pool

Rule = Literal["gradient", "lrp"]
RULES = ("gradient", "lrp")


class Attribution:
    """A model that says how much each unit of a lower layer contributed to neurons of a layer.

    What is attributed is the neuron's pooled activation. With "gradient" a unit gets the sum over its positions of activation
    times gradient; that is what Dreyer et al. (PURE, CVPR Workshops 2024) cluster, and in a network of ReLUs the same as
    layer-wise relevance propagation without stabiliser. With "lrp" it gets the sum of its relevances by the epsilon rule, with
    batch norms merged into the convolutions before them, from zennit (Bach et al., PLOS ONE 2015); another zennit composite can
    be given in its place. Where a plain addition joins two branches zennit hands the relevance to both of them whole, which
    the gradient does not.

    The pass runs as far as the layer once for a batch; each round goes back from there to the lower layer for one neuron an
    image.

    Parameters
    ----------
    model : Model
        From `load_model` or `wrap`.
    layer, lower : str
        Exact names of the layer of the neurons and of one that comes before it.
    pooling : "mean", "max" or "cls"
        How the layer's positions become one activation.
    rule : "gradient", "lrp" or a zennit composite
        How activations are handed down.

    Raises
    ------
    UsageError
        There is no such layer, or the lower one is not below; the model is being changed by a `Change`.
    MissingExtraError
        zennit is needed and not installed.

    Examples
    --------
    Without biases, what units get adds up to what the neuron gave:

    >>> from torch import nn
    >>> from monoseme.models import Preprocess, Tap, Tapped, wrap
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3, bias=False), nn.ReLU())
    >>> model, images = wrap(net, Preprocess.imagenet(16), device="cpu"), torch.rand(4, 3, 16, 16)
    >>> drives = Attribution(model, "3", "1")(images, torch.tensor([[2], [0], [4], [2]]))
    >>> given = Tapped(model, [Tap("3")], predictions=False)(images).pooled[Tap("3")]
    >>> drives.shape, torch.allclose(drives.sum(2), given[range(4), [2, 0, 4, 2]][:, None], atol=1e-6)
    (torch.Size([4, 1, 8]), True)
    """

    def __init__(
        self, model: Model, layer: str, lower: str, pooling: str = "mean", rule: Rule | object = "gradient"
    ) -> None:
        require_unchanged(model)
        self.info, self.lower = one_layer(model, layer), one_layer(model, lower)
        check_pooling(Tap(layer, pooling), self.info, model.spec)
        if self.lower.order >= self.info.order:
            raise UsageError(f"layer {lower} of {model.spec} does not come before {layer}; name a lower one")
        self.pooling = pooling
        self.composite = _composite(rule)
        if self.composite is not None:
            model = _own_copy(model)
            self.composite.register(model.module)
            model.module.requires_grad_(False)  # merging batch norms may have made biases anew
        self.model, self._to_layer = model, ToLayer(model, layer)
        noise = torch.rand((1, *model.input_size), generator=torch.Generator().manual_seed(0))
        if not self._passed(noise)[1].requires_grad:
            raise UsageError(f"layer {lower} of {model.spec} does not lead to {layer}; name a layer that does")

    def __call__(self, images: Tensor, neurons: Tensor, vectors: Tensor | None = None) -> Tensor:
        """Hand activations down.

        Parameters
        ----------
        images : (B, C, H, W)
            As the model takes them.
        neurons : (B, m) int64
            Neurons to attribute in each image; -1 for none, which gives zeros.
        vectors : (D, channels), optional
            Directions that the numbers mean in place of neurons.

        Returns
        -------
        (B, m, channels of the lower layer) float32, on the CPU
        """
        leaf, output = self._passed(images)
        with torch.inference_mode(False), torch.enable_grad():
            pooled = pool(output, self.info, self.pooling)
            if vectors is not None:
                pooled = pooled @ vectors.to(pooled).T
        found = torch.zeros(*neurons.shape, self.lower.channels)
        for place, wanted in enumerate(neurons.to(pooled.device).unbind(1)):
            chosen = torch.zeros_like(pooled).scatter_(1, wanted.clamp_min(0)[:, None], (wanted >= 0).float()[:, None])
            (start,) = torch.autograd.grad(pooled, output, chosen, retain_graph=True)
            if self.composite is not None:
                start = start * output.detach()
            (given,) = torch.autograd.grad(output, leaf, start, retain_graph=True)
            drives = given if self.composite is not None else given * leaf.detach()
            found[:, place] = _over_positions(drives, self.lower).cpu()
        return found

    def _passed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the lower layer gave, as a leaf, and what the layer made of it."""
        leaves: list[Tensor] = []

        def leaf(output: Tensor) -> Tensor:
            leaves[:] = [output.detach().requires_grad_()]
            return leaves[0].clone()  # what follows may work in place, which a leaf forbids

        with torch.inference_mode(False), torch.enable_grad(), Change(self.model, self.lower.name, leaf, "attribution"):
            output = self._to_layer(images)
        return leaves[0], output


def _over_positions(drives: Tensor, info: LayerInfo) -> Tensor:
    """Sums over a layer's positions, tokens before the patch tokens included: (B, C) float32."""
    over = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,), "NC": ()}[info.layout]
    return drives.sum(over, dtype=torch.float32) if over else drives.float()


def _composite(rule: Rule | object) -> Any:
    """A zennit composite, or None for gradients."""
    if rule == "gradient":
        return None
    if isinstance(rule, str) and rule not in RULES:
        raise UsageError(f"there is no attribution {rule!r}{did_you_mean(rule, RULES)}; use gradient or lrp")
    try:
        from zennit.canonizers import SequentialMergeBatchNorm
        from zennit.composites import LAYER_MAP_BASE, LayerMapComposite
        from zennit.core import Composite
        from zennit.rules import Epsilon
        from zennit.types import Linear
    except ImportError as error:
        raise MissingExtraError("attribution by relevance", package="zennit", extra="lrp") from error
    if rule == "lrp":
        layers = [*LAYER_MAP_BASE, (Linear, Epsilon())]
        return LayerMapComposite(layers, canonizers=[SequentialMergeBatchNorm()])
    if not isinstance(rule, Composite):
        raise UsageError(f"attribution is gradient, lrp or a zennit composite, not a {type(rule).__name__}")
    return copy.deepcopy(rule)


def _own_copy(model: Model) -> Model:
    """The model with weights of its own, for composites change them."""
    own = copy.copy(model)
    own.module = copy.deepcopy(model.module)
    return own
