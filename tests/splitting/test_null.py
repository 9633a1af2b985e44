"""The fitted null: p-values of single Gaussians that were not part of the fit, and the power to see two of them."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from monoseme.splitting._bisect import bisect
from monoseme.splitting._null import KNOTS, LARGEST, LOG_VARIANCE, MEAN, QUANTILES, logit, p_values, terms

SPECTRA = {
    "eight dimensions": np.ones(8),
    "sixteen dimensions": np.ones(16),
    "round": np.ones(100),
    "falling, 32": np.arange(1, 33.0) ** -1,
    "falling": np.arange(1, 129.0) ** -1,
    "falling fast": np.arange(1, 129.0) ** -2,
    "one spike": np.array([20.0] + [1.0] * 63),
    "two spikes": np.array([30.0, 20.0] + [1.0] * 62),
}
OFFSETS = (0.0, 0.5, 1.0, 2.0)
"""Distance of a Gaussian's mean from the layer's, in spreads."""
SIZES = {10: 150, 14: 150, 20: 150, 30: 100, 50: 80, 100: 40, 200: 20}
"""Points of a set, and how many sets of each covariance and offset."""


def unit(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def p_of(points: np.ndarray) -> np.ndarray:
    """p-values (B,) of sets (B, n, d), whose points are scaled to unit length as exemplars are."""
    held = torch.from_numpy(unit(points))
    everything = torch.ones(points.shape[:2], dtype=torch.bool)
    halves = bisect(held @ held.transpose(1, 2), held[:, :, :1], torch.ones(1).double(), everything, 2)
    return p_values(halves.features.numpy(), halves.bimodality.numpy())


def gaussians(random: np.random.Generator, spectrum: np.ndarray, shape: tuple[int, int], offset: float) -> np.ndarray:
    """Sets (B, n, d) of a Gaussian each, its mean some spreads away in a direction of its own."""
    means = unit(random.normal(size=(shape[0], 1, len(spectrum))) * np.sqrt(spectrum))
    noise = random.normal(size=(*shape, len(spectrum))) * np.sqrt(spectrum)
    return noise + offset * np.sqrt(spectrum.sum()) * means


@pytest.fixture(scope="module")
def null() -> dict[tuple[str, float, int], np.ndarray]:
    """p-values of single Gaussians for each spectrum, offset and size."""
    random = np.random.default_rng(11)
    return {
        (name, offset, size): p_of(gaussians(random, spectrum, (count, size), offset))
        for name, spectrum in SPECTRA.items()
        for offset in OFFSETS
        for size, count in SIZES.items()
    }


def share(p: np.ndarray, level: float) -> float:
    return float((p <= level).mean())


def two_errors(level: float, count: int) -> float:
    """Twice the sampling error of a share."""
    return 2 * float(np.sqrt(level * (1 - level) / count))


# Shares of p-values up to 0.01, 0.05 and 0.1 of 108,160 sets of these kinds, other than those tested here:
#   all together                        0.012  0.059  0.111
#   10 points                           0.020  0.071  0.123
#   14 points and more, at most         0.012  0.060  0.113
#   falling fast                        0.016  0.065  0.116
#   one spike                           0.012  0.061  0.121
#   other covariances, at most          0.014  0.063  0.117
#   a mean one spread away              0.014  0.069  0.127
#   other offsets, at most              0.013  0.058  0.107
# So 0.01 above the level holds for all together and for sizes of 14 and more, and misses by up to 0.013 for 10 points, by up
# to 0.017 for an offset of one spread and by up to 0.011 for the two covariances; what is added for them says so. For one
# covariance, offset and size at a time it does not hold; see the test of spikes far from the middle.
MORE = {10: 0.015, 1.0: 0.02, "falling fast": 0.01, "one spike": 0.01}
"""What is to be added to the level and 0.01."""


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
def test_a_single_gaussian_is_seldom_found_to_be_two(null, level):
    everything = np.concatenate(list(null.values()))
    assert len(everything) > 20_000
    assert 0.5 * level <= share(everything, level) <= level + 0.01 + two_errors(level, len(everything))


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("name", SPECTRA)
def test_the_level_holds_for_each_covariance(null, name, level):
    mine = np.concatenate([p for (each, _, _), p in null.items() if each == name])
    assert share(mine, level) <= level + 0.01 + MORE.get(name, 0) + two_errors(level, len(mine))


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("size", SIZES)
def test_the_level_holds_for_each_size(null, size, level):
    mine = np.concatenate([p for (_, _, each), p in null.items() if each == size])
    assert share(mine, level) <= level + 0.01 + MORE.get(size, 0) + two_errors(level, len(mine))


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("offset", OFFSETS)
def test_the_level_holds_for_each_offset(null, offset, level):
    mine = np.concatenate([p for (_, each, _), p in null.items() if each == offset])
    assert share(mine, level) <= level + 0.01 + (MORE[1.0] if offset == 1 else 0) + two_errors(level, len(mine))


def test_p_values_of_single_gaussians_are_nearly_uniform(null):
    everything = np.concatenate(list(null.values()))
    assert kstest(everything, "uniform").statistic <= 0.06
    for name in SPECTRA:
        mine = np.concatenate([p for (spectrum, _, size), p in null.items() if spectrum == name and size <= 50])
        assert kstest(mine, "uniform").statistic <= 0.1, name


@pytest.mark.parametrize(("size", "found"), [(50, 0.09), (100, 0.15), (200, 0.43)])
def test_a_spike_far_from_the_middle_of_the_layer_is_found_too_often_in_large_sets(size, found):
    """Where the level does not hold: the worst of the covariances and offsets, whose share up to 0.05 grows with the size.

    At 100 points: up to 0.15 for one spike at one or two spreads, 0.14 in sixteen dimensions at one, 0.10 for two spikes; at
    200: 0.43 and 0.15 for one spike at two and one, 0.11 in eight dimensions at two; all others hold 0.05 within 0.03.
    """
    random = np.random.default_rng(14)
    p = p_of(gaussians(random, SPECTRA["one spike"], (200, size), 2.0))
    assert share(p, 0.05) <= found + two_errors(found, 200)


@pytest.mark.parametrize("sizes", [(10, 10), (25, 25), (8, 42), (5, 15)])
@pytest.mark.parametrize("name", SPECTRA)
def test_two_gaussians_far_apart_are_found(name, sizes):
    """Their means lie at right angles, each two spreads, or one and a half, from the layer's."""
    random = np.random.default_rng(12)
    spectrum = SPECTRA[name]
    noise = random.normal(size=(200, sum(sizes), len(spectrum))) * np.sqrt(spectrum)
    axes = np.linalg.qr(random.normal(size=(200, len(spectrum), 2)))[0].transpose(0, 2, 1)
    means = np.repeat(np.sqrt(spectrum.sum()) * axes, sizes, axis=1)
    assert share(p_of(noise + 2 * means), 0.05) >= 0.95
    # 20 points in eight dimensions are too few for more: 0.82 to 0.84 are found. At one spread it is 0.26 to 0.79 in
    # eight dimensions, at least 0.83 in sixteen and more, 0.26 to 0.97 where the spectrum falls fast.
    assert share(p_of(noise + 1.5 * means), 0.05) >= (0.75 if len(spectrum) == 8 and sum(sizes) == 20 else 0.95)


