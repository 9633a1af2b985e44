"""Channels split in several: what follows is as before, in every kind of network, or the refusal says what to do."""

import copy

import pytest
import torch
from tests.conftest import make_small_model
from tests.torchvision_shim import make_torchvision_importable
from torch import nn

import monoseme as ms
from monoseme.models import Tap, Tapped, producer, with_readable_input, with_split_units

SIZE = ms.Preprocess.imagenet(32)


def images(size=32, batch=4):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def lively(module):
    """Batch norms with statistics of their own, so that a wrong one shows."""
    random = torch.Generator().manual_seed(1)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor, low, high in (
                (each.weight, 0.5, 2),
                (each.bias, -1, 1),
                (each.running_mean, -0.3, 0.3),
                (each.running_var, 0.5, 2),
            ):
                with torch.no_grad():
                    tensor.copy_(torch.rand(tensor.shape, generator=random) * (high - low) + low)
    return module


def random_sources(inputs, k, seed=0):
    """(k, inputs) disjoint sources; a third of the inputs belong to none alone."""
    owner = torch.randint(-1, k, (inputs,), generator=torch.Generator().manual_seed(seed))
    return owner[None] == torch.arange(k)[:, None]


def inputs_of(module):
    return module.in_channels if isinstance(module, nn.Conv2d) else module.in_features


def rewritten(model, layer, neurons, k=3):
    found = [producer(model, layer, neuron) for neuron in neurons]
    inputs = inputs_of(model.module.get_submodule(found[0].name))
    own = [random_sources(inputs, k, seed) for seed in range(len(found))]
    return (*with_split_units(model, found, own), found, own)


def assert_unchanged(model, made, layer, size=32):
    before, after = model.module(images(size)), made.module(images(size))
    assert float((after - before).abs().max() / before.abs().max()) < 1e-4
    tap = Tap(layer)
    one, two = (Tapped(each, [tap], predictions=False)(images(size)).pooled[tap] for each in (model, made))
    torch.testing.assert_close(two, one, atol=1e-4 * float(one.abs().max()), rtol=1e-4)


def norm_act():
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(inplace=True), nn.Conv2d(12, 8, 3, stride=2), nn.BatchNorm2d(8),
        nn.ReLU6(inplace=True), nn.Conv2d(8, 8, 3, groups=8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    return ms.wrap(lively(net), SIZE, device="cpu")


@pytest.mark.parametrize(
    "layer, behind", [("3", "3"), ("4", "3"), ("5", "3"), ("6", "3"), ("7", "3"), ("9", "3"), ("10", "10")]
)
def test_convolution_norm_and_activation(layer, behind):
    model = norm_act()
    state = copy.deepcopy(model.module.state_dict())
    made, where, found, _ = rewritten(model, layer, [4, 1])
    assert {each.name for each in found} == {behind}
    assert [each.unit for each in found] == [4, 1]
    assert_unchanged(model, made, layer)
    assert made.layers()[where].channels == 6
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.module.state_dict().items())


def test_new_channels_are_the_old_one_with_only_their_inputs():
    model = norm_act()
    made, where, _, (own,) = rewritten(model, "5", [4])
    given = model.module[:3](images())
    new = Tapped(made, [Tap(where)], predictions=False)(images()).pooled[Tap(where)]
    for channel, sources in enumerate(own):
        kept = given * (sources | ~own.any(0))[None, :, None, None]
        torch.testing.assert_close(new[:, channel], model.module[3:6](kept)[:, 4].mean((1, 2)), atol=1e-5, rtol=1e-4)


