"""Thresholds, outliers and small clusters of the published method."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import monoseme as ms
from monoseme.splitting._published import drop_small, outlier_quantile
from monoseme.splitting._split import Exemplars
from monoseme.splitting._trees import centre_and_gram, ward_trees


def exemplars_of(points: np.ndarray) -> Exemplars:
    held = torch.from_numpy(points.astype(np.float32))
    mean, gram = centre_and_gram(held)
    return Exemplars(held, mean, gram, np.arange(len(points)))


def two_groups(far: float = 20.0, strays: int = 0) -> np.ndarray:
    random = np.random.default_rng(0)
    points = random.normal(size=(1, 40, 6))
    points[0, 20:, 0] += far
    points[0, :strays, 1] += 9
    return points


def test_two_far_groups_are_two_clusters_and_one_above_the_tree():
    split = ms.Published(50.0, 1e6).split(exemplars_of(two_groups()))
    assert split.kept[0].tolist() == [0] * 20 + [1] * 20
    assert ms.Published(1e6, 1e6).split(exemplars_of(two_groups())).kept.max() == 0


def test_outliers_are_those_at_or_beyond_the_squared_distance():
    points = two_groups(strays=3)
    split = ms.Published(50.0, 30.0, min_size=1).split(exemplars_of(points))
    for cluster in (0, 1):
        mine = split.clusters[0] == cluster
        squared = ((points[0][mine] - points[0][mine].mean(0)) ** 2).sum(1)
        np.testing.assert_array_equal(split.kept[0][mine] == -1, squared >= 30.0)
    assert (split.kept == -1).any()


def test_a_quantile_drops_what_lies_above_it_in_each_direction():
    points = np.concatenate([two_groups(), 3 * two_groups()])
    split = ms.Published(50.0, "q0.9", min_size=1).split(exemplars_of(points))
    assert (split.kept == -1).sum(1).tolist() == [4, 4]
    for squared, kept in zip(split.squared, split.kept, strict=True):
        assert squared[kept == -1].min() > squared[kept >= 0].max()


def test_identical_exemplars_are_one_concept_of_which_none_is_dropped():
    split = ms.Published(1.0, "auto").split(exemplars_of(np.ones((1, 12, 3))))
    assert split.kept.tolist() == [[0] * 12]


def test_a_cluster_left_too_small_is_dropped_whole():
    kept = np.array([[0, 0, 0, 1, 1, -1], [2, 2, 2, 2, -1, -1]])
    assert drop_small(kept, 3).tolist() == [[0, 0, 0, -1, -1, -1], [2, 2, 2, 2, -1, -1]]


def test_automatic_threshold_is_one_and_a_half_times_the_median_root_of_random_sets():
    sets = np.random.default_rng(0).normal(size=(9, 30, 5)).astype(np.float32)
    roots = ward_trees(centre_and_gram(torch.from_numpy(sets.copy()))[1]).heights[:, -1]
    layer = SimpleNamespace(random_sets=lambda: iter(sets.copy()))
    assert ms.Published().fitted(layer).distance_threshold == pytest.approx(1.5 * np.median(roots))
    assert ms.Published(7.0).fitted(layer).distance_threshold == 7.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"distance_threshold": 0}, "distance threshold must be a number above 0"),
        ({"distance_threshold": "big"}, "distance threshold must be a number above 0"),
        ({"distance_threshold": float("nan")}, "distance threshold must be a number above 0"),
        ({"outlier_threshold": -1.0}, "outlier threshold must be above 0"),
        ({"outlier_threshold": "q1.5"}, "quantile in"),
        ({"outlier_threshold": "0.9"}, "quantile in"),
        ({"min_size": 0}, "minimum size"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(options, sentence):
    with pytest.raises(ms.UsageError, match=sentence):
        ms.Published(**options)


def test_quantiles_are_written_with_a_q():
    assert outlier_quantile("q1") == 1.0
    assert outlier_quantile(15) is None
