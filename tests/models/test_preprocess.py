import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monoseme.base import MonosemeError, UsageError
from monoseme.models import CallablePreprocess, Preprocess

torchvision = pytest.importorskip("torchvision")
from torchvision.transforms import functional as tv  # noqa: E402

SHAPES = [(300, 200), (200, 300), (257, 256), (91, 640), (30, 20), (21, 150), (224, 224), (365, 255)]
FILTERS = {
    "nearest": tv.InterpolationMode.NEAREST,
    "bilinear": tv.InterpolationMode.BILINEAR,
    "bicubic": tv.InterpolationMode.BICUBIC,
    "lanczos": tv.InterpolationMode.LANCZOS,
}
IMAGENET = Preprocess.imagenet()


def torchvision_pixels(image, resize, crop, interpolation):
    if resize is not None:
        image = tv.resize(image, [resize] if isinstance(resize, int) else list(resize), FILTERS[interpolation])
    if crop is not None:
        image = tv.center_crop(image, list(crop))
    return np.asarray(image)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "resize, crop",
    [(256, (224, 224)), (64, (64, 64)), ((48, 80), None), ((50, 50), (33, 40)), (None, (97, 60)), (73, None)],
)
def test_pixels_equal_torchvisions_bit_for_bit(photo, interpolation, shape, resize, crop):
    image = photo(*shape)
    preprocess = replace(IMAGENET, resize=resize, crop=crop, interpolation=interpolation)
    np.testing.assert_array_equal(preprocess.pixels(image), torchvision_pixels(image, resize, crop, interpolation))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.one_of(st.none(), st.integers(1, 40), st.tuples(st.integers(1, 40), st.integers(1, 40))),
    st.one_of(st.none(), st.tuples(st.integers(1, 50), st.integers(1, 50))),
)
def test_any_sizes_equal_torchvisions(shape, resize, crop):
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8))
    preprocess = replace(IMAGENET, resize=resize, crop=crop)
    np.testing.assert_array_equal(preprocess.pixels(image), torchvision_pixels(image, resize, crop, "bilinear"))


def test_a_whole_preset_of_torchvision_comes_out_the_same(photo):
    preset = torchvision.models.ResNet50_Weights.DEFAULT.transforms()
    preprocess = replace(IMAGENET, resize=232)
    image = photo(333, 251)
    made = preprocess.tensor(preprocess.pixels(image)[None])[0]
    torch.testing.assert_close(made, preset(image), atol=2e-6, rtol=0)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA"])
def test_pictures_of_any_mode_become_rgb(photo, mode):
    image = photo(40, 30).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(replace(IMAGENET, resize=None, crop=None).pixels(image), expected)


def test_a_grey_model_gets_one_channel(photo):
    preprocess = Preprocess(28, (28, 28), "bilinear", (0.5,), (0.5,), channels=1)
    pixels = preprocess.pixels(photo(50, 40))
    assert pixels.shape == (28, 28, 1)
    assert preprocess.tensor(pixels[None]).shape == (1, 1, 28, 28)