def test_a_new_channel_keeps_what_its_inputs_alone_make():
    """Where the siblings' inputs are silent, a channel is what the old one was."""
    model = norm_act()
    made, where, _, (own,) = rewritten(model, "5", [4], k=2)
    silent = own[1]
    with ms.ablate(model, "2", torch.nonzero(silent)[:, 0].tolist()):
        old = Tapped(model, [Tap("5")], predictions=False)(images()).pooled[Tap("5")][:, 4]
    with ms.ablate(made, "2", torch.nonzero(silent)[:, 0].tolist()):
        new = Tapped(made, [Tap(where)], predictions=False)(images()).pooled[Tap(where)][:, 0]
    torch.testing.assert_close(new, old, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", ["head", "blocks.3.expand", "blocks.3.depthwise", "blocks.3.project", "blocks.0"])
def test_every_kind_of_layer_of_efficientnet(layer):
    model = ms.load_model("bundled:efficientnet-lite0", image_size=64, device="cpu")
    made, where, *_ = rewritten(model, layer, [5, 11])
    assert_unchanged(model, made, layer, 64)
    assert made.layers()[where].channels == 6


@pytest.mark.parametrize(
    "name, layer, behind",
    [
        ("resnet18", "layer2.0.bn1", "layer2.0.conv1"),
        ("resnet18", "layer3.1.bn2", "layer3.1.conv2"),
        ("resnet18", "layer3.0.downsample", "layer3.0.downsample.0"),
        ("resnet18", "relu", "conv1"),
        ("resnext50_32x4d", "layer2.1.conv2", "layer2.1.conv2"),
        ("googlenet", "inception4a", "inception4a.branch1.conv"),
    ],
)
def test_networks_of_torchvision(name, layer, behind):
    make_torchvision_importable()
    model = ms.load_model(f"torchvision:{name}", weights="none", image_size=64, device="cpu")
    lively(model.module)
    made, _, found, _ = rewritten(model, layer, [5, 2], k=2)
    assert found[0].name == behind
    assert_unchanged(model, made, layer, 64)


def test_a_channel_of_a_joined_branch_is_found_by_what_it_gives():
    make_torchvision_importable()
    model = ms.load_model("torchvision:googlenet", weights="none", image_size=64, device="cpu")
    first = model.module.inception4a.branch1.conv.out_channels
    found = producer(model, "inception4a", first + 3)
    assert (found.name, found.unit, found.rectified) == ("inception4a.branch2.1.conv", 3, True)


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.up, self.act, self.down = nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, pictures):
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        return self.head((tokens + self.down(self.act(self.up(tokens)))).mean(1))


@pytest.mark.parametrize("layer", ["up", "act", "down"])
def test_linear_layers_over_tokens(layer):
    model = ms.wrap(Mixer(), SIZE, device="cpu")
    made, where, *_ = rewritten(model, layer, [7, 3])
    assert_unchanged(model, made, layer)
    assert made.layers()[where].layout == "NLC"


def test_a_sum_of_branches_is_refused_with_a_layer_to_name():
    make_torchvision_importable()
    model = ms.load_model("torchvision:resnet18", weights="none", image_size=64, device="cpu")
    with pytest.raises(ms.UsageError, match=r"not one channel .* name a convolution .* such as layer3\.1\.conv2"):
        producer(model, "layer3.1", 5)


def test_a_norm_over_channels_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 6), nn.LayerNorm(6))
    with pytest.raises(ms.UsageError, match="not one channel"):
        producer(ms.wrap(net, SIZE, device="cpu"), "2", 0)


def test_a_depthwise_convolution_with_nothing_before_it_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.ReLU())
    with pytest.raises(ms.UsageError, match="not one channel"):
        producer(ms.wrap(net, SIZE, device="cpu"), "1", 0)


def test_neurons_of_different_modules_are_refused():
    make_torchvision_importable()
    model = ms.load_model("torchvision:googlenet", weights="none", image_size=64, device="cpu")
    with pytest.raises(ms.UsageError, match="one module at a time"):
        rewritten(model, "inception4a", [1, 200])


def test_neurons_out_of_range_are_refused(small_model):
    with pytest.raises(ms.UsageError, match="numbered from 0, and no 20"):
        producer(small_model, "3", 20)


def test_what_goes_into_a_module_can_be_read():
    model = make_small_model()
    made, layer = with_readable_input(model, "2")
    assert_unchanged(model, made, "3")
    tap = Tap("1")
    old = Tapped(model, [tap], predictions=False)(images()).pooled[tap]
    assert torch.equal(Tapped(made, [Tap(layer)], predictions=False)(images()).pooled[Tap(layer)], old)


def test_gradients_flow_through_the_new_channels():
    model = norm_act()
    made, *_ = rewritten(model, "5", [4])
    given = [images().requires_grad_() for _ in range(2)]
    gradients = [
        torch.autograd.grad(each.module(x)[:, 0].sum(), x)[0] for each, x in zip((model, made), given, strict=True)
    ]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-3)
