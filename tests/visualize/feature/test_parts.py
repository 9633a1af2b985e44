"""The parts that feature images are made of."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

import monoseme as ms
from monoseme.visualize.feature import FeatureConfig
from monoseme.visualize.feature._input import to_input
from monoseme.visualize.feature._objective import scores, similarities
from monoseme.visualize.feature._parametrise import parametrisation
from monoseme.visualize.feature._passing import PassingReLUs
from monoseme.visualize.feature._spectrum import colour_mix, inverse_frequency, magnitude_spectrum
from monoseme.visualize.feature._transform import Views

CPU = torch.device("cpu")


def values_of(images: torch.Tensor) -> np.ndarray:
    """Back to decorrelated channels, in float64."""
    pixels = images.detach().double().numpy()
    mixed = 2 * np.arctanh(2 * pixels)
    return np.einsum("ij,bjhw->bihw", np.linalg.inv(colour_mix(pixels.shape[1]).astype(np.float64)), mixed)


@pytest.mark.parametrize("size", [(32, 32), (24, 37)])
def test_equal_parameters_give_each_octave_of_frequencies_equal_power(size):
    """1/f amplitudes in two dimensions: the power between f and 2f is the same for every f. And the spread is one."""
    made = parametrisation(FeatureConfig(), size, 3, CPU)
    white = torch.randn((200, *made.shape), generator=torch.Generator().manual_seed(0))
    values = values_of(made.images(0.1 * white)) / 0.1
    assert values.std() == pytest.approx(1, rel=0.05)
    power = (np.abs(np.fft.fft2(values)) ** 2).mean((0, 1))
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None])
    slope = np.polyfit(np.log(frequency[frequency > 0]), np.log(power[frequency > 0]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.1)


def test_the_colours_of_random_images_are_correlated_as_published():
    made = parametrisation(FeatureConfig(), (16, 16), 3, CPU)
    white = torch.randn((500, *made.shape), generator=torch.Generator().manual_seed(0))
    pixels = made.images(0.05 * white).transpose(0, 1).flatten(1).numpy()
    published = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    covariance = published @ published.T
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.corrcoef(pixels), covariance / np.outer(spread, spread), atol=0.02)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_than_three_are_not_mixed(channels):
    np.testing.assert_array_equal(colour_mix(channels), np.eye(channels))


def test_the_spectrum_of_images_is_what_maco_holds_to():
    """Phases drawn at random, the average magnitude of the images that come out is the spectrum that went in."""
    spectrum = 0.5 * inverse_frequency((16, 16), 3)
    made = parametrisation(FeatureConfig(parametrisation="maco"), (16, 16), 3, CPU, spectrum)
    images = made.images(made.start(0, range(8))) + 0.5
    found = magnitude_spectrum(images.permute(0, 2, 3, 1).numpy(), 16)
    np.testing.assert_allclose(found[:, :, 1:8], spectrum[:, :, 1:8], rtol=0.02)


def test_spectra_are_made_from_pictures_of_any_size():
    pictures = [Image.new("L", (40, 30), shade) for shade in (60, 200)]
    found = magnitude_spectrum(pictures, (8, 12))
    assert found.shape == (1, 8, 7)
    logit = [abs(np.log(shade / 255 / (1 - shade / 255))) for shade in (60, 200)]
    assert found[0, 0, 0] == pytest.approx(8 * 12 * np.mean(logit), rel=1e-4)
    assert found[0].ravel()[1:].max() < 1e-3
    with pytest.raises(ms.UsageError, match="at least one"):
        magnitude_spectrum([], 8)
    with pytest.raises(ms.UsageError, match="not of shape"):
        magnitude_spectrum([np.zeros((9, 9, 3))], 8)
    with pytest.raises(ms.UsageError, match="1 and 3 channels"):
        magnitude_spectrum([np.zeros((8, 8)), np.zeros((8, 8, 3))], 8)


def test_the_cosine_weighted_dot_is_what_it_says():
    found = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    directions = functional.normalize(torch.randn(3, 7, generator=torch.Generator().manual_seed(1)), dim=1)
    config = FeatureConfig(objective="cosine", cosine_exponent=2.0, sign=-1)
    for image, score in enumerate(scores(found, directions, config)):
        terms = []
        for embedding in found[image].numpy():
            dot = -(embedding @ directions[image].numpy())
            terms.append(dot * max(dot / np.linalg.norm(embedding), 0.1) ** 2)
        assert score.item() == pytest.approx(np.mean(terms), rel=1e-4)


@pytest.mark.parametrize("positions", [4, 30])
def test_similarities_are_cosines_of_gram_matrices(positions):
    """Few positions take the way over positions, many that over channels; both are the definition."""
    found = torch.randn(6, positions, 9, generator=torch.Generator().manual_seed(0))
    grams = [functional.normalize((each.T @ each).flatten(), dim=0) for each in found]
    expected = [sum(grams[i] @ grams[j] for j in range(3 * (i // 3), 3 * (i // 3) + 3) if j != i) for i in range(6)]
    torch.testing.assert_close(similarities(found, 3), torch.stack(expected))


RELUS = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.ReLU6(inplace=True),
    functional.relu,
    lambda x: functional.relu(x, inplace=True),
    functional.relu6,
    torch.relu,
    torch.relu_,
    lambda x: x.relu(),
    lambda x: x.relu_(),
    lambda x: functional.hardtanh(x, 0.0, 6.0),
    lambda x: functional.hardtanh(x, min_val=0.0, max_val=6.0, inplace=True),
]


@pytest.mark.parametrize("relu", RELUS)
def test_every_way_to_write_a_relu_passes_gradients_for_silent_images_only(relu):
    image = torch.tensor([[-1.0, -2.0], [-1.0, 2.0]], requires_grad=True)
    with PassingReLUs():
        output = relu(image * 1)
        (output * torch.tensor([[-1.0, 1.0], [-1.0, -1.0]])).sum().backward()
    torch.testing.assert_close(output.detach(), torch.tensor([[0.0, 0.0], [0.0, 2.0]]))
    # the first image gets nothing through: what would raise its values passes; the second gets its usual gradient
    torch.testing.assert_close(image.grad, torch.tensor([[-1.0, 0.0], [0.0, -1.0]]))


def test_a_relu_in_place_also_changes_what_it_was_given():
    image = torch.tensor([[-1.0, 2.0]], requires_grad=True)
    with PassingReLUs():
        doubled = image * 2
        torch.relu_(doubled)
    assert doubled.tolist() == [[0.0, 4.0]]
    doubled.sum().backward()
    assert image.grad.tolist() == [[0.0, 2.0]]


def test_saturated_relu6_passes_what_would_lower_it():
    image = torch.tensor([[7.0, 8.0]], requires_grad=True)
    with PassingReLUs():
        output = functional.relu6(image)
        (output * torch.tensor([[1.0, -1.0]])).sum().backward()
    assert image.grad.tolist() == [[1.0, 0.0]]


def test_relus_are_themselves_again_after_an_error():
    with pytest.raises(RuntimeError, match="mine"), PassingReLUs():
        raise RuntimeError("mine")
    image = torch.tensor([[-1.0]], requires_grad=True)
    (-functional.relu(image)).sum().backward()
    assert image.grad.tolist() == [[0.0]]


def ramp(height: int, width: int) -> torch.Tensor:
    """Its two channels say where in the image a place is, in pixels from the middle."""
    down, across = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([across - width / 2, down - height / 2])[None]


def linear_part(shown: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The affine map that a transformed ramp shows, fitted over its middle: (2, 2) matrix and shift in pixels."""
    height, width = shown.shape[-2:]
    at = ramp(height, width)[0, :, height // 3 : -height // 3, width // 3 : -width // 3].flatten(1).double().numpy()
    values = shown[0, :, height // 3 : -height // 3, width // 3 : -width // 3].flatten(1).double().numpy()
    fitted = values @ np.linalg.pinv(np.vstack([at, np.ones(at.shape[1])]))
    return fitted[:, :2], fitted[:, 2]


@pytest.mark.parametrize("size", [(48, 48), (36, 60)])
def test_views_are_turned_scaled_and_moved_within_what_was_asked(size):
    config = FeatureConfig(jitter=2, scale=(0.9, 1.2), rotate=10, steps=30)
    views = Views(config, size, size, seed=0)
    angles, factors, shifts = [], [], []
    for step in range(30):
        matrix, shift = linear_part(views(ramp(*size), np.array([0]), step))
        factor = 1 / np.sqrt(np.linalg.det(matrix))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2) / factor**2, atol=0.01)  # neither sheared nor stretched
        factors.append(factor)
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        shifts.append(np.abs(shift).max())
    assert 0.9 - 0.01 <= min(factors) < 0.97
    assert 1.13 < max(factors) <= 1.2 + 0.01
    assert -10.1 <= min(angles) < -5 < 5 < max(angles) <= 10.1
    assert 1.5 < max(shifts) <= 2.01


