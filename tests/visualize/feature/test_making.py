"""Feature images as a whole: batches, ends, checkpoints, refusals."""

import json

import numpy as np
import pytest
import torch
from tests.conftest import make_small_model
from torch import nn

import monoseme as ms
from monoseme.visualize.feature import _checkpoint, _make

QUICK = {"steps": 12, "size": 24}


def of_grey(model: ms.Model) -> torch.Tensor:
    """What the second convolution of the small model gives for a grey image."""
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (model.preprocess.mean, model.preprocess.std))
    with torch.inference_mode():
        return model.module[:3]((torch.full((1, 3, 32, 32), 0.5) - mean) / std).mean((0, 2, 3))


def test_every_direction_is_driven_higher_than_where_it_started(small_model):
    made = ms.feature_images(small_model, "2", [0, 5, 11], steps=40)
    assert made.pixels.shape == (3, 1, 32, 32, 3)
    assert made.pixels.dtype == np.float32
    assert 0 <= made.pixels.min() < made.pixels.max() <= 1
    assert (made.history[-5:].mean(0) > made.history[0] + 0.05).all()
    assert made.names == ("neuron 0", "neuron 5", "neuron 11")


def test_activation_is_that_of_the_finished_image_as_it_is(small_model):
    """The pixels, put through the model by hand, give what is told; the views in between do not."""
    made = ms.feature_images(small_model, "2", [3], steps=10, jitter=6, pad=3)
    mean, std = (
        torch.tensor(each).view(1, 3, 1, 1) for each in (small_model.preprocess.mean, small_model.preprocess.std)
    )
    pixels = torch.from_numpy(made.pixels[0]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = small_model.module[:3]((pixels - mean) / std)[0, 3].mean()
    assert made.activation[0, 0] == pytest.approx(expected.item(), rel=1e-4)


def test_downwards_is_lower_than_upwards(small_model):
    up, down = (ms.feature_images(small_model, "2", [4], sign=sign, **QUICK).activation[0, 0] for sign in (1, -1))
    grey = of_grey(small_model)[4]
    assert down < grey - 0.05 < grey + 0.05 < up


def test_diversity_makes_the_images_of_a_direction_less_alike():
    from monoseme.models import ToLayer, by_position
    from monoseme.visualize.feature._objective import similarities

    model = make_small_model()

    def alike(diversity: float) -> float:
        made = ms.feature_images(model, "3", [2], images=4, diversity=diversity, steps=60)
        to_layer = ToLayer(model, "3")
        with torch.inference_mode():
            pixels = torch.from_numpy(made.pixels[0]).permute(0, 3, 1, 2)
            grid = by_position(to_layer((pixels - 0.45) / 0.225), to_layer.info)
            return similarities(grid.flatten(1, 2), 4).mean().item() / 3

    assert alike(20.0) < alike(0.0) - 0.05


def test_a_silent_neuron_is_woken_by_passing_gradients():
    model = make_small_model()
    model.module[2].bias.data -= of_grey(model) + 0.05  # so that everything behind it is 0 for images near grey
    asleep = ms.feature_images(model, "3", [1], pass_relu=0, steps=30)
    awake = ms.feature_images(model, "3", [1], pass_relu=16, steps=30)
    assert asleep.activation[0, 0] == 0
    assert awake.activation[0, 0] > 0.01


@pytest.mark.parametrize("size", [25, (20, 31)])
def test_any_size_will_do(small_model, size):
    made = ms.feature_images(small_model, "2", [0], size=size, steps=3)
    assert made.pixels.shape[2:4] == ((size, size) if isinstance(size, int) else size)


def test_the_network_may_be_shown_another_size_than_that_of_the_images(small_model):
    seen = []
    handle = small_model.module[0].register_forward_pre_hook(lambda _module, args: seen.append(args[0].shape[-2:]))
    try:
        made = ms.feature_images(small_model, "2", [0], size=20, resolution=(40, 36), steps=2, pad=4)
    finally:
        handle.remove()
    assert made.pixels.shape[2:4] == (20, 20)
    assert set(seen) == {(40, 36)}


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels_will_do(channels):
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU())
    preprocess = lambda image: torch.zeros(channels, 16, 16)  # noqa: E731
    model = ms.wrap(net, preprocess, device="cpu")
    made = ms.feature_images(model, "0", [0], normalise=lambda pixels: 2 * pixels - 1, steps=20)
    assert made.pixels.shape == (1, 1, 16, 16, channels)
    assert made.activation[0, 0] > made.history[0, 0, 0] + 0.02


