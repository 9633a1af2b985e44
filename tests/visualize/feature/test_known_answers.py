"""Networks whose best image is known."""

import numpy as np
import pytest
import torch
from torch import nn

import monoseme as ms

SIDE = 8
GREY = ms.Preprocess(resize=None, crop=(SIDE, SIDE), interpolation="bilinear", mean=(0.5,), std=(0.25,), channels=1)
COLOUR = ms.Preprocess(
    resize=None, crop=(SIDE, SIDE), interpolation="bilinear", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5)
)
STILL = {"jitter": 0, "scale": (1, 1), "rotate": 0}


def one_filter(weights: np.ndarray, preprocess: ms.Preprocess) -> ms.Model:
    """A convolution whose single position sees the whole image; its first filter is `weights` (channels, SIDE, SIDE)."""
    conv = nn.Conv2d(len(weights), 2, SIDE, bias=False)
    conv.weight.data[0] = torch.from_numpy(weights)
    return ms.wrap(nn.Sequential(conv, nn.Flatten()), preprocess, device="cpu", layouts={"0": "NCHW"})


def random_filter(channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, SIDE, SIDE)).astype(np.float32)


def extreme(weights: np.ndarray, preprocess: ms.Preprocess, sign: int) -> float:
    """The activation of the best of all images in [0, 1]: white where the weight has the sign, else black."""
    mean, std = (np.reshape(each, (-1, 1, 1)) for each in (preprocess.mean, preprocess.std))
    return float((weights * ((sign * weights > 0) - mean) / std).sum())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("preprocess", "channels"), [(GREY, 1), (COLOUR, 3)], ids=["grey", "colour"])
def test_the_image_of_a_filter_is_white_where_it_is_positive_and_black_elsewhere(preprocess, channels, sign):
    weights = random_filter(channels)
    made = ms.feature_images(
        one_filter(weights, preprocess),
        "0",
        [0],
        parametrisation="pixels",
        decorrelate=False,
        learning_rate=0.3,
        steps=200,
        sign=sign,
        **STILL,
    )
    strong = np.abs(weights) > 0.2
    expected = (sign * weights > 0).astype(np.float32)
    np.testing.assert_allclose(made.pixels[0, 0].transpose(2, 0, 1)[strong], expected[strong], atol=0.02)
    assert made.activation[0, 0] == pytest.approx(extreme(weights, preprocess, sign), rel=0.02)


@pytest.mark.parametrize("objective", ["dot", "cosine"])
def test_fourier_coefficients_in_decorrelated_colours_come_to_the_same(objective):
    weights = random_filter(3)
    model = one_filter(weights, COLOUR)
    direction = np.array([[1, 0]])
    made = ms.feature_images(model, "0", direction, steps=400, learning_rate=0.5, objective=objective, **STILL)
    assert made.activation[0, 0] > (0.9 if objective == "dot" else 0.7) * extreme(weights, COLOUR, 1)


def test_phases_become_those_of_the_filter_and_magnitudes_stay():
    weights = random_filter(1, seed=3)
    spectrum = np.full((1, SIDE, SIDE // 2 + 1), 0.02, dtype=np.float32)  # so small that tanh is straight
    made = ms.feature_images(
        one_filter(weights, GREY),
        "0",
        [0],
        parametrisation="maco",
        spectrum=spectrum,
        steps=300,
        views=1,
        crop=(1, 1),
        **STILL,
    )
    image = np.fft.rfft2(made.pixels[0, 0, :, :, 0] - 0.5)
    filter_ = np.fft.rfft2(weights[0])
    paired = (slice(None), slice(1, SIDE // 2))  # each with its conjugate: what no phase is lost of
    np.testing.assert_allclose(4 * np.abs(image[paired]), spectrum[0][paired], rtol=1e-3)  # a sigmoid's slope is 1/4
    assert np.cos(np.angle(image[paired]) - np.angle(filter_[paired])).min() > 0.999


def test_a_vector_layer_is_driven_along_a_direction():
    """Linear in the image: the best one along d is that of the filter W'd."""
    linear = nn.Linear(SIDE * SIDE, 3, bias=False)
    model = ms.wrap(nn.Sequential(nn.Flatten(), linear), GREY, device="cpu")
    direction = np.array([[3.0, 0.0, -4.0]])
    weights = (direction / 5 @ linear.weight.detach().numpy()).reshape(1, SIDE, SIDE)
    made = ms.feature_images(
        model, "1", direction, parametrisation="pixels", decorrelate=False, learning_rate=0.5, steps=200, **STILL
    )
    assert made.activation[0, 0] == pytest.approx(extreme(weights, GREY, 1), rel=0.03)


def test_only_the_centre_counts_where_asked():
    """Of a one-pixel filter at the centre, nothing but the pixel at the centre moves."""
    model = ms.wrap(nn.Conv2d(1, 1, 1), GREY, device="cpu")
    wrapped = ms.wrap(nn.Sequential(model.module), GREY, device="cpu")
    made = ms.feature_images(wrapped, "0", [0], where="centre", parametrisation="pixels", steps=50, **STILL)
    away = np.abs(made.pixels[0, 0, :, :, 0] - 0.5)
    assert away[SIDE // 2, SIDE // 2] > 0.4
    away[SIDE // 2, SIDE // 2] = 0
    assert away.max() < 0.1
