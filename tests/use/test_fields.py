"""Receptive fields against the closed form of convolutions, and where no closed form is: what must hold all the same."""

import pytest
import torch
from torch import nn

import monoseme as ms
from monoseme.use import ReceptiveField, receptive_field


def closed_form(layers):
    """(size, stride, offset) along an axis from the recursion over kernel, stride, padding and dilation.

    Araujo et al. 2019, Computing receptive fields of convolutional neural networks, equations 2, 3 and 6.
    """
    size, stride, offset = 1, 1, 0.5
    for kernel, step, padding, dilation in layers:
        reach = dilation * (kernel - 1)
        offset += stride * (reach / 2 - padding)
        size += stride * reach
        stride *= step
    return size, stride, offset


def model_of(*modules, size=64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for module in modules:
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
    return ms.wrap(nn.Sequential(*modules), ms.Preprocess.imagenet(size), device="cpu")


def conv(inputs, outputs, kernel, stride=1, padding=0, dilation=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation)


STACKS = [
    [(3, 1, 0, 1)],
    [(3, 1, 1, 1), (3, 1, 1, 1)],
    [(5, 2, 2, 1), (3, 1, 1, 1)],
    [(7, 2, 3, 1), (3, 2, 1, 1), (3, 2, 0, 1)],
    [(3, 1, 0, 2), (3, 1, 4, 4)],
    [(4, 3, 0, 1), (2, 2, 0, 1)],
    [(8, 8, 0, 1), (1, 1, 0, 1)],
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("linear", [True, False])
def test_stacks_of_convolutions_have_the_field_of_the_closed_form(stack, linear):
    modules = []
    for place, each in enumerate(stack):
        modules.append(conv(3 if place == 0 else 8, 8, *each))
        if not linear:
            modules.append(nn.ReLU(inplace=True))
    model = model_of(*modules)
    if linear:
        for module in modules:
            module.weight.fill_(1.0)
    size, stride, offset = closed_form(stack)
    field = receptive_field(model, str(len(modules) - 1))
    assert field.whole == (size, size)
    assert field.stride == (stride, stride)
    # with equal weights the gradient falls off alike on both sides, so its centre of gravity is the middle
    assert field.offset == pytest.approx((offset, offset), abs=1e-6 if linear else size / 10)
    assert all(0 < side <= size for side in field.effective)


def test_down_and_right_may_differ():
    modules = nn.Conv2d(3, 8, (3, 7), (1, 2), (1, 0)), nn.Conv2d(8, 8, (5, 1))
    field = receptive_field(model_of(*modules, size=48), "1")
    assert (field.whole, field.stride, field.grid) == ((7, 7), (1, 2), (44, 21))


def test_pooling_and_branches_count_the_widest_way():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(8, 8, 9, padding=4), nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return self.wide(x) + self.narrow(x)

    model = model_of(conv(3, 8, 3, padding=1), nn.MaxPool2d(2), Branches())
    field = receptive_field(model, "2", samples=32)
    assert field.whole == (3 + 1 + 2 * 8,) * 2
    assert field.stride == (2, 2)


def test_the_effective_field_holds_its_share_and_grows_with_it():
    model = model_of(*(conv(3 if n == 0 else 6, 6, 5, padding=2) for n in range(5)))
    for module in model.module:
        module.weight.fill_(1.0)
    fields = [receptive_field(model, "4", share=share) for share in (0.3, 0.6, 0.9)]
    sides = [field.effective[0] for field in fields]
    assert sides == sorted(sides)
    # the gradient is the product of two equal curves, down and right: what a fifth convolution of ones gives
    curve = torch.ones(1, 1, 1)
    for _ in range(5):
        curve = nn.functional.conv1d(curve, torch.ones(1, 1, 5), padding=4)
    curve = curve.flatten().double().square()
    for field in fields:
        inside = torch.clamp(field.effective[0] / 2 - (torch.arange(21) - 10).abs() + 0.5, 0, 1)
        held = float((curve * inside).sum() / curve.sum())
        assert held == pytest.approx((1 + field.share) / 2, abs=0.01)
        assert held**2 >= field.share


def test_global_context_is_left_out_of_the_effective_field():
    class Squeeze(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return x * torch.sigmoid(3 * self.gate(x.mean((2, 3), keepdim=True)))

    plain = conv(3, 8, 5, padding=2)
    without, squeezed = receptive_field(model_of(plain), "0"), receptive_field(model_of(plain, Squeeze()), "1")
    assert squeezed.whole == (64, 64)
    assert squeezed.effective == pytest.approx(without.effective, abs=1)
    assert squeezed.offset == pytest.approx((0.5, 0.5), abs=0.5)


def test_networks_that_take_one_size_see_an_even_grid():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, 16, 8, stride=8)
            self.place = nn.Parameter(torch.randn(64, 16))
            self.mix = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

        def forward(self, x):
            return self.mix(self.embed(x).flatten(2).transpose(1, 2) + self.place)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ms.wrap(Patches(), ms.Preprocess.imagenet(64), device="cpu")
    field = receptive_field(model, "mix")
    assert (field.grid, field.stride, field.offset) == ((8, 8), (8, 8), (4, 4))
    assert field.whole == (64, 64)
    assert all(side <= 16 for side in field.effective)


def test_a_position_that_all_pixels_reach_has_the_inputs_size():
    field = receptive_field(model_of(conv(3, 4, 3, stride=2), conv(4, 4, 31, padding=15), size=32), "1")
    assert field.whole == (32, 32)


def test_what_cannot_be_measured_says_why():
    class Cut(nn.Module):
        def forward(self, x):
            return x.detach()

    class Dead(nn.Module):
        def forward(self, x):
            return x * 0

    with pytest.raises(ms.MonosemeError, match=r"no gradient of layer 1 .* use ReceptiveField.even"):
        receptive_field(model_of(conv(3, 4, 3), Cut()), "1")
    with pytest.raises(ms.MonosemeError, match="vanishes"):
        receptive_field(model_of(conv(3, 4, 3), Dead()), "1")
    with pytest.raises(ms.UsageError, match="no positions"):
        receptive_field(model_of(conv(3, 4, 3), nn.Flatten(), size=16), "1")
    with pytest.raises(ms.UsageError, match="between 0 and 1"):
        receptive_field(model_of(conv(3, 4, 3)), "0", share=0)
    with pytest.raises(ms.UsageError, match="at least one"):
        receptive_field(model_of(conv(3, 4, 3)), "0", samples=0)


def test_equal_calls_give_equal_fields():
    model = model_of(conv(3, 4, 5), nn.ReLU(), conv(4, 4, 3))
    assert receptive_field(model, "2") == receptive_field(model, "2")


def test_even_cells_tile_the_input():
    field = ReceptiveField.even((30, 20), (3, 2))
    assert [field.centre(row, column) for row, column in ((0, 0), (2, 1))] == [(5, 5), (25, 15)]
