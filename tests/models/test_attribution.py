"""Attribution to a lower layer: against plain autograd, closed forms, conservation, and zennit itself."""

import copy

import numpy as np
import pytest
import torch
from tests.conftest import make_small_model
from torch import nn

import monoseme as ms
from monoseme.models import Attribution, Tap, Tapped

SIZE = ms.Preprocess.imagenet(16)


def images(batch=5, size=16):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def wrapped(*modules, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in modules:
            for each in module.modules():
                if hasattr(each, "reset_parameters"):
                    each.reset_parameters()
                if isinstance(each, nn.BatchNorm2d):
                    nn.init.uniform_(each.weight, 0.5, 2)
                    each.running_mean.uniform_(-0.2, 0.2)
                    each.running_var.uniform_(0.5, 2)
    return ms.wrap(nn.Sequential(*modules), SIZE, device="cpu")


def pooled(model, layer, pooling="mean", batch=5):
    tap = Tap(layer, pooling)
    return Tapped(model, [tap], predictions=False)(images(batch)).pooled[tap]


NEURONS = torch.tensor([[3, 0], [3, 7], [-1, 19], [4, 4], [11, -1]])


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_gradient_times_input_is_that_of_a_plain_pass(pooling):
    model = make_small_model()
    batch = images(size=32)
    got = Attribution(model, "3", "1", pooling)(batch, NEURONS)
    lower = model.module[:2](batch).detach().requires_grad_()
    maps = model.module[2:4](lower.clone())
    activations = maps.mean((2, 3)) if pooling == "mean" else maps.amax((2, 3))
    for image, wanted in enumerate(NEURONS.tolist()):
        for place, neuron in enumerate(wanted):
            expected = torch.zeros(12)
            if neuron >= 0:
                (gradient,) = torch.autograd.grad(activations[image, neuron], lower, retain_graph=True)
                expected = (gradient * lower)[image].sum((1, 2)).detach()
            torch.testing.assert_close(got[image, place], expected, atol=1e-6, rtol=1e-4)


def test_of_a_linear_layer_it_is_the_weight_times_the_activation():
    model = wrapped(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    lower, weight = pooled(model, "1"), model.module[4].weight
    got = Attribution(model, "4", "1")(images(), torch.tensor([[2]] * 5))
    torch.testing.assert_close(got[:, 0], lower * weight[2], atol=1e-6, rtol=1e-4)


def test_directions_are_attributed_as_sums_of_neurons():
    model, vectors = make_small_model(), torch.randn(2, 20, generator=torch.Generator().manual_seed(1))
    attribution, batch = Attribution(model, "3", "1"), images(2, 32)
    every = attribution(batch, torch.arange(20).repeat(2, 1))
    got = attribution(batch, torch.tensor([[0, 1], [1, 0]]), vectors)
    expected = torch.einsum("bcf,dc->bdf", every, vectors)
    torch.testing.assert_close(got[0], expected[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(got[1], expected[1].flip(0), atol=1e-5, rtol=1e-4)


class Tokens(nn.Module):
    """Patches as tokens behind a class token, mixed by attention."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.cls_token = nn.Parameter(torch.ones(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.mix = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, pictures):
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        return self.mix(self.norm(torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)))


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_tokens_are_summed_with_the_class_token(pooling):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ms.wrap(Tokens(), SIZE, device="cpu")
    got = Attribution(model, "mix", "norm", pooling)(images(), torch.tensor([[5]] * 5))
    net = model.module
    tokens = net.patches(images()).flatten(2).transpose(1, 2)
    lower = net.norm(torch.cat([net.cls_token.expand(5, -1, -1), tokens], 1)).detach().requires_grad_()
    out = net.mix(lower)
    value = {"mean": out[:, 1:].mean(1), "max": out[:, 1:].amax(1), "cls": out[:, 0]}[pooling][:, 5]
    (gradient,) = torch.autograd.grad(value.sum(), lower)
    torch.testing.assert_close(got[:, 0], (gradient * lower).sum(1).detach(), atol=1e-6, rtol=1e-4)


def bias_free():
    return wrapped(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 5, 3, bias=False), nn.ReLU()
    )  # fmt: skip


@pytest.mark.parametrize("rule", ["gradient", "lrp"])
def test_without_biases_all_of_the_activation_is_handed_down(rule):
    model = bias_free()
    got = Attribution(model, "5", "1", rule=rule)(images(), torch.arange(5).repeat(5, 1))
    assert float(pooled(model, "5").max()) > 0.01
    torch.testing.assert_close(got.sum(2), pooled(model, "5"), atol=1e-4, rtol=1e-2)


def test_relevance_is_what_zennit_gives():
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import LAYER_MAP_BASE, LayerMapComposite
    from zennit.rules import Epsilon
    from zennit.types import Linear

    model = wrapped(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3))
    before = copy.deepcopy(model.module.state_dict())
    got = Attribution(model, "5", "1", rule="lrp")(images(), torch.tensor([[3]] * 5))
    part = copy.deepcopy(model.module[2:])
    lower = model.module[:2](images()).detach().requires_grad_()
    composite = LayerMapComposite([*LAYER_MAP_BASE, (Linear, Epsilon())], canonizers=[SequentialMergeBatchNorm()])
    with composite.context(part) as hooked:
        out = hooked(lower)
        start = torch.zeros_like(out)
        start[:, 3] = out[:, 3].detach() / out[0, 0].numel()
        (relevance,) = torch.autograd.grad(out, lower, start)
    torch.testing.assert_close(got[:, 0], relevance.sum((2, 3)))
    assert not torch.allclose(got, Attribution(model, "5", "1")(images(), torch.tensor([[3]] * 5)), rtol=1e-6)
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(tensor, before[name])  # batch norms were merged in a copy


def test_another_composite_can_be_given_and_stays_as_it_is():
    from zennit.composites import EpsilonPlus

    model, composite = bias_free(), EpsilonPlus()
    one = Attribution(model, "5", "1", rule=composite)(images(), torch.tensor([[1]] * 5))
    two = Attribution(model, "5", "1", rule=composite)(images(), torch.tensor([[1]] * 5))
    assert torch.equal(one, two)
    assert (one >= 0).all()  # what the rule for positive weights hands down


@pytest.mark.parametrize(
    "layer, lower, words",
    [("1", "3", "does not come before"), ("3", "3", "does not come before"), ("3", "nope", "has no layer nope")],
)
def test_a_lower_layer_that_is_not_below_is_refused(small_model, layer, lower, words):
    with pytest.raises(ms.UsageError, match=words):
        Attribution(small_model, layer, lower)


def test_a_layer_beside_is_refused():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, pictures):
            left = self.left(pictures)
            return torch.cat([left, self.right(pictures)], 1)

    model = ms.wrap(Branches(), SIZE, device="cpu")
    with pytest.raises(ms.UsageError, match="does not lead to right"):
        Attribution(model, "right", "left")


def test_an_unknown_rule_is_refused_and_a_missing_package_named(small_model, monkeypatch):
    with pytest.raises(ms.UsageError, match="did you mean gradient"):
        Attribution(small_model, "3", "1", rule="gradents")
    with pytest.raises(ms.UsageError, match="not a int"):
        Attribution(small_model, "3", "1", rule=3)
    monkeypatch.setitem(__import__("sys").modules, "zennit.canonizers", None)
    with pytest.raises(ms.MonosemeError, match=r"monoseme\[lrp\]"):
        Attribution(small_model, "3", "1", rule="lrp")


def test_a_changed_model_is_refused(small_model):
    with ms.ablate(small_model, "1", [0]), pytest.raises(ms.UsageError, match="in force"):
        Attribution(small_model, "3", "1")


def test_hooks_are_gone_and_results_repeat(small_model):
    attribution, batch = Attribution(small_model, "3", "1"), images(size=32)
    first = attribution(batch, NEURONS)
    assert sum(len(each._forward_hooks) for each in small_model.module.modules()) == 0
    with torch.inference_mode():
        assert torch.equal(first, attribution(batch, NEURONS))
    np.testing.assert_array_equal(first[2, 0], 0)