def test_half_a_pixel_of_margin_rounds_to_even_or_down():
    image = Image.fromarray(np.arange(7, dtype=np.uint8).reshape(1, 7).repeat(3, 0))  # margin of 1.5 for a crop of 4
    grey = Preprocess(None, (3, 4), "nearest", (0.0,), (1.0,), channels=1)
    assert grey.pixels(image)[0, :, 0].tolist() == [2, 3, 4, 5]
    assert replace(grey, half_pixel="down").pixels(image)[0, :, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("batch, height, width", [(1, 1, 1), (2, 5, 7), (3, 8, 8)])
def test_tensor_scales_shifts_and_moves_channels_first(batch, height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    mean, std = np.float64(IMAGENET.mean), np.float64(IMAGENET.std)
    expected = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)
    made = IMAGENET.tensor(pixels)
    assert made.dtype == torch.float32
    assert made.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(made.numpy(), expected, atol=2e-6)


def test_raw_units_are_as_the_lite_models_want_them():
    lite = Preprocess(256, (2, 2), "bicubic", (127.0,) * 3, (128.0,) * 3, scale=1.0)
    made = lite.tensor(np.full((1, 2, 2, 3), 255, np.uint8))
    assert torch.equal(made, torch.ones(1, 3, 2, 2))


def test_tensor_takes_read_only_and_strided_pixels_and_leaves_them_alone(photo):
    pixels = np.stack([IMAGENET.pixels(photo(260, 260, seed)) for seed in range(2)])
    expected = IMAGENET.tensor(pixels)
    before = pixels.copy()
    pixels.flags.writeable = False
    assert torch.equal(IMAGENET.tensor(pixels), expected)
    mirrored = before[:, :, ::-1]
    assert torch.equal(IMAGENET.tensor(mirrored), expected.flip(3))
    np.testing.assert_array_equal(pixels, before)


def test_describe_is_json_and_comes_back_the_same():
    for preprocess in (IMAGENET, replace(IMAGENET, resize=(10, 20), crop=None, half_pixel="down")):
        described = json.loads(json.dumps(preprocess.describe()))
        assert Preprocess.from_description(described) == preprocess
        assert pickle.loads(pickle.dumps(preprocess)) == preprocess


@pytest.mark.parametrize(
    "resize, crop, size, expected",
    [
        (256, (224, 224), 112, (128, (112, 112))),
        ((256, 256), (224, 224), 112, ((128, 128), (112, 112))),
        ((224, 224), None, 96, ((96, 96), None)),
        (224, None, 96, (96, (96, 96))),
        (None, (64, 128), 32, (32, (32, 64))),
        (None, None, 32, (32, (32, 32))),
    ],
)
def test_another_size_keeps_the_ratio_of_resize_to_crop(resize, crop, size, expected):
    changed = replace(IMAGENET, resize=resize, crop=crop).with_size(size)
    assert (changed.resize, changed.crop) == expected


@pytest.mark.parametrize(
    "resize, crop, expected",
    [(256, (224, 224), 256), ((240, 320), None, 320), (None, (224, 224), None), (None, None, None)],
)
def test_short_side_allows_reduced_decoding_only_before_resizing(resize, crop, expected):
    assert replace(IMAGENET, resize=resize, crop=crop).short_side() == expected


@pytest.mark.parametrize(
    "change, message",
    [
        ({"interpolation": "bicubc"}, "did you mean bicubic"),
        ({"mean": (0.5,)}, "one number for each of the 3 channels"),
        ({"std": (0.0, 1.0, 1.0)}, "must be positive"),
        ({"scale": 0.0}, "must be positive"),
        ({"crop": (0, 3)}, "at least 1 pixel"),
        ({"channels": 4}, "1 channel"),
        ({"half_pixel": "up"}, "half_pixel"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(change, message):
    with pytest.raises(UsageError, match=message):
        replace(IMAGENET, **change)


def to_tensor(image):
    return torch.from_numpy(np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255)


@pytest.mark.parametrize(
    "function",
    [
        to_tensor,
        lambda image: to_tensor(image).numpy(),
        lambda image: to_tensor(image)[None],
        lambda image: to_tensor(image).double().requires_grad_(),
        lambda image: to_tensor(image).bfloat16().float(),
    ],
)
def test_a_callable_may_give_tensors_or_arrays_with_or_without_a_batch(photo, function):
    preprocess = CallablePreprocess(function)
    image = photo(12, 8)
    pixels = preprocess.pixels(image)
    assert pixels.shape == (3, 8, 12)
    assert pixels.dtype == np.float32
    made = preprocess.tensor(np.stack([pixels, pixels]))
    assert made.shape == (2, 3, 8, 12)
    torch.testing.assert_close(made[1], to_tensor(image), atol=4e-3, rtol=0)


@pytest.mark.parametrize("function", [lambda image: image, lambda image: None, lambda image: np.zeros((4, 4))])
def test_a_callable_that_gives_something_else_is_named_as_the_cause(photo, function):
    with pytest.raises(MonosemeError, match=r"must give a \(C, H, W\) tensor or array"):
        CallablePreprocess(function).pixels(photo(12, 8))


def test_only_picklable_callables_go_to_worker_processes():
    assert CallablePreprocess(to_tensor).picklable
    assert not CallablePreprocess(lambda image: image).picklable


def test_the_description_of_a_callable_changes_with_its_code_but_not_with_its_address():
    def make(number):
        def function(image):
            return number

        return function

    first, again = CallablePreprocess(make(1)).describe(), CallablePreprocess(make(1)).describe()
    assert first == again
    assert "0x" not in json.dumps(first)
    assert first["digest"] != CallablePreprocess(to_tensor).describe()["digest"]
    with pytest.raises(UsageError, match="callable"):
        Preprocess.from_description(first)


def test_a_composed_transform_is_described_by_its_settings():
    def described(size):
        steps = [torchvision.transforms.Resize(size), torchvision.transforms.ToTensor()]
        return CallablePreprocess(torchvision.transforms.Compose(steps)).describe()

    assert described(10) == described(10)
    assert described(10)["digest"] != described(12)["digest"]


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(40, 90), st.integers(40, 90)),
    st.one_of(st.none(), st.integers(30, 120), st.tuples(st.integers(30, 120), st.integers(30, 120))),
    st.one_of(st.none(), st.tuples(st.integers(24, 100), st.integers(24, 100))),
    st.sampled_from(["even", "down"]),
    st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
)
def test_the_window_says_where_a_marker_comes_out(shape, resize, crop, half_pixel, place):
    preprocess = Preprocess(resize, crop, "bilinear", (0.0,), (1.0,), channels=1, half_pixel=half_pixel)
    width, height = shape
    x, y = int(place[0] * (width - 6)), int(place[1] * (height - 6))
    picture = np.zeros((height, width), np.uint8)
    picture[y : y + 6, x : x + 6] = 255
    pixels = preprocess.pixels(Image.fromarray(picture))[..., 0].astype(float)
    left, top, right, bottom = preprocess.window(shape)
    marker = ((x + 3 - left) / (right - left) * pixels.shape[1], (y + 3 - top) / (bottom - top) * pixels.shape[0])
    reach = [4 * pixels.shape[1] / (right - left), 4 * pixels.shape[0] / (bottom - top)]
    if all(r < m < n - r for m, r, n in zip(marker, reach, pixels.shape[::-1], strict=True)):
        found = [np.average(np.arange(n) + 0.5, weights=pixels.sum(axis)) for axis, n in enumerate(pixels.shape[::-1])]
        np.testing.assert_allclose(found, marker, atol=0.1)  # 8 bits round a little
    else:
        assert pixels[: pixels.shape[0]].sum() <= 255 * 4 * reach[0] * reach[1]


def test_the_window_of_padding_reaches_beyond_the_picture():
    preprocess = replace(IMAGENET, resize=None, crop=(10, 21))
    assert preprocess.window((20, 30)) == (0, 10, 21, 20)
    assert preprocess.window((16, 7)) == (-2, -1, 19, 9)
    assert replace(IMAGENET, resize=(10, 20), crop=None).window((300, 70)) == (0, 0, 300, 70)
    assert CallablePreprocess(to_tensor).window((300, 70)) is None
    with pytest.raises(UsageError, match="0 x 5 pixels"):
        IMAGENET.window((0, 5))