def test_tokens_are_driven_without_the_class_token():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 6, 8, stride=8)
            self.cls_token = nn.Parameter(torch.full((1, 1, 6), 50.0))
            self.norm = nn.Identity()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = self.patch(images).flatten(2).transpose(1, 2)
            return self.norm(torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1))

    model = ms.wrap(Tokens(), ms.Preprocess.imagenet(32), device="cpu")
    made = ms.feature_images(model, "norm", [2], steps=60, learning_rate=1.0)
    assert model.layers()["norm"].layout == "NLC"
    grey = model.module(torch.full((1, 3, 32, 32), 0.2))[0, 1:, 2].mean().item()
    assert grey + 0.1 < made.activation[0, 0] < 50 / 17  # what the class token alone would bring


def test_maco_says_where_the_objective_looked():
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU())
    model = ms.wrap(net, ms.Preprocess.imagenet(24), device="cpu")
    made = ms.feature_images(
        model, "0", [0], parametrisation="maco", where="centre", steps=8, jitter=0, scale=(1, 1), rotate=0, crop=(1, 1)
    )
    assert made.transparency is not None
    assert made.transparency.shape == (1, 1, 24, 24)
    centre = 20 // 2  # of the 20 x 20 positions; it sees 5 x 5 pixels
    outside = np.ones((24, 24), dtype=bool)
    outside[centre : centre + 5, centre : centre + 5] = False
    assert (made.transparency[0, 0][outside] == 0).all()
    assert made.transparency[0, 0].max() == 1