def test_two_gaussians_are_found_the_more_often_the_further_they_are_apart():
    random = np.random.default_rng(13)
    points = random.normal(size=(300, 40, 16))
    found = []
    for distance in (0.0, 3.0, 5.0, 7.0):
        moved = points.copy()
        moved[:, :20, 0] += distance
        moved[:, 20:, 1] += distance
        found.append(share(p_of(moved), 0.05))
    assert found == sorted(found)
    assert found[0] < 0.1
    assert found[-1] > 0.95


def test_p_values_fall_as_bimodality_grows():
    random = np.random.default_rng(0)
    first = random.uniform(0.03, 0.9, 50)
    second = random.uniform(0.2, 1, 50) * np.minimum(first, 1 - first)
    # The other shares are at most the second and may be very small.
    dimension = random.uniform(1 / (first**2 + second * (1 - first)), 1 / (first**2 + second**2))
    features = np.column_stack([random.integers(10, 400, 50), dimension, first, second, random.uniform(0, 1, 50)])
    grid = np.linspace(0, 1, 201)
    for row in features:
        p = p_values(np.tile(row, (len(grid), 1)), grid)
        assert (np.diff(p) <= 0).all()
        assert p[0] == 1
        assert p[-1] < 0.01
        assert (p >= 0).all()


def test_the_table_of_quantiles_is_met_at_its_knots():
    features = np.array([[50.0, 12.0, 0.2, 0.1, 0.3]])
    design = terms(features)
    odds = design @ MEAN + (KNOTS + 1e-9) * np.exp(0.5 * design @ LOG_VARIANCE)
    bimodality = 1 / (1 + np.exp(-odds))
    np.testing.assert_allclose(p_values(np.tile(features, (len(KNOTS), 1)), bimodality), QUANTILES, rtol=1e-6)


@pytest.mark.parametrize("bimodality", [0.0, 1e-300, 0.5, 1.0])
@pytest.mark.parametrize(
    "features", [[2, 1, 1, 0, 1], [1e9, 1e9, 0, 0, -1], [1, 0, 0, 0, 0], [10, 128, 1e-30, 1e-30, 2], [300, 1, 1, 1, 1]]
)
def test_extreme_sets_have_p_values_between_0_and_1(features, bimodality):
    p = p_values(np.array([features], dtype=float), np.array([bimodality]))
    assert 0 <= p[0] <= 1


@pytest.mark.parametrize("size", [4, 7, 9])
def test_sets_too_small_to_be_simulated_are_not_tested(size):
    points = np.random.default_rng(0).normal(size=(200, size, 5))
    assert set(p_of(points)) == {1.0}


def test_larger_sets_than_were_simulated_are_tested_as_the_largest():
    features = np.array([[LARGEST, 20.0, 0.2, 0.1, 0.3], [50 * LARGEST, 20.0, 0.2, 0.1, 0.3]])
    p = p_values(features, np.array([0.7, 0.7]))
    assert p[0] == p[1]


def test_log_odds_stay_finite():
    assert np.isfinite(logit(np.array([0.0, 1.0, np.nextafter(1, 0)]))).all()
    assert logit(np.array([0.5]))[0] == 0
