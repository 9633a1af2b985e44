import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from monoseme.base import MonosemeError, UsageError
from monoseme.models import LayerInfo, Preprocess, Tap, Tapped, wrap
from monoseme.models._taps import pool

SIZE = Preprocess.imagenet(32)


def wrapped(module, **options):
    return wrap(module, SIZE, device="cpu", **options)


def images(batch=3, seed=0):
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def read(model, *taps, predictions=False, batch=None):
    return Tapped(model, taps, predictions=predictions)(images() if batch is None else batch)


sizes = st.integers(1, 6)


@settings(max_examples=80, deadline=None)
@given(
    sizes, sizes, sizes, sizes,
    st.sampled_from(["NCHW", "NHWC", "NLC", "NC"]),
    st.sampled_from(["mean", "max"]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    st.booleans(), st.integers(0, 3), st.integers(0, 2**16),
)  # fmt: skip
def test_pooling_is_the_mean_or_maximum_over_positions(b, c, h, w, layout, pooling, dtype, permuted, prefix, seed):
    shape = {"NCHW": (b, c, h, w), "NHWC": (b, h, w, c), "NLC": (b, prefix + h * w, c), "NC": (b, c)}[layout]
    output = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    if permuted and output.ndim == 4:
        output = output.contiguous(memory_format=torch.channels_last)
    info = LayerInfo("x", "X", tuple(shape[1:]), layout, c, prefix_tokens=prefix if layout == "NLC" else 0)
    # the reference brings channels to the last axis and all positions to the middle, in float64
    exact = output.double().numpy()
    exact = np.moveaxis(exact, 1, -1) if layout == "NCHW" else exact
    exact = exact[:, prefix:] if layout == "NLC" else exact
    exact = exact.reshape(b, -1, c)
    expected = exact.mean(1) if pooling == "mean" else exact.max(1)
    pooled = pool(output, info, pooling)
    assert pooled.dtype == torch.float32
    assert pooled.shape == (b, c)
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layout, shape", [("NCHW", (2, 4, 1, 1)), ("NHWC", (2, 1, 1, 4)), ("NLC", (2, 1, 4)), ("NC", (2, 4))]
)
@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_what_is_pooled_shares_no_memory_with_the_output(layout, shape, pooling):
    output = torch.ones(shape)
    pooled = pool(
        output, LayerInfo("x", "X", shape[1:], layout, 4, has_cls=True), pooling if layout == "NLC" else "mean"
    )
    output.zero_()
    assert torch.equal(pooled, torch.ones(2, 4))


def test_half_precision_maps_are_summed_in_float32():
    output = torch.full((1, 1, 64, 64), 1000.0, dtype=torch.float16)  # the sum is far beyond float16
    info = LayerInfo("x", "X", (1, 64, 64), "NCHW", 1)
    assert pool(output, info, "mean").item() == 1000.0