def test_a_frame_makes_the_image_smaller_and_is_grey():
    config = FeatureConfig(jitter=0, scale=(1, 1), rotate=0, pad=12)
    shown = Views(config, (48, 48), (48, 48), 0)(torch.ones(1, 1, 48, 48), np.array([0]), 0)
    assert shown.shape == (1, 1, 48, 48)
    assert (shown[0, 0, :7] == 0).all()
    assert shown.sum().item() == pytest.approx(48 * 48 * (48 / 72) ** 2, rel=0.05)


def test_crops_shrink_from_the_first_step_to_the_last_and_stay_inside():
    config = FeatureConfig(jitter=0, scale=(1, 1), rotate=0, crop=(1, 0.5), steps=11, views=3)
    views = Views(config, (40, 40), (20, 20), 0)
    for step, share in ((0, 1.0), (5, 0.75), (10, 0.5)):
        shown = views(ramp(40, 40), np.array([0]), step)
        assert shown.shape == (3, 2, 20, 20)
        matrix, _ = linear_part(shown[:1])
        np.testing.assert_allclose(matrix, 2 * share * np.eye(2), atol=0.02)
        assert views(torch.ones(1, 1, 40, 40), np.array([0]), step).min() > 0.99


def test_what_an_image_is_shown_as_depends_on_its_number_and_not_on_its_batch():
    views = Views(FeatureConfig(), (16, 16), (16, 16), 3)
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    together = views(images, np.arange(4), 7)
    torch.testing.assert_close(views(images[2:3], np.array([2]), 7), together[2:3])
    assert not torch.equal(views(images[2:3], np.array([2]), 8), together[2:3])


