"""The fitted null: p-values of single Gaussians that were not part of the fit, and the power to see two of them."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from monoseme.splitting._bisect import bisect
from monoseme.splitting._null import KNOTS, LARGEST, LOG_VARIANCE, MEAN, QUANTILES, logit, p_values, terms

SPECTRA = {
    "one dimension": np.ones(1),
    "five dimensions": np.ones(5),
    "round": np.ones(100),
    "falling": np.arange(1, 129.0) ** -1,
    "falling fast": np.arange(1, 129.0) ** -2,
    "one spike": np.array([20.0] + [1.0] * 63),
    "two spikes": np.array([30.0, 20.0] + [1.0] * 63),
}
# At 10 points small p-values are up to twice as frequent as they should be (0.071 up to 0.05, 0.022 up to 0.01).
SIZES = {10: 500, 14: 500, 20: 500, 30: 400, 50: 400, 100: 100, 200: 30}


def p_of(points: np.ndarray) -> np.ndarray:
    """p-values (B,) of sets (B, n, d)."""
    held = torch.from_numpy(points)
    everything = torch.ones(points.shape[:2], dtype=torch.bool)
    halves = bisect(held @ held.transpose(1, 2), held[:, :, :1], torch.ones(1).double(), everything, 2)
    return p_values(halves.features.numpy(), halves.bimodality.numpy())


@pytest.fixture(scope="module")
def null() -> dict[tuple[str, int], np.ndarray]:
    """p-values of single Gaussians for each spectrum and size."""
    random = np.random.default_rng(11)
    return {
        (name, size): p_of(random.normal(size=(count, size, len(spectrum))) * np.sqrt(spectrum))
        for name, spectrum in SPECTRA.items()
        for size, count in SIZES.items()
    }


def share(p: np.ndarray, level: float) -> float:
    return float((p <= level).mean())


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
def test_a_single_gaussian_is_seldom_found_to_be_two(null, level):
    everything = np.concatenate(list(null.values()))
    assert len(everything) > 15_000
    assert 0.5 * level <= share(everything, level) <= level + 0.01


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("name", SPECTRA)
def test_the_level_holds_for_each_covariance(null, name, level):
    mine = np.concatenate([p for (spectrum, _), p in null.items() if spectrum == name])
    error = np.sqrt(level * (1 - level) / len(mine))
    assert share(mine, level) <= level + 0.01 + 2 * error


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("size", SIZES)
def test_the_level_holds_for_each_size(null, size, level):
    mine = np.concatenate([p for (_, each), p in null.items() if each == size])
    error = np.sqrt(level * (1 - level) / len(mine))
    assert share(mine, level) <= level + (0.01 if size > 10 else 0.02) + 2 * error


def test_p_values_of_single_gaussians_are_nearly_uniform(null):
    everything = np.concatenate(list(null.values()))
    assert kstest(everything, "uniform").statistic <= 0.06
    for name in SPECTRA:
        mine = np.concatenate([p for (spectrum, size), p in null.items() if spectrum == name and size <= 50])
        assert kstest(mine, "uniform").statistic <= 0.1, name


@pytest.mark.parametrize("sizes", [(10, 10), (25, 25), (8, 42)])
@pytest.mark.parametrize("name", ["five dimensions", "round", "falling"])
def test_two_gaussians_far_apart_are_found(name, sizes):
    random = np.random.default_rng(12)
    spectrum = SPECTRA[name]
    points = random.normal(size=(200, sum(sizes), len(spectrum))) * np.sqrt(spectrum)
    points[:, : sizes[0], -1] += 3 * np.sqrt(spectrum.sum())
    assert share(p_of(points), 0.05) >= 0.95


def test_two_gaussians_are_found_the_more_often_the_further_they_are_apart():
    random = np.random.default_rng(13)
    points = random.normal(size=(300, 40, 16))
    found = []
    for distance in (0.0, 3.0, 5.0, 7.0):
        moved = points.copy()
        moved[:, :20, 0] += distance
        found.append(share(p_of(moved), 0.05))
    assert found == sorted(found)
    assert found[0] < 0.1
    assert found[-1] > 0.95


def test_p_values_fall_as_bimodality_grows():
    random = np.random.default_rng(0)
    features = np.column_stack(
        [
            random.integers(10, 400, 50),
            random.uniform(1, 128, 50),
            random.uniform(0.2, 0.9, 50),
            random.uniform(0.01, 0.1, 50),
        ]
    )
    grid = np.linspace(0, 1, 201)
    for row in features:
        p = p_values(np.tile(row, (len(grid), 1)), grid)
        assert (np.diff(p) <= 0).all()
        assert p[0] == 1
        assert p[-1] < 0.01
        assert (p >= 0).all()


def test_the_table_of_quantiles_is_met_at_its_knots():
    features = np.array([[50.0, 12.0, 0.2, 0.1]])
    design = terms(features)
    odds = design @ MEAN + (KNOTS + 1e-9) * np.exp(0.5 * design @ LOG_VARIANCE)
    bimodality = 1 / (1 + np.exp(-odds))
    np.testing.assert_allclose(p_values(np.tile(features, (len(KNOTS), 1)), bimodality), QUANTILES, rtol=1e-6)


@pytest.mark.parametrize("bimodality", [0.0, 1e-300, 0.5, 1.0])
@pytest.mark.parametrize(
    "features", [[2, 1, 1, 0], [1e9, 1e9, 0, 0], [1, 0, 0, 0], [10, 128, 1e-30, 1e-30], [300, 1, 1, 1]]
)
def test_extreme_sets_have_p_values_between_0_and_1(features, bimodality):
    p = p_values(np.array([features], dtype=float), np.array([bimodality]))
    assert 0 <= p[0] <= 1


@pytest.mark.parametrize("size", [4, 7, 9])
def test_sets_too_small_to_be_simulated_are_not_tested(size):
    points = np.random.default_rng(0).normal(size=(200, size, 5))
    assert set(p_of(points)) == {1.0}


def test_larger_sets_than_were_simulated_are_tested_as_the_largest():
    features = np.array([[LARGEST, 20.0, 0.2, 0.1], [50 * LARGEST, 20.0, 0.2, 0.1]])
    p = p_values(features, np.array([0.7, 0.7]))
    assert p[0] == p[1]


def test_log_odds_stay_finite():
    assert np.isfinite(logit(np.array([0.0, 1.0, np.nextafter(1, 0)]))).all()
    assert logit(np.array([0.5]))[0] == 0
