"""What splitting knows of a layer: its moments, who takes part, its principal components."""

import numpy as np
import pytest
import torch

import monoseme as ms
from monoseme.base import ArrayActivations, Images
from monoseme.splitting import _layer
from monoseme.splitting._frame import fit_frame
from monoseme.splitting._layer import Layer, Moments
from monoseme.splitting._whitening import Whitening


def layer_of(
    array: np.ndarray, *, holdout: float = 0.0, by_content: bool = True, images: Images | None = None
) -> Layer:
    acts = ArrayActivations(array, images=images)
    return Layer.of(acts, fit_frame(acts, "raw"), 20, 0, holdout, by_content)


@pytest.fixture
def wide() -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(size=(5000, 6)) @ random.normal(size=(6, 6)) + 3).astype(np.float32)


def test_moments_are_those_of_numpy(wide):
    moments = layer_of(wide).moments
    assert moments.count == 5000
    np.testing.assert_allclose(moments.mean, wide.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(wide.astype(np.float64).T, bias=True), rtol=1e-5, atol=1e-5)


def test_moments_far_from_the_origin_do_not_cancel(wide):
    far = wide + np.float32(4096)
    expected = np.cov(far.astype(np.float64).T, bias=True)
    np.testing.assert_allclose(layer_of(far).moments.covariance, expected, rtol=1e-5, atol=1e-5)


def test_moments_are_seen_in_the_frame(wide):
    acts = ArrayActivations(wide)
    layer = Layer.of(acts, fit_frame(acts, "standardised"), 20, 0, 0.0, by_content=False)
    np.testing.assert_allclose(layer.moments.mean, 0, atol=1e-5)
    np.testing.assert_allclose(layer.moments.covariance, np.corrcoef(wide.T), atol=1e-4)


def test_moments_are_of_the_images_that_take_part_each_once(wide):
    twice = np.concatenate([wide, wide[:2000]])
    one, other = layer_of(wide, holdout=0.3), layer_of(twice, holdout=0.3)
    assert 3000 < one.moments.count == other.moments.count < 4000
    np.testing.assert_array_equal(one.rows, other.rows)
    mine = wide[one.rows].astype(np.float64)
    np.testing.assert_allclose(one.moments.covariance, np.cov(mine.T, bias=True), rtol=1e-5, atol=1e-5)


def test_a_large_layers_moments_are_of_the_same_images_in_any_order(wide, monkeypatch):
    monkeypatch.setattr(_layer, "SAMPLE_ROWS", 700)
    order = np.random.default_rng(1).permutation(5000)
    one, other = layer_of(wide).moments, layer_of(wide[order]).moments
    assert one.count == other.count == 700
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-5)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.mean, wide.mean(0), atol=4 * wide.std() / np.sqrt(700))


def test_activations_that_are_not_finite_are_named(wide):
    wide[4321, 2] = np.nan
    with pytest.raises(ms.MonosemeError, match="image 4321 are not finite"):
        _ = layer_of(wide, by_content=False).moments


def test_random_sets_are_of_different_images_that_take_part(wide):
    layer = layer_of(wide, holdout=0.9)
    allowed = {row.tobytes() for row in wide[layer.rows]}
    sets = layer.random_sets()
    for _ in range(5):
        drawn = [row.tobytes() for row in next(sets)]
        assert len(set(drawn)) == 20
        assert allowed.issuperset(drawn)


def test_principal_components_are_those_of_a_direct_eigendecomposition(wide):
    moments = layer_of(wide).moments
    whitening = Whitening.of(moments, 3)
    values, vectors = np.linalg.eigh(moments.covariance)
    np.testing.assert_allclose(whitening.variances, values[::-1][:3], rtol=1e-9)
    np.testing.assert_allclose(np.abs(vectors[:, ::-1][:, :3].T @ whitening.components.numpy()), np.eye(3), atol=1e-6)


def test_whitened_points_vary_alike_along_all_components_without_correlation(wide):
    whitening = Whitening.of(layer_of(wide).moments, 128)
    points = torch.from_numpy(wide)[None]
    mean = points.mean(1)
    coordinates = whitening.coordinates(points - mean[:, None], mean)[0]
    np.testing.assert_allclose(coordinates.mean(0), 0, atol=1e-4)
    scatter = np.cov((coordinates / whitening.variances.sqrt()).T, bias=True)  # up to a common unit
    np.testing.assert_allclose(scatter / scatter[0, 0], np.eye(6), atol=1e-3)


def test_cosines_are_of_whitened_points_about_the_layers_mean(wide):
    layer = layer_of(wide)
    whitening = Whitening.of(layer.moments, 128)
    some = wide[:30].astype(np.float64) - layer.moments.mean
    precision = np.linalg.inv(layer.moments.covariance)
    products = some @ precision @ some.T
    lengths = np.sqrt(np.diagonal(products))
    points = torch.from_numpy(wide[None, :30])
    mean = points.mean(1)
    gram = whitening.gram(whitening.coordinates(points - mean[:, None], mean))
    np.testing.assert_allclose(gram[0], products / lengths[:, None] / lengths, atol=2e-4)


@pytest.mark.parametrize(
    ("width", "count", "dimensions", "expected"),
    [(6, 5000, 128, 6), (6, 5000, 2, 2), (50, 200, 128, 20), (50, 5, 128, 1), (1, 5000, 128, 1)],
)
def test_there_is_a_component_for_ten_images_at_most(width, count, dimensions, expected):
    covariance = np.diag(np.arange(1.0, width + 1))
    assert Whitening.of(Moments(np.zeros(width), covariance, count), dimensions).components.shape == (width, expected)


def test_components_that_do_not_vary_are_left_out():
    covariance = np.diag([4.0, 1.0, 1e-9, 0.0])
    np.testing.assert_allclose(Whitening.of(Moments(np.zeros(4), covariance, 1000), 128).variances, [4, 1])
    flat = Whitening.of(Moments(np.zeros(4), np.zeros((4, 4)), 1000), 128)
    points = torch.ones(1, 6, 4)
    assert not flat.gram(flat.coordinates(points - 1, points[:, 0])).any()