class InPlace(nn.Module):
    """All that may happen in place to an output after the hook has seen it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.act = nn.ReLU(inplace=True)
        self.vector = nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, batch):
        maps = self.act(self.conv(batch))
        maps += 7
        vector = self.vector(maps.mean((2, 3)))
        vector.zero_()
        return self.head(vector)


@pytest.mark.parametrize("predictions", [True, False])
def test_operations_in_place_after_a_layer_do_not_change_what_was_read(predictions):
    model = wrapped(InPlace())
    module = model.module
    conv, vector = Tap("conv"), Tap("vector")
    with torch.no_grad():
        expected = module.conv(images())
        expected_vector = module.vector((expected.clone().relu() + 7).mean((2, 3)))
    assert (expected < 0).any()
    got = read(model, conv, Tap("conv", "max"), vector, predictions=predictions)
    torch.testing.assert_close(got.pooled[conv], expected.mean((2, 3)))
    torch.testing.assert_close(got.pooled[Tap("conv", "max")], expected.amax((2, 3)))
    torch.testing.assert_close(got.pooled[vector], expected_vector)


class Counting(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.ran = []

    def forward(self, batch):
        for number, layer in enumerate(self.layers):
            self.ran.append(number)
            try:
                batch = layer(batch)
            except Exception:  # as careless models do
                raise AssertionError("the early stop must not look like an error of the layer") from None
        return batch.mean((2, 3))


def test_without_predictions_the_pass_ends_after_the_last_wanted_layer():
    model = wrapped(Counting(*(nn.Conv2d(3, 3, 3) for _ in range(4))))
    model.layers()
    model.module.ran.clear()
    got = read(model, Tap("layers.0"), Tap("layers.1"))
    assert model.module.ran == [0, 1]
    assert got.output is None
    model.module.ran.clear()
    assert read(model, Tap("layers.0"), predictions=True).output.shape == (3, 3)
    assert model.module.ran == [0, 1, 2, 3]


def test_stopping_early_reads_the_same_as_going_on():
    model = wrapped(Counting(*(nn.Conv2d(3, 3, 3) for _ in range(4))))
    taps = [Tap("layers.1"), Tap("layers.2", "max")]
    stopped, whole = read(model, *taps), read(model, *taps, predictions=True)
    for tap in taps:
        assert torch.equal(stopped.pooled[tap], whole.pooled[tap])


def test_predictions_are_not_waited_for_where_a_model_gives_none():
    model = wrapped(nn.Sequential(nn.Conv2d(3, 4, 3), Fails()))
    model.layers()
    model.module[1].armed = True
    assert read(model, Tap("0"), predictions=True).output is None


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.armed = False

    def forward(self, maps):
        if self.armed:
            raise RuntimeError("out of luck")
        return maps


def test_of_a_layer_called_more_than_once_the_last_call_counts():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.times = 2

        def forward(self, batch):
            for _ in range(self.times):
                batch = self.conv(batch)
            return batch

    model = wrapped(Twice())
    conv = model.module.conv
    with torch.no_grad():
        twice = conv(conv(images()))
    torch.testing.assert_close(read(model, Tap("conv")).pooled[Tap("conv")], twice.mean((2, 3)))
    model.module.times = 1  # fewer calls than in the dry run: the pass just completes
    with torch.no_grad():
        once = conv(images())
    torch.testing.assert_close(read(model, Tap("conv")).pooled[Tap("conv")], once.mean((2, 3)))


def test_control_flow_may_depend_on_the_data():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.bright, self.dark = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
            self.after = nn.Conv2d(2, 2, 1)

        def forward(self, batch):
            branch = self.bright if batch.mean() > 0 else self.dark
            return self.after(branch(batch))

    model = wrapped(Branching())
    assert "never calls it" in model.layers()["dark"].unusable
    assert read(model, Tap("after"), batch=images() - 5).pooled[Tap("after")].shape == (3, 2)
    with pytest.raises(MonosemeError, match="did not come by layer bright"):
        read(model, Tap("bright"), batch=images() - 5)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 6))
        self.register_tokens = nn.Parameter(torch.randn(1, 2, 6))
        self.norm = nn.LayerNorm(6)

    def forward(self, batch):
        tokens = self.patches(batch).flatten(2).mT
        front = torch.cat([self.cls_token, self.register_tokens], 1).expand(len(batch), -1, -1)
        return {"logits": self.norm(torch.cat([front, tokens], 1))[:, 0], "extra": None}


def test_class_and_register_tokens_are_left_out_of_the_mean_and_the_class_token_can_be_read():
    model = wrapped(Tokens())
    with torch.no_grad():
        tokens = model.module.patches(images()).flatten(2).mT
        patches = model.module.norm(tokens)
        cls = model.module.norm(model.module.cls_token[0, 0])
    got = read(model, Tap("norm"), Tap("norm", "max"), Tap("norm", "cls"), predictions=True)
    torch.testing.assert_close(got.pooled[Tap("norm")], patches.mean(1))
    torch.testing.assert_close(got.pooled[Tap("norm", "max")], patches.amax(1))
    torch.testing.assert_close(got.pooled[Tap("norm", "cls")], cls.expand(3, -1))
    torch.testing.assert_close(got.output, cls.expand(3, -1))


@pytest.mark.parametrize(
    "tap, message",
    [
        (Tap("patches", "cls"), "layer patches of wrapped:Tokens has no class token"),
        (Tap("norm", "avg"), "unknown pooling 'avg'"),
        (Tap("norm", "means"), "did you mean mean"),
        (Tap("nrm"), "did you mean norm"),
        (Tap("nor*"), "a tap is on one layer"),
    ],
)
def test_taps_that_cannot_be_are_refused_before_any_work(tap, message):
    with pytest.raises(UsageError, match=message):
        Tapped(wrapped(Tokens()), [tap], predictions=False)
    with pytest.raises(UsageError, match="at least one layer"):
        Tapped(wrapped(Tokens()), [], predictions=False)


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.module.modules())


def test_hooks_are_there_only_while_needed():
    model = wrapped(nn.Sequential(nn.Conv2d(3, 4, 3), Fails()))
    tapped = Tapped(model, [Tap("0")], predictions=False)
    assert hooks(model) == 0
    with tapped:
        assert hooks(model) == 1
        tapped(images())
        assert hooks(model) == 1
    assert hooks(model) == 0
    tapped(images())
    assert hooks(model) == 0


def test_hooks_are_removed_when_the_model_fails():
    model = wrapped(nn.Sequential(Fails(), nn.Conv2d(3, 4, 3)))
    tapped = Tapped(model, [Tap("1")], predictions=False)
    model.module[0].armed = True
    with pytest.raises(RuntimeError, match="out of luck"):
        tapped(images())
    with pytest.raises(RuntimeError, match="out of luck"), tapped:
        tapped(images())
    assert hooks(model) == 0
    model.module[0].armed = False
    assert tapped(images()).pooled[Tap("1")].shape == (3, 4)


def test_passes_of_others_are_neither_read_nor_ended():
    model = wrapped(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)))
    first, second = Tapped(model, [Tap("0")], predictions=False), Tapped(model, [Tap("1")], predictions=False)
    with first, second:
        assert model.module(images()).shape == (3, 5, 28, 28)
        assert second(images()).pooled[Tap("1")].shape == (3, 5)
        assert list(first(images()).pooled) == [Tap("0")]


def test_a_model_put_back_into_training_is_read_in_evaluation_mode():
    model = wrapped(nn.Sequential(nn.Dropout(0.9), nn.Conv2d(3, 4, 3)))
    before = read(model, Tap("1")).pooled[Tap("1")]
    model.module.train()
    assert torch.equal(read(model, Tap("1")).pooled[Tap("1")], before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_models_in_other_precisions_give_float32(dtype):
    def make(dtype):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
        return read(wrapped(net.to(dtype)), Tap("0"), predictions=True)

    got, exact = make(dtype), make(torch.float64)
    assert got.pooled[Tap("0")].dtype == got.output.dtype == torch.float32
    torch.testing.assert_close(got.pooled[Tap("0")], exact.pooled[Tap("0")], atol=0.02, rtol=0.02)
    torch.testing.assert_close(got.output, exact.output, atol=0.02, rtol=0.02)


def test_images_of_another_size_still_pool_while_channels_stay():
    model = wrapped(nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert read(model, Tap("0"), batch=torch.rand(2, 3, 20, 24)).pooled[Tap("0")].shape == (2, 4)


def test_a_layer_that_changes_its_channels_is_an_error():
    class Shifty(nn.Module):
        def forward(self, batch):
            return batch.flatten(1)

    model = wrapped(nn.Sequential(Shifty()))
    with pytest.raises(MonosemeError, match="3072 channels in the dry run"):
        read(model, Tap("0"), batch=torch.rand(2, 3, 16, 16))


def test_several_poolings_of_one_layer_come_from_one_pass_in_the_order_given():
    taps = [Tap("0", "max"), Tap("0"), Tap("0", "max")]
    assert list(read(wrapped(nn.Sequential(nn.Conv2d(3, 4, 3))), *taps).pooled) == taps[:2]


def test_reading_costs_no_gradients():
    got = read(wrapped(nn.Sequential(nn.Conv2d(3, 4, 3))), Tap("0"), batch=images().requires_grad_())
    assert not got.pooled[Tap("0")].requires_grad
