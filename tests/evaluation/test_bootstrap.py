"""Intervals of the cluster bootstrap, against loops, formulas and their own promise."""

import numpy as np
import pytest

from monoseme.evaluation._bootstrap import Resamples, cluster_sums, correlation, ratio


def test_the_estimate_is_the_plain_mean_and_the_interval_that_of_a_loop_over_resamples():
    random = np.random.default_rng(0)
    of, values = random.integers(0, 12, 80), random.normal(size=80)
    found = Resamples(12, 4000, seed=1).interval(cluster_sums(12, of, values, np.ones(80)), ratio)
    assert found.value == pytest.approx(values.mean())
    loop = []
    for _ in range(4000):
        drawn = random.integers(0, 12, 12)
        loop.append(np.concatenate([values[of == cluster] for cluster in drawn]).mean())
    assert np.allclose(found[1:], np.quantile(loop, [0.025, 0.975]), atol=0.02)


def test_intervals_hold_the_truth_about_as_often_as_they_say_when_clusters_share_an_effect():
    hits = clustered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        of = np.repeat(np.arange(40), 5)
        values = random.normal(size=40)[of] + 0.3 * random.normal(size=200)
        sums = cluster_sums(40, of, values, np.ones(200))
        low, high = Resamples(40, 400, seed).interval(sums, ratio)[1:]
        alone = cluster_sums(200, np.arange(200), values, np.ones(200))
        naive = Resamples(200, 400, seed).interval(alone, ratio)
        hits += low <= 0 <= high
        clustered += high - low > 1.5 * (naive.high - naive.low)
    assert hits >= 180
    assert clustered >= 195  # five values of a cluster are no five draws


def test_correlation_from_sums_is_pearsons():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    sums = cluster_sums(5, np.arange(50) % 5, np.ones(50), x, y, x * x, y * y, x * y)
    assert Resamples(5, 10, seed=0).interval(sums, correlation).value == pytest.approx(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("clusters", [0, 1])
def test_one_cluster_has_no_interval_and_none_no_value(clusters):
    sums = np.ones((clusters, 2))
    found = Resamples(clusters, 50, seed=0).interval(sums, ratio)
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert found.value == 1 if clusters else np.isnan(found.value)


def test_equal_seeds_give_equal_intervals():
    sums = np.random.default_rng(0).random((30, 2))
    assert Resamples(30, 100, seed=3).interval(sums, ratio) == Resamples(30, 100, seed=3).interval(sums, ratio)