@pytest.mark.parametrize(
    "preprocess",
    [
        ms.Preprocess.imagenet(16),
        ms.Preprocess(None, (16, 16), "bilinear", (127.0,) * 3, (128.0,) * 3, scale=1.0),
        ms.Preprocess(None, (16, 16), "bilinear", (0.4,), (0.3,), channels=1),
    ],
    ids=["imagenet", "bytes", "grey"],
)
def test_pixels_become_what_the_preprocessing_makes_of_them(preprocess):
    """Also when it is hidden in a function, and so has to be found out."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    bare = ms.Preprocess(
        None, (16, 16), "bilinear", preprocess.mean, preprocess.std, preprocess.scale, preprocess.channels
    )
    pixels = bare.pixels(picture).copy()
    expected = bare.tensor(pixels[None])
    centred = torch.from_numpy(pixels[None]).permute(0, 3, 1, 2) / 255 - 0.5
    net = nn.Conv2d(preprocess.channels, 1, 3)
    hidden = lambda image: bare.tensor(bare.pixels(image.resize((16, 16)))[None])[0]  # noqa: E731
    for each in (preprocess, hidden):
        model = ms.wrap(net, each, device="cpu")
        torch.testing.assert_close(to_input(model)(centred), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "function",
    [
        lambda image: torch.from_numpy(np.asarray(image)[:16, :16, ::-1].copy()).permute(2, 0, 1) / 255,
        lambda image: (torch.from_numpy(np.asarray(image)[:16, :16].copy()).permute(2, 0, 1) / 255) ** 2.2,
        lambda image: torch.zeros(4, 16, 16),
    ],
    ids=["blue first", "gamma", "four channels"],
)
def test_a_preprocessing_that_is_no_gain_and_offset_asks_for_normalise(function):
    model = ms.wrap(nn.Conv2d(function(Image.new("RGB", (16, 16))).shape[0], 1, 3), function, device="cpu")
    with pytest.raises(ms.UsageError, match="give normalise"):
        to_input(model)
