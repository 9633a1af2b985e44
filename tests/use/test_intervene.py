"""Interventions: exact in every layout and frame, composable, undone, and seen by all that read the layer."""

import copy
import threading
from collections import namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import make_small_model
from torch import nn

import monoseme as ms
from monoseme.banks import Frame
from monoseme.models import LayerInfo, Tap, Tapped, ToLayer
from monoseme.use._edits import Where, ablation, orthonormal, steering

SIZE = ms.Preprocess.imagenet(32)


def images(batch=3, seed=0, size=32):
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def pooled(model, layer, pooling="mean"):
    tap = Tap(layer, pooling)
    return Tapped(model, [tap], predictions=False)(images()).pooled[tap].numpy()


def hooks(module):
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in module.modules())


@pytest.fixture(scope="module")
def bank(small_run):
    options = {"top": 24, "distance_threshold": 8.0, "outlier_threshold": 1e9, "scaling": "standardised"}
    return ms.disentangle(small_run.activations("3"), "published", **options)


def embeddings_of(output, layout):
    return output.permute(0, 2, 3, 1) if layout == "NCHW" else output


sizes = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(
    sizes, st.integers(2, 6), sizes, sizes,
    st.sampled_from(["NCHW", "NHWC", "NLC", "NC"]), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 2**16),
)  # fmt: skip
def test_ablation_makes_projections_zero_and_leaves_the_orthogonal_part(b, c, h, w, layout, r, framed, last, seed):
    random = np.random.default_rng(seed)
    shape = {"NCHW": (b, c, h, w), "NHWC": (b, h, w, c), "NLC": (b, 1 + h * w, c), "NC": (b, c)}[layout]
    output = torch.from_numpy(random.normal(size=shape))
    if last and layout == "NCHW":
        output = output.contiguous(memory_format=torch.channels_last)
    info = LayerInfo("x", "X", shape[1:], layout, c, prefix_tokens=1 if layout == "NLC" else 0)
    vectors = random.normal(size=(r, c))
    frame = Frame(random.normal(size=c), random.uniform(0.5, 2, c)) if framed else Frame()
    changed = ablation(info, vectors, frame, Where(None, 0.0, "all"))(output)
    assert changed.is_contiguous() == output.is_contiguous()

    def seen(tensor):
        x = embeddings_of(tensor, layout).numpy()
        return (x - frame.centre) / frame.scale if framed else x

    np.testing.assert_allclose(seen(changed) @ vectors.T, 0, atol=1e-9)
    across = np.eye(c) - np.linalg.pinv(vectors) @ vectors
    np.testing.assert_allclose(seen(changed), seen(output) @ across, atol=1e-9)


@pytest.mark.parametrize("layer", ["1", "3", "4", "5"])
def test_steering_raises_the_projection_by_the_amount_and_nothing_else(small_model, layer):
    vector = np.random.default_rng(0).normal(size=small_model.layers()[layer].channels)
    before, unit = pooled(small_model, layer), vector / np.linalg.norm(vector)
    with ms.steer(small_model, layer, vector, -1.5):
        after = pooled(small_model, layer)
    np.testing.assert_allclose((after - before) @ unit, -1.5, atol=1e-5)
    np.testing.assert_allclose(after - before, np.outer(np.full(3, -1.5), unit), atol=1e-5)


def test_concepts_are_changed_in_the_frame_of_their_bank(small_model, small_run, bank):
    with ms.ablate(small_model, "3", bank[1]):
        np.testing.assert_allclose(bank.project(pooled(small_model, "3"))[:, 1], 0, atol=1e-5)
    with ms.ablate(small_model, "3", bank.vectors[[1]], frame=bank.frame):
        np.testing.assert_allclose(bank.project(pooled(small_model, "3"))[:, 1], 0, atol=1e-5)
    with ms.ablate(small_model, "3", [bank[0], bank[1]]):
        np.testing.assert_allclose(bank.project(pooled(small_model, "3"))[:, :2], 0, atol=1e-5)
    before = bank.project(pooled(small_model, "3"))
    with ms.steer(small_model, "3", bank[0], 0.7):
        after = bank.project(pooled(small_model, "3"))
    np.testing.assert_allclose(after[:, 0] - before[:, 0], 0.7, atol=1e-5)
    for pooling in ("mean", "max"):
        raw = pooled(small_model, "3", pooling)
        with ms.steer(small_model, "3", bank[0], 0.7):
            moved = bank.project(pooled(small_model, "3", pooling)) - bank.project(raw)
        np.testing.assert_allclose(moved[:, 0], 0.7, atol=1e-5)


