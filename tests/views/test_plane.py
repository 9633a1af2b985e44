"""Points laid out in a plane."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

import monoseme as ms
from monoseme.views import free_cells, plane


@pytest.fixture(scope="module")
def clusters() -> np.ndarray:
    random = np.random.default_rng(0)
    return (10 * random.normal(size=(3, 40))[np.arange(90) % 3] + random.normal(size=(90, 40))).astype(np.float32)


def test_principal_components_are_those_of_scikit_learn(clusters):
    expected = PCA(2).fit_transform(clusters.astype(np.float64))
    for points in (clusters, clusters[:30]):  # either Gram matrix
        expected = PCA(2).fit_transform(points.astype(np.float64))
        np.testing.assert_allclose(np.abs(plane(points, "pca")), np.abs(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("how", ["pca", "tsne", "umap"])
def test_neighbours_stay_together_and_the_same_seed_gives_the_same_plane(clusters, how):
    at = plane(clusters, how)
    assert at.shape == (90, 2)
    np.testing.assert_array_equal(at, plane(clusters, how))
    label = np.arange(90) % 3
    gaps = np.linalg.norm(at[:, None] - at[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    assert (label[gaps.argmin(1)] == label).mean() > 0.95


@pytest.mark.parametrize("count", [1, 2, 4, 6])
@pytest.mark.parametrize("how", ["pca", "tsne", "umap"])
def test_few_points_are_laid_out_too(clusters, count, how):
    assert np.isfinite(plane(clusters[:count], how)).all()


def test_points_that_are_all_alike_are_laid_out_too():
    assert np.isfinite(plane(np.ones((12, 5)), "pca")).all()


def test_an_unknown_projection_is_refused(clusters):
    with pytest.raises(ms.UsageError, match="did you mean tsne"):
        plane(clusters, "tsn")


def test_each_position_has_a_cell_of_its_own_and_keeps_its_side():
    random = np.random.default_rng(1)
    at = random.normal(size=(60, 2))
    cells = free_cells(at, aspect=2.0)
    assert len(np.unique(cells, axis=0)) == 60
    assert np.corrcoef(at[:, 0], cells[:, 0])[0, 1] > 0.9
    assert np.corrcoef(at[:, 1], cells[:, 1])[0, 1] > 0.9
    assert 1.4 < (cells[:, 0].max() + 1) / (cells[:, 1].max() + 1) < 2.8


def test_no_other_choice_of_cells_moves_four_positions_less():
    from itertools import permutations

    at = np.random.default_rng(2).random((4, 2))
    cells = free_cells(at, room=1.0)
    scaled = (at - at.min(0)) / np.ptp(at, axis=0) * [1, 1]
    grid = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    best = min(((scaled - grid[list(order)]) ** 2).sum() for order in permutations(range(4)))
    assert ((scaled - cells) ** 2).sum() == pytest.approx(best)


def test_positions_on_one_spot_get_cells_too():
    assert len(np.unique(free_cells(np.zeros((7, 2))), axis=0)) == 7
    assert free_cells(np.zeros((0, 2))).shape == (0, 2)