def test_the_same_seed_gives_the_same_images_and_another_seed_others(small_model):
    first, again, other = (ms.feature_images(small_model, "2", [1], seed=seed, **QUICK).pixels for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05


def test_an_image_does_not_depend_on_how_many_go_together(small_model):
    together = ms.feature_images(small_model, "2", [1, 2, 3], images=2, **QUICK)
    apart = ms.feature_images(small_model, "2", [1, 2, 3], images=2, batch=2, **QUICK)
    np.testing.assert_allclose(together.pixels, apart.pixels, atol=2e-3)


def test_a_direction_that_has_stopped_rising_is_left_alone():
    """One neuron is constant, so it stops as soon as may be; the other rises to the end."""
    model = make_small_model()
    model.module[2].weight.data[0] = 0
    steps: list[int] = []
    handle = model.module[0].register_forward_hook(lambda _module, _args, output: steps.append(len(output)))
    try:
        made = ms.feature_images(model, "2", [0, 1], steps=30, patience=4, tolerance=0.0, learning_rate=0.02)
    finally:
        handle.remove()
    assert np.isfinite(made.history[:, 0, 0]).sum() == 8
    assert np.isfinite(made.history[:, 1, 0]).sum() > 15
    steps = steps[2:-1]  # before them the dry run and the first look, after them the finished images
    assert steps[:8] == [2] * 8
    assert set(steps[8:]) == {1}
    alone = ms.feature_images(model, "2", [0, 1], steps=30, learning_rate=0.02)
    np.testing.assert_allclose(made.history[:12, 1], alone.history[:12, 1], rtol=1e-3)


class Stop(Exception):
    pass


class StopsAt:
    """A reporter whose task fails after some steps: what Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        self.left, self.done_before = steps, -1

    def task(self, description, total, unit, done=0):
        from contextlib import nullcontext

        self.done_before = done
        return nullcontext(self)

    def advance(self, amount=1):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def note(self, message):
        pass


@pytest.mark.parametrize("settings", [{}, {"parametrisation": "maco", "patience": 3}], ids=["fourier", "maco"])
def test_a_killed_run_goes_on_from_its_checkpoint_and_ends_the_same(small_model, tmp_path, monkeypatch, settings):
    monkeypatch.setattr(_checkpoint, "_SECONDS", 0)
    settings = {**QUICK, "batch": 2, **settings}
    whole = ms.feature_images(small_model, "2", [0, 1, 2], **settings)
    with pytest.raises(KeyboardInterrupt):
        ms.feature_images(small_model, "2", [0, 1, 2], checkpoint=tmp_path / "kept", progress=StopsAt(16), **settings)
    assert {path.name for path in (tmp_path / "kept").glob("*.safetensors")} == {
        "batch-00000.safetensors",
        "batch-00001.safetensors",
    }
    on = StopsAt(100)
    resumed = ms.feature_images(small_model, "2", [0, 1, 2], checkpoint=tmp_path / "kept", progress=on, **settings)
    assert on.done_before >= 10
    np.testing.assert_array_equal(resumed.pixels, whole.pixels)
    np.testing.assert_array_equal(resumed.history, whole.history)
    np.testing.assert_array_equal(resumed.activation, whole.activation)
    finished = ms.feature_images(
        small_model, "2", [0, 1, 2], checkpoint=tmp_path / "kept", progress=StopsAt(2), **settings
    )
    np.testing.assert_array_equal(finished.pixels, whole.pixels)


def test_a_checkpoint_of_other_images_is_refused(small_model, tmp_path):
    kept = tmp_path / "kept"
    ms.feature_images(small_model, "2", [0], checkpoint=kept, **QUICK)
    for change, said in (({"steps": 13}, "other settings"), ({"seed": 1}, "other seed")):
        with pytest.raises(ms.UsageError, match=said):
            ms.feature_images(small_model, "2", [0], checkpoint=kept, **{**QUICK, **change})
    with pytest.raises(ms.UsageError, match="other directions"):
        ms.feature_images(small_model, "2", [1], checkpoint=kept, **QUICK)
    with pytest.raises(ms.UsageError, match="other layer"):
        ms.feature_images(small_model, "0", [0], checkpoint=kept, **QUICK)
    with pytest.raises(ms.UsageError, match="other model"):
        ms.feature_images(make_small_model(1), "2", [0], checkpoint=kept, **QUICK)


def test_damaged_and_foreign_checkpoints_are_refused(small_model, tmp_path):
    kept = tmp_path / "kept"
    ms.feature_images(small_model, "2", [0], checkpoint=kept, **QUICK)
    (kept / "batch-00000.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ms.MonosemeError, match="damaged"):
        ms.feature_images(small_model, "2", [0], checkpoint=kept, **QUICK)
    (kept / "feature-images.json").write_text("[")
    with pytest.raises(ms.MonosemeError, match="damaged"):
        ms.feature_images(small_model, "2", [0], checkpoint=kept, **QUICK)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("mine")
    with pytest.raises(ms.UsageError, match="no checkpoint"):
        ms.feature_images(small_model, "2", [0], checkpoint=tmp_path / "photos", **QUICK)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.txt"]


def test_the_pass_ends_at_the_layer_and_no_hook_stays():
    class Bomb(nn.Module):
        armed = False

        def forward(self, x):
            if self.armed:
                raise RuntimeError("never reached")
            return x

    bomb = Bomb()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), bomb)
    model = ms.wrap(net, ms.Preprocess.imagenet(16), device="cpu")
    model.layers()
    bomb.armed = True
    ms.feature_images(model, "1", [0], steps=2)
    with pytest.raises(ms.UsageError, match="never reached"):
        ms.feature_images(model, "2", [0], steps=2)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize(
    ("directions", "settings", "said"),
    [
        ([20], {}, "has no neuron 20; it has 20"),
        ([-1], {}, "has no neuron -1"),
        ([], {}, "at least one"),
        (np.ones((2, 7)), {}, "7 components.*20 neurons"),
        (np.ones(20), {}, "list of neuron numbers or an"),
        ([True, False], {}, "list of neuron numbers"),
        (np.zeros((1, 20)), {}, "row 0 .* its length is 0"),
        (np.full((1, 20), np.nan), {}, "its length is nan"),
        ([0], {"steps": 0}, "steps must be a whole number of at least 1"),
        ([0], {"images": 1.5}, "images must be a whole number"),
        ([0], {"parametrisation": "furier"}, "did you mean fourier"),
        ([0], {"objective": "norm"}, "unknown objective"),
        ([0], {"where": "corner"}, "unknown where"),
        ([0], {"sign": 0}, "sign is 1"),
        ([0], {"step": 3}, "no setting 'step'; did you mean steps"),
        ([0], {"scale": (1.1, 0.9)}, "range of factors"),
        ([0], {"crop": (0.5, 0.0)}, "shares of the image's side"),
        ([0], {"jitter": -1}, "jitter must be a number of at least 0"),
        ([0], {"learning_rate": 0}, "learning_rate must be positive"),
        ([0], {"diversity": 1.0}, "two images a direction"),
        ([0], {"size": 3, "steps": 1}, "does not take images of 3 x 3"),
        ([0], {"size": 1}, "at least 2 pixels"),
        ([0], {"spectrum": np.ones((3, 32, 17))}, "is for parametrisation='maco'"),
        ([0], {"parametrisation": "maco", "spectrum": np.ones((3, 4, 3))}, "must be .3, 32, 17."),
        ([0], {"parametrisation": "maco", "spectrum": np.full((3, 32, 17), -1.0)}, "not negative"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(small_model, directions, settings, said):
    with pytest.raises(ms.UsageError, match=said):
        ms.feature_images(small_model, "2", directions, **settings)


def test_a_network_that_breaks_down_is_an_error_and_not_a_black_image(small_model):
    def broken(pixels: torch.Tensor) -> torch.Tensor:
        return pixels * float("nan")

    with pytest.raises(ms.MonosemeError, match="no longer a number at step 1"):
        ms.feature_images(small_model, "2", [0], normalise=broken, steps=2)


def test_batches_keep_to_the_memory(small_model, monkeypatch):
    monkeypatch.setattr(_make, "_MEMORY", 1)
    sizes: list[int] = []
    handle = small_model.module[0].register_forward_hook(lambda _module, _args, output: sizes.append(len(output)))
    try:
        ms.feature_images(small_model, "2", [0, 1], steps=2)
    finally:
        handle.remove()
    assert set(sizes) == {1}


def test_saved_images_and_their_manifest(small_model, tmp_path):
    from PIL import Image

    made = ms.feature_images(small_model, "2", [0, 1], images=2, parametrisation="maco", **QUICK)
    folder = made.save(tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["images"]) == 4
    assert manifest["layer"] == "2"
    assert manifest["config"]["parametrisation"] == "maco"
    second = manifest["images"][3]
    assert second["activation"] == pytest.approx(made.activation[1, 1])
    with Image.open(folder / second["file"]) as picture:
        assert picture.mode == "RGBA"
        pixels = np.asarray(picture) / 255
    np.testing.assert_allclose(pixels[..., :3], made.pixels[1, 1], atol=0.003)
    np.testing.assert_allclose(pixels[..., 3], made.transparency[1, 1], atol=0.003)
    with pytest.raises(ms.MonosemeError, match="exists already"):
        made.save(tmp_path / "out")