def test_with_a_centre_embeddings_are_moved_to_the_mean_of_the_data(small_model, small_run, bank):
    acts = small_run.activations("3")
    mean = np.asarray(acts[:]).mean(0, dtype=np.float64)
    for centre in (acts, mean):
        with ms.ablate(small_model, "3", bank[1], centre=centre):
            got = bank.project(pooled(small_model, "3"))[:, 1]
        np.testing.assert_allclose(got, bank.project(mean[None])[0, 1], atol=1e-5)


def test_neurons_are_named_by_number(small_model):
    before = pooled(small_model, "3")
    with ms.ablate(small_model, "3", [2, 7]):
        after = pooled(small_model, "3")
    assert (after[:, [2, 7]] == 0).all()
    others = np.delete(np.arange(20), [2, 7])
    np.testing.assert_allclose(after[:, others], before[:, others], atol=1e-6)
    with ms.ablate(small_model, "3", 2):
        assert (pooled(small_model, "3")[:, 2] == 0).all()


def test_only_positions_where_the_heatmap_is_high_are_changed(small_model):
    to_layer, batch = ToLayer(small_model, "3"), images()
    vector = np.random.default_rng(1).normal(size=20)
    vector /= np.linalg.norm(vector)
    with torch.no_grad():
        before = to_layer(batch)
        heat = torch.einsum("bchw,c->bhw", before.double(), torch.from_numpy(vector))
        threshold = float(heat.median())
        with ms.ablate(small_model, "3", vector, above=threshold):
            after = to_layer(batch)
    high = heat > threshold
    assert 0 < high.double().mean() < 1
    changed = (after != before).any(1)
    assert torch.equal(changed, high)
    left = torch.einsum("bchw,c->bhw", after.double(), torch.from_numpy(vector))
    torch.testing.assert_close(left[high], torch.zeros_like(left[high]), atol=1e-5, rtol=0)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 8, stride=8)
        self.cls_token, self.reg_token = nn.Parameter(torch.ones(1, 1, 8)), nn.Parameter(torch.ones(1, 1, 8))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        patches = self.patch_embed(x).flatten(2).transpose(1, 2)
        front = torch.cat([self.cls_token, self.reg_token], 1).expand(len(x), -1, -1)
        return self.head(self.norm(torch.cat([front, patches], 1))[:, 0])


@pytest.mark.parametrize(("tokens", "expected"), [("all", range(18)), ("patches", range(2, 18)), ("cls", [0])])
def test_tokens_are_changed_as_named(tokens, expected):
    model = ms.wrap(Tokens(), SIZE, device="cpu")
    read = ToLayer(model, "norm")
    with torch.no_grad():
        before = read(images())
        with ms.steer(model, "norm", 3, 1.0, tokens=tokens):
            moved = (read(images()) - before)[:, :, 3]
    want = torch.zeros(18)
    want[list(expected)] = 1.0
    torch.testing.assert_close(moved, want.expand(3, -1))


def test_blocks_nest_and_are_applied_in_the_order_in_which_they_were_entered():
    model = make_small_model()
    forwards, backwards = ms.ablate(model, "3", 4), ms.steer(model, "3", 4, 2.0)
    with forwards, backwards:
        np.testing.assert_allclose(pooled(model, "3")[:, 4], 2.0, atol=1e-6)
    with backwards, forwards:
        np.testing.assert_allclose(pooled(model, "3")[:, 4], 0.0, atol=1e-6)
    with ms.steer(model, "1", 0, 1.0), forwards:
        both = pooled(model, "3")
    with forwards:
        one = pooled(model, "3")
    assert not np.allclose(both, one)
    assert (both[:, 4] == 0).all()
    # the first of two can be left before the second
    forwards.__enter__()
    backwards.__enter__()
    forwards.__exit__(None, None, None)
    assert (pooled(model, "3")[:, 4] >= 2).all()
    backwards.__exit__(None, None, None)
    assert hooks(model.module) == 0


