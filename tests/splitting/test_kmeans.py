"""k-means in Gram space against scikit-learn on the points."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from monoseme.splitting._kmeans import kmeans_gram


def gram_of(points: np.ndarray) -> torch.Tensor:
    about = points - points.mean(1, keepdims=True)
    return torch.from_numpy(about @ about.transpose(0, 2, 1))


@pytest.mark.parametrize("k", [2, 3, 5, 9])
@pytest.mark.parametrize("seed", [0, 7])
def test_partition_and_inertia_are_those_of_scikit_learn(k, seed):
    random = np.random.default_rng(k)
    points = random.normal(size=(12, 60, 16)) + 2 * random.normal(size=(12, 4, 16))[:, random.integers(0, 4, 60)]
    solved = kmeans_gram(gram_of(points), k, features=16, seed=seed)
    for index, each in enumerate(points):
        theirs = KMeans(k, init="k-means++", n_init=5, max_iter=1000, random_state=seed).fit(each)
        assert adjusted_rand_score(solved.labels[index], theirs.labels_) == 1
        assert float(solved.inertia[index]) == pytest.approx(theirs.inertia_, rel=1e-9)
        distance = ((each - theirs.cluster_centers_[theirs.labels_]) ** 2).sum(1)
        np.testing.assert_allclose(solved.squared[index], distance, rtol=1e-8, atol=1e-8)


def test_a_problem_is_solved_the_same_whatever_its_neighbours():
    points = np.random.default_rng(0).normal(size=(6, 40, 8))
    together = kmeans_gram(gram_of(points), 4, features=8)
    alone = kmeans_gram(gram_of(points[2:3]), 4, features=8)
    assert torch.equal(together.labels[2], alone.labels[0])


def test_more_clusters_than_different_points_gives_a_defined_answer():
    points = np.repeat(np.array([[[0.0, 0.0], [3.0, 4.0]]]), 5, axis=1)
    solved = kmeans_gram(gram_of(points), 4, features=2)
    assert float(solved.inertia[0]) == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(solved.squared).all()


@pytest.mark.parametrize("k", [1, 10])
def test_one_cluster_and_one_for_each_point(k):
    points = np.random.default_rng(0).normal(size=(2, 10, 3))
    solved = kmeans_gram(gram_of(points), k, features=3)
    expected = ((points - points.mean(1, keepdims=True)) ** 2).sum((1, 2)) if k == 1 else np.zeros(2)
    np.testing.assert_allclose(solved.inertia, expected, atol=1e-9)
    assert [len(np.unique(each)) for each in solved.labels] == [k, k]


def test_clusters_are_numbered_by_their_first_member():
    points = np.random.default_rng(0).normal(size=(5, 30, 4))
    for labels in kmeans_gram(gram_of(points), 3, features=4).labels.numpy():
        first = [int(np.argmax(labels == cluster)) for cluster in range(3)]
        assert first == sorted(first)
