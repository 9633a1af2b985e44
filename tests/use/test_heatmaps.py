"""Heatmaps: exact for mean and max pooling, in every frame and layout; at the right place in the picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import make_small_model
from tests.torchvision_shim import make_torchvision_importable
from torch import nn

import monoseme as ms
from monoseme.models import Tap, Tapped

# measured fields change no value, so where only values count none is measured
ANY = ms.ReceptiveField.even((32, 32), (4, 4))
SCALINGS = ["raw", "centred", "standardised"]


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 20, 5, stride=3)
        self.norm = nn.LayerNorm(20)

    def forward(self, x):
        return self.norm(self.conv(x).permute(0, 2, 3, 1))


class Tokens(nn.Module):
    """A class token and a register before the patches."""

    def __init__(self):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 20, 8, stride=8)
        self.cls_token, self.reg_token = nn.Parameter(torch.randn(1, 1, 20)), nn.Parameter(torch.randn(1, 1, 20))
        self.norm = nn.TransformerEncoderLayer(20, 2, 32, batch_first=True)

    def forward(self, x):
        patches = self.patch_embed(x).flatten(2).transpose(1, 2)
        front = torch.cat([self.cls_token, self.reg_token], 1).expand(len(x), -1, -1)
        return self.norm(torch.cat([front, patches], 1))


def made(kind):
    if kind == "map":
        return make_small_model(), "3"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = {"nhwc": ChannelsLast, "tokens": Tokens}[kind]()
    return ms.wrap(module, ms.Preprocess.imagenet(32), device="cpu"), "norm"


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    shapes = [(30 + 7 * n % 40, 30 + 11 * n % 50) for n in range(40)]
    coarse = [random.integers(0, 256, (5, 6, 3), dtype=np.uint8) for _ in shapes]
    return [
        Image.fromarray(each).resize(shape, Image.Resampling.BICUBIC)
        for each, shape in zip(coarse, shapes, strict=True)
    ]


def embedded(model, layer, pictures, pooling="mean"):
    pixels = np.stack([model.preprocess.pixels(picture) for picture in pictures])
    tap = Tap(layer, pooling)
    return Tapped(model, [tap], predictions=False)(model.preprocess.tensor(pixels)).pooled[tap].numpy()


def bank_of(embeddings, **options):
    return ms.disentangle(
        embeddings, "published", top=12, distance_threshold=1e-3, outlier_threshold=1e9, min_size=1, **options
    )


def close(maps, expected):
    """To a relative 1e-5 of what projections are as a rule; one of them may be zero by chance."""
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-5 * np.sqrt(np.mean(np.square(expected))))


@pytest.mark.parametrize("kind", ["map", "nhwc", "tokens"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_mean_of_a_map_is_the_projection_of_its_picture(kind, scaling, pictures):
    model, layer = made(kind)
    embeddings = embedded(model, layer, pictures)
    bank = bank_of(embeddings, scaling=scaling)
    maps = ms.heatmaps(bank, model, pictures[:7], layer=layer, batch_size=3, field=ANY)
    assert maps.exact == "mean"
    assert maps.values.dtype == maps.projections.dtype == np.float32
    assert maps.values.shape[:2] == (7, len(bank))
    assert maps.concepts.tolist() == list(range(len(bank)))
    close(maps.values.mean((2, 3)), bank.project(embeddings[:7]))
    close(maps.projections, bank.project(embeddings[:7]))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_with_a_centre_the_projection_is_counted_from_it(pooling, scaling, pictures):
    model, layer = made("map")
    embeddings = embedded(model, layer, pictures, pooling)
    bank = bank_of(embeddings, scaling=scaling)
    mean = embeddings.mean(0, dtype=np.float64)
    expected = bank.project(embeddings[:4]) - bank.project(mean[None])
    for centre in (mean, ms.base.as_activations(embeddings)):
        maps = ms.heatmaps(bank, model, pictures[:4], layer=layer, pooling=pooling, centre=centre, field=ANY)
        whole = maps.values.mean((2, 3)) if pooling == "mean" else maps.values.sum((2, 3))
        close(whole, expected)
        close(maps.projections, expected)


@pytest.mark.parametrize("kind", ["map", "tokens"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_for_max_pooling_each_neuron_counts_where_it_is_greatest_and_the_sum_is_the_projection(kind, scaling, pictures):
    model, layer = made(kind)
    embeddings = embedded(model, layer, pictures, "max")
    bank = bank_of(embeddings, scaling=scaling)
    maps = ms.heatmaps(bank, model, pictures[:5], [0, 1], layer=layer, pooling="max", field=ANY)
    assert maps.exact == "sum"
    close(maps.values.sum((2, 3)), bank.project(embeddings[:5])[:, :2])
    # a neuron's own map is nothing but its maximum, at its place
    neuron = int(np.argmax(embeddings[0]))
    own = ms.heatmaps(bank, model, pictures[:1], np.eye(20)[[neuron]], layer=layer, pooling="max", field=ANY).values[
        0, 0
    ]
    every = ms.heatmaps(
        replace(bank, frame=type(bank.frame)()), model, pictures[:1], np.eye(20)[[neuron]], layer=layer, field=ANY
    )
    assert np.argmax(np.abs(own)) == np.argmax(every.values[0, 0])
    assert np.count_nonzero(own) == 1


def test_neurons_that_are_silent_everywhere_are_at_no_place_of_their_own(pictures):
    model = ms.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), ms.Preprocess.imagenet(16), device="cpu")
    model.module[0].weight.zero_()
    model.module[0].bias.fill_(-1.0)
    bank = bank_of(np.random.default_rng(0).random((40, 4), dtype=np.float32), scaling="centred")
    field = ms.ReceptiveField.even((16, 16), (14, 14))
    maps = ms.heatmaps(bank, model, pictures[:1], [0], layer="1", pooling="max", field=field)
    np.testing.assert_allclose(maps.values[0, 0], maps.projections[0, 0] / 14**2, rtol=1e-4)


def test_a_class_token_is_nowhere_and_its_maps_say_so(pictures):
    model, layer = made("tokens")
    embeddings = embedded(model, layer, pictures, "cls")
    bank = bank_of(embeddings)
    maps = ms.heatmaps(bank, model, pictures[:3], layer=layer, pooling="cls", field=ANY)
    assert maps.exact is None
    close(maps.projections, bank.project(embeddings[:3]))
    same = ms.heatmaps(bank, model, pictures[:3], layer=layer, field=ANY).values
    np.testing.assert_array_equal(maps.values, same)


def test_a_bank_of_a_run_knows_its_layer_and_pooling(small_run, small_model, photos):
    bank = ms.disentangle(small_run.activations("3"), "published", top=24, distance_threshold=1.0, min_size=3)
    with ms.runs.originals(small_run) as source:
        images = source.load([0, 5])
    maps = ms.heatmaps(bank, small_model, images, 1)
    close(maps.values.mean((2, 3)), bank.project(small_run.activations("3")[[0, 5]])[:, [1]])
    assert maps.concepts.tolist() == [1]


def test_detectors_and_vectors_of_ones_own(layer):
    model = ms.wrap(nn.Conv2d(3, 24, 4, stride=4), ms.Preprocess.imagenet(16), device="cpu")
    wrapped = ms.wrap(nn.Sequential(model.module), ms.Preprocess.imagenet(16), device="cpu")
    bank = ms.disentangle(layer, top=20, bootstrap=0)
    [picture] = [Image.effect_noise((20, 20), 80).convert("RGB")]
    found = ms.heatmaps(bank, wrapped, [picture], [2], layer="0", detectors=True)
    given = ms.heatmaps(bank, wrapped, [picture], bank.detectors[[2]], layer="0")
    np.testing.assert_array_equal(found.values, given.values)
    assert given.concepts is None
    plain = ms.disentangle(layer, top=20, bootstrap=0, vector="mean")
    with pytest.raises(ms.UsageError, match="no detectors"):
        ms.heatmaps(plain, wrapped, [picture], [0], layer="0", detectors=True)


@pytest.mark.parametrize("resize", [None, 24, 40, (36, 30)])
@pytest.mark.parametrize("size", [(60, 44), (44, 60), (24, 24), (20, 50)])
def test_a_bright_spot_is_found_where_it_is(resize, size):
    width, height = size
    module = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1, padding_mode="replicate", bias=False))
    module[0].weight.data.fill_(1.0)
    preprocess = replace(ms.Preprocess.imagenet(24), resize=resize, crop=(24, 24))
    model = ms.wrap(module, preprocess, device="cpu")
    bank = replace(
        bank_of(np.random.default_rng(0).random((40, 1), dtype=np.float32)), vectors=np.ones((1, 1), np.float32)
    )
    spot = (width // 2 + 1, height // 2 - 3)  # left above pixel
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[spot[1] : spot[1] + 4, spot[0] : spot[0] + 4] = 255
    maps = ms.heatmaps(bank, model, [Image.fromarray(pixels)], [0], layer="0", centre=np.zeros(1))
    drawn = maps.on_picture(0)
    assert drawn.shape == (height, width)
    bright = np.nan_to_num(drawn - np.nanmin(drawn))
    found = [np.average(np.arange(n) + 0.5, weights=bright.sum(axis)) for axis, n in ((0, width), (1, height))]
    np.testing.assert_allclose(found, [spot[0] + 2, spot[1] + 2], atol=0.4)
    left, top, right, bottom = maps.window(0)
    seen = np.zeros((height, width), bool)
    seen[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)] = True
    assert (np.isfinite(drawn) != seen).sum() <= 2 * (width + height)  # but for halves of pixels along the edges
    # in other pixels it is the same place
    large = maps.on_picture(0, 0, (2 * width, 2 * height))
    bright = np.nan_to_num(large - np.nanmin(large))
    assert np.average(np.arange(2 * width) + 0.5, weights=bright.sum(0)) / 2 == pytest.approx(spot[0] + 2, abs=0.4)


def test_maps_drawn_out_keep_the_values_at_positions_and_never_exceed_them():
    field = ms.ReceptiveField.even((40, 30), (4, 3))
    values = np.random.default_rng(0).normal(size=(1, 1, 4, 3)).astype(np.float32)
    window = np.array([[0.0, 0.0, 90.0, 120.0]])
    maps = ms.Heatmaps(values, values.mean((2, 3)), "mean", None, np.array([[90, 120]]), window, field)
    drawn = maps.on_picture(0)
    np.testing.assert_allclose((drawn[14::30, 14::30] + drawn[15::30, 15::30]) / 2, values[0, 0], atol=0.05)
    assert drawn.min() >= values.min()
    assert drawn.max() <= values.max()
    assert "1 concept on 1 picture, 4 x 3 positions" in repr(maps)


def test_a_preprocessing_of_ones_own_needs_windows_only_to_be_drawn():
    module = nn.Sequential(nn.Conv2d(3, 20, 4, stride=4))

    def cut(image):
        return np.asarray(image.crop((10, 0, 26, 16)), np.float32).transpose(2, 0, 1) / 255

    model = ms.wrap(module, cut, input_size=(3, 16, 16), device="cpu")
    bank = bank_of(np.random.default_rng(0).random((40, 20), dtype=np.float32))
    picture = Image.new("RGB", (50, 20), "white")
    maps = ms.heatmaps(bank, model, [picture], [0], layer="0")
    with pytest.raises(ms.UsageError, match="is not known"):
        maps.on_picture(0)
    drawn = ms.heatmaps(bank, model, [picture], [0], layer="0", windows=[[10, 0, 26, 16]]).on_picture(0)
    assert np.isfinite(drawn).sum() == 16 * 16
    assert np.isfinite(drawn[:16, 10:26]).all()
    with pytest.raises(ms.UsageError, match="windows must be"):
        ms.heatmaps(bank, model, [picture], [0], layer="0", windows=[[26, 0, 10, 16]])


def test_what_does_not_fit_is_refused_in_a_sentence(small_model, small_run, pictures):
    bank = ms.disentangle(small_run.activations("3"), "published", top=24, distance_threshold=1.0, min_size=3)
    some = pictures[:2]

    def refused(match, *arguments, **options):
        with pytest.raises(ms.UsageError, match=match):
            ms.heatmaps(*arguments, **options)

    refused("layer 1 of small has 12 neurons, but the bank's vectors have 20", bank, small_model, some, 0, layer="1")
    refused("no layer 9", bank, small_model, some, 0, layer="9")
    refused("name one layer", bank, small_model, some, 0, layer="[13]")
    refused("gives one vector an image", bank, small_model, some, 0, layer="5")
    refused("with other weights", bank, make_small_model(seed=1), some, 0)
    refused("does not say of which layer", bank_of(np.ones((30, 20), np.float32)), small_model, some, 0)
    refused("unknown pooling", bank, small_model, some, 0, pooling="median")
    refused("no class token", bank, small_model, some, 0, pooling="cls")
    refused("there is no concept 9999", bank, small_model, some, [0, 9999])
    refused("by their numbers", bank, small_model, some, ["a"])
    refused("by their numbers", bank, small_model, some, [0.5])
    refused("at least one concept", bank, small_model, some, np.zeros(0, np.int64))
    refused("20 components", bank, small_model, some, np.ones((1, 3)))
    refused("finite", bank, small_model, some, np.full((1, 20), np.nan))
    refused("at least one picture", bank, small_model, [], 0)
    refused("list of pictures", bank, small_model, some[0], 0)
    refused("picture 1 is a ndarray", bank, small_model, [some[0], np.zeros((4, 4, 3))], 0)
    refused("picture 1 has 0 x 5 pixels", bank, small_model, [some[0], Image.new("RGB", (0, 5))], 0)
    refused("at least one picture, not 0", bank, small_model, some, 0, batch_size=0)
    refused("centre is one finite embedding of 20", bank, small_model, some, 0, centre=np.zeros(3))
    refused("activations have 12 neurons", bank, small_model, some, 0, centre=small_run.activations("1"))
    refused("would take .* GiB", bank, small_model, some, np.zeros((10**6, 20), np.float32))
    maps = ms.heatmaps(bank, small_model, some, 0)
    for wrong in ((2, 0), (0, 1), (-1, 0)):
        with pytest.raises(ms.UsageError, match="there is no map"):
            maps.on_picture(*wrong)
    with pytest.raises(ms.UsageError, match="at least one each way"):
        maps.on_picture(0, 0, (0, 4))


def test_a_vision_transformer_of_timm_is_read_by_patches():
    make_torchvision_importable()
    pytest.importorskip("timm")
    model = ms.load_model("timm:vit_tiny_patch16_224", weights="none", image_size=96, device="cpu")
    images = [Image.effect_noise((120, 90), 60 + n).convert("RGB") for n in range(3)]
    bank = bank_of(np.random.default_rng(0).normal(size=(60, 192)).astype(np.float32), scaling="standardised")
    maps = ms.heatmaps(bank, model, images, range(5), layer="blocks.3")
    assert maps.values.shape == (3, 5, 6, 6)
    assert maps.field.stride == (16, 16)
    close(maps.values.mean((2, 3)), bank.project(embedded(model, "blocks.3", images))[:, :5])