def test_taps_see_the_change_whichever_came_first():
    model, tap = make_small_model(), Tap("3")
    with Tapped(model, [tap], predictions=True) as tapped, ms.ablate(model, "3", 4):
        inside = tapped(images())
        assert (inside.pooled[tap][:, 4] == 0).all()
    with ms.ablate(model, "3", 4), Tapped(model, [tap], predictions=True) as tapped:
        assert (tapped(images()).pooled[tap][:, 4] == 0).all()
    with torch.no_grad(), ms.ablate(model, "3", 4):
        torch.testing.assert_close(model.module(images()), inside.output)


def test_the_model_is_as_it_was_also_after_an_error():
    model = make_small_model()
    before = model.module(images())

    def fail():
        assert not torch.equal(model.module(images()), before)
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"), ms.ablate(model, "1", 0), ms.steer(model, "3", 1, 5.0):
        fail()
    assert torch.equal(model.module(images()), before)
    assert hooks(model.module) == 0
    change = ms.ablate(model, "1", 0)
    with change, pytest.raises(ms.UsageError, match="in force already"):
        change.__enter__()
    assert torch.equal(model.module(images()), before)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Linear(6, 4)

    def forward(self, batch):
        maps = self.act(self.conv(batch))
        maps += 7
        return self.head(maps.mean((2, 3)))


def test_operations_in_place_after_the_layer_do_no_harm():
    module = InPlace()
    model = ms.wrap(module, SIZE, device="cpu")
    kept = []
    with torch.no_grad():
        expected = module.conv(images())
        expected[:, 2] = 0
        wanted = module.head((expected.relu() + 7).mean((2, 3)))
        with ms.ablate(model, "conv", 2):
            handle = module.conv.register_forward_hook(lambda m, a, out: kept.append(out.clone()))
            torch.testing.assert_close(module(images()), wanted)
            handle.remove()
    torch.testing.assert_close(kept[0], expected)


def test_only_the_thread_that_entered_is_changed():
    model = make_small_model()
    before, seen = pooled(model, "3"), []
    with ms.ablate(model, "3", 4):
        other = threading.Thread(target=lambda: seen.append(pooled(model, "3")))
        other.start()
        other.join()
    np.testing.assert_array_equal(seen[0], before)


def test_gradients_flow_through_a_change():
    model = make_small_model()
    batch = images().requires_grad_()
    with ms.ablate(model, "3", 4):
        model.module(batch)[:, 0].sum().backward()
    assert batch.grad.abs().sum() > 0
    blocked = images().requires_grad_()
    with ms.ablate(model, "3", 4):
        ToLayer(model, "3")(blocked)[:, 4].sum().backward()
    assert blocked.grad.abs().max() == 0


def test_of_a_layer_that_is_called_twice_the_last_call_is_changed():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

        def forward(self, x):
            self.first = self.act(x)
            return self.act(self.conv(self.first)).mean((2, 3))

    model = ms.wrap(Twice(), SIZE, device="cpu")
    with ms.steer(model, "act", 1, 3.0), torch.no_grad():
        for _ in range(2):  # a pass that ends early does not put the count out
            got = pooled(model, "act")
            ToLayer(model, "conv")(images())
        np.testing.assert_allclose(model.module.first, images())
    np.testing.assert_allclose(got - pooled(model, "act"), np.tile([0, 3.0, 0], (3, 1)), atol=1e-6)


Pair = namedtuple("Pair", ["nothing", "maps"])


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda maps: (None, maps),
        lambda maps: [maps, 1],
        lambda maps: {"a": 1, "b": maps},
        lambda maps: Pair(None, maps),
    ],
)
def test_outputs_that_hold_their_tensor_are_changed_inside(wrapped):
    class Holds(nn.Module):
        def forward(self, x):
            return wrapped(x)

    class Takes(nn.Module):
        def forward(self, held):
            items = held.values() if isinstance(held, dict) else held
            return next(each for each in items if isinstance(each, torch.Tensor)).mean((2, 3))

    model = ms.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), Holds(), Takes()), SIZE, device="cpu")
    with torch.no_grad():
        before = model.module(images())
        with ms.steer(model, "1", 2, 1.0):
            moved = model.module(images()) - before
    torch.testing.assert_close(moved, torch.tensor([0.0, 0, 1, 0]).expand(3, -1))


