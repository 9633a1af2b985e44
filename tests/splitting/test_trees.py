"""Ward trees and their cuts against SciPy and scikit-learn on the points themselves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from monoseme.splitting._trees import Trees, centre_and_gram, ward_trees


def trees_of(points: np.ndarray) -> Trees:
    return ward_trees(centre_and_gram(torch.from_numpy(points.astype(np.float32)))[1])


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 12), st.floats(0.2, 12))
@settings(max_examples=60)
def test_the_cut_is_that_of_scikit_learn(seed, count, width, threshold):
    points = np.random.default_rng(seed).normal(size=(1, count, width)).astype(np.float32)
    trees = trees_of(points)
    heights = trees.heights[0]
    if np.abs(heights - threshold).min() < 1e-4:
        threshold += 3e-4
    theirs = AgglomerativeClustering(n_clusters=None, distance_threshold=threshold, linkage="ward").fit(points[0])
    clusters = int(trees.clusters(threshold)[0])
    assert clusters == theirs.n_clusters_
    assert adjusted_rand_score(trees.cut(0, clusters), theirs.labels_) == 1


def test_trees_are_those_of_scipy_also_far_from_the_origin():
    points = 1000 + np.random.default_rng(0).normal(size=(4, 30, 8)).astype(np.float32)
    trees = trees_of(points)
    for index, each in enumerate(points):
        expected = linkage(each.astype(np.float64), method="ward")
        np.testing.assert_allclose(trees.linkage(index)[:, 2:], expected[:, 2:], rtol=1e-4)


def test_centring_happens_in_place_and_gives_back_the_means():
    points = torch.randn(3, 5, 4)
    before = points.clone()
    mean, gram = centre_and_gram(points)
    torch.testing.assert_close(points + mean[:, None], before)
    torch.testing.assert_close(gram.float(), points @ points.transpose(1, 2))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_points_make_a_tree(count):
    trees = trees_of(np.arange(count * 3, dtype=float).reshape(1, count, 3))
    assert trees.heights.shape == (1, count - 1)
    assert trees.clusters(0.1).tolist() == [count]
