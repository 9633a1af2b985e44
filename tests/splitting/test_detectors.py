"""Detectors against scikit-learn's discriminant, a direct solve, and what they are for: finding images."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import average_precision_score

import monoseme as ms
from monoseme.splitting._detectors import SHRINKAGE, detectors, oracle_shrinkage
from monoseme.splitting._layer import Moments


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def moments_of(points: np.ndarray) -> Moments:
    return Moments(points.mean(0), np.cov(points.T, bias=True), len(points))


@pytest.fixture
def points() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(900, 12)) * np.linspace(0.3, 4, 12) @ random.normal(size=(12, 12)) + 5


def test_they_solve_the_shrunken_system(points):
    moments = moments_of(points)
    means = np.random.default_rng(1).normal(size=(5, 12)) + 5
    width = 12
    shrunken = (1 - SHRINKAGE) * moments.covariance
    shrunken += SHRINKAGE * np.trace(moments.covariance) / width * np.eye(width)
    expected = unit((np.linalg.inv(shrunken) @ (means - moments.mean).T).T)
    np.testing.assert_allclose(detectors(moments, means), expected, atol=1e-6)


def test_they_are_the_discriminants_of_scikit_learn(points):
    # Two classes about the layer's mean whose pooled covariance is the layer's.
    mean = points.mean(0) + np.random.default_rng(1).normal(size=12)
    both = np.concatenate([points, points + mean - points.mean(0)])
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(both, np.repeat([0, 1], 900))
    np.testing.assert_allclose(detectors(moments_of(points), mean[None])[0], unit(lda.coef_[0]), atol=1e-5)


def test_where_all_directions_vary_alike_they_are_the_patterns():
    moments = Moments(np.ones(9), 3 * np.eye(9), 500)
    means = np.random.default_rng(0).normal(size=(4, 9))
    np.testing.assert_allclose(detectors(moments, means), unit(means - 1), atol=1e-6)


def test_few_images_are_shrunken_more():
    random = np.random.default_rng(0)
    amounts = [
        oracle_shrinkage(moments_of(random.normal(size=(n, 40)) * np.linspace(1, 3, 40))) for n in (10, 60, 4000)
    ]
    assert amounts[0] > amounts[1] > amounts[2]
    assert amounts[0] > SHRINKAGE > amounts[2]
    few, mean = moments_of(random.normal(size=(10, 40)) * np.linspace(1, 3, 40)), random.normal(size=(1, 40))
    amount = oracle_shrinkage(few)
    shrunken = (1 - amount) * few.covariance + amount * np.trace(few.covariance) / 40 * np.eye(40)
    expected = unit(np.linalg.solve(shrunken, (mean - few.mean)[0]))
    np.testing.assert_allclose(detectors(few, mean)[0], expected, atol=1e-6)


def test_the_oracle_rule_is_within_reach_of_the_best_amount():
    random = np.random.default_rng(0)
    truth = np.diag(np.linspace(1, 9, 30))
    losses, chosen = [], []
    grid = np.linspace(0, 1, 21)
    for _ in range(20):
        points = random.normal(size=(25, 30)) * np.sqrt(np.diagonal(truth))
        moments = Moments(np.zeros(30), points.T @ points / 25, 25)

        def loss(amount: float, sample: np.ndarray = moments.covariance) -> float:
            moved = (1 - amount) * sample + amount * np.trace(sample) / 30 * np.eye(30)
            return float(((moved - truth) ** 2).sum())

        losses.append([loss(amount) for amount in grid])
        chosen.append(loss(oracle_shrinkage(moments)))
    assert np.mean(chosen) <= 1.1 * np.mean(losses, axis=0).min()


def test_a_layer_that_never_varies_and_a_mean_that_is_the_layers_have_none():
    assert not detectors(Moments(np.ones(4), np.zeros((4, 4)), 10), np.zeros((3, 4))).any()
    assert not detectors(Moments(np.ones(4), np.eye(4), 10), np.ones((1, 4))).any()


def test_they_find_images_better_than_mean_vectors_where_directions_vary_unalike():
    random = np.random.default_rng(0)
    spread = np.concatenate([np.full(4, 9.0), np.ones(28)])
    points = random.normal(size=(4000, 32)) * spread
    fires = np.arange(4000) % 40 == 0
    points[fires] += np.concatenate([np.full(4, 4.0), np.full(28, 0.6)])
    acts = points.astype(np.float32)
    scores = (2.0 * fires + random.random(4000) * 0.5)[:, None]
    bank = ms.disentangle(acts, scores=scores, top=50, bootstrap=0, top_images=1)
    assert len(bank) == 1
    kept_out = np.ones(4000, dtype=bool)
    kept_out[bank.exemplars["image_id"].to_numpy()] = False
    found = [
        average_precision_score(fires[kept_out], acts[kept_out] @ vector)
        for vector in (bank.vectors[0], bank.detectors[0])
    ]
    assert found[1] > 1.3 * found[0]


def test_a_bank_holds_a_unit_detector_for_each_concept(layer):
    bank = ms.disentangle(layer, top=40, bootstrap=0)
    assert bank.detectors.shape == bank.vectors.shape
    assert bank.detectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(bank.detectors, axis=1), 1, rtol=1e-5)
    assert ms.disentangle(layer, top=40, bootstrap=0, vector="mean").detectors is None


def test_vectors_are_unit_means_about_the_layers_mean(layer):
    bank = ms.disentangle(layer, top=40, bootstrap=0, holdout=0)
    centre = layer.astype(np.float64).mean(0)
    expected = unit(np.stack([layer[concept.image_ids].astype(np.float64).mean(0) for concept in bank]) - centre)
    np.testing.assert_allclose(bank.vectors, expected, atol=1e-5)