def test_half_precision_stays_what_it_is(small_model):
    model = ms.wrap(copy.deepcopy(small_model.module).bfloat16(), SIZE, device="cpu")
    with torch.no_grad(), ms.ablate(model, "3", 4):
        got = ToLayer(model, "3")(images())
    assert got.dtype == torch.bfloat16
    assert (got[:, 4] == 0).all()


def test_a_model_that_is_changed_is_not_embedded(small_model, photos, tmp_path):
    with (
        ms.ablate(small_model, "3", 4),
        pytest.raises(ms.UsageError, match="ablation of 1 vector is in force at layer 3"),
    ):
        ms.embed(small_model, photos, "1", tmp_path / "run", workers=0)


def test_dependent_vectors_span_what_they_span():
    basis = orthonormal(np.array([[1.0, 1, 0], [2, 2, 0], [0, 1, 1]]))
    assert basis.shape == (2, 3)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)


def test_an_edit_of_another_shape_is_refused(small_model):
    edit = steering(small_model.layers()["3"], np.eye(20)[0], 1.0, Frame(), Where(None, 0.0, "all"))
    with pytest.raises(ms.UsageError, match="20 channels"):
        edit(torch.zeros(2, 3, 4, 4))


def test_what_does_not_fit_is_refused_in_a_sentence(small_model, bank):
    def refused(match, layer, vectors, **options):
        with pytest.raises(ms.UsageError, match=match):
            ms.ablate(small_model, layer, vectors, **options)

    refused("no layer 9", "9", 0)
    refused("name one layer", "[13]", 0)
    refused("numbered from 0", "3", 20)
    refused("numbered from 0", "3", -1)
    refused("20 components", "3", [])
    refused("20 components", "3", np.ones(12))
    refused("20 components", "3", np.ones((2, 3, 20)))
    refused("20 components", "3", ["a"])
    refused("20 components", "3", [np.ones(20), np.ones(3)])
    refused("longer than zero", "3", np.zeros(20))
    refused("longer than zero", "3", np.full(20, np.nan))
    refused("of layer 3, not of 1", "1", bank[0])
    refused("bring the frame", "3", bank[0], frame=bank.frame)
    refused("frame is of 20 neurons, but layer 1 has 12", "1", 0, frame=bank.frame)
    refused("no class token", "3", 0, tokens="cls")
    refused("all, patches or cls", "3", 0, tokens="patch")
    refused("must be finite", "3", 0, above=np.nan)
    refused("centre is one finite embedding", "3", 0, centre=np.ones(3))
    with pytest.raises(ms.UsageError, match="other weights"):
        ms.ablate(make_small_model(seed=1), "3", bank[0])
    with pytest.raises(ms.UsageError, match="amount to steer"):
        ms.steer(small_model, "3", 0, np.inf)
    with pytest.raises(ms.UsageError, match="one vector at a time"):
        ms.steer(small_model, "3", [0, 1], 1.0)


@pytest.mark.parametrize("tokens", [False, True], ids=["maps", "tokens"])
def test_ablating_a_neuron_is_zeroing_it_by_a_plain_hook_and_at_its_mean_setting_it_to_that(tokens):
    """As single neurons are zeroed in published work: to the bit what a forward hook does."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 10, 8, stride=8), nn.Flatten(2)] if tokens else [nn.Conv2d(3, 10, 3)]
    turned = Transposed() if tokens else nn.ReLU()
    head = nn.Linear(10 * 16, 7) if tokens else nn.Linear(10 * 30 * 30, 7)
    module = nn.Sequential(*body, turned, nn.Flatten(), head)
    layer = str(len(body))
    model = ms.wrap(module, SIZE, device="cpu", layouts={layer: "NLC"} if tokens else None)
    mean = np.linspace(0.1, 1, 10)

    def by_hook(neuron, value):
        def change(_module, _inputs, output):
            return output.index_fill(-1 if tokens else 1, torch.tensor([neuron]), value)

        handle = module[int(layer)].register_forward_hook(change)
        found = module(images())
        handle.remove()
        return found

    for neuron in (0, 7):
        with ms.ablate(model, layer, neuron):
            assert torch.equal(module(images()), by_hook(neuron, 0.0))
        with ms.ablate(model, layer, neuron, centre=mean):
            torch.testing.assert_close(module(images()), by_hook(neuron, float(mean[neuron])))


class Transposed(nn.Module):
    """(B, C, L) -> (B, L, C)."""

    def forward(self, x):
        return x.transpose(1, 2)
