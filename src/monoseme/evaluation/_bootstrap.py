"""Confidence intervals: figures that are functions of sums, bootstrapped over clusters of what belongs together.

Concepts of one neuron share their images, so they are no independent draws. Whole clusters (neurons, photographs) are drawn
with replacement, which multiplies each cluster's sums by how often it was drawn: one matrix product for all resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]
Statistic = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


class Interval(NamedTuple):
    """An estimate and its 95 % confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float


class Resamples:
    """R bootstrap samples of D clusters.

    Parameters
    ----------
    clusters : int
        D.
    resamples : int
        R.
    seed : int
        Of the draws.

    Examples
    --------
    >>> values, neuron = np.array([1.0, 1, 0, 0, 1]), np.array([0, 0, 1, 2, 2])
    >>> Resamples(3, 200, seed=0).interval(cluster_sums(3, neuron, values, np.ones(5)), ratio)
    Interval(value=0.6, low=0.24..., high=1.0)

    Notes
    -----
    Percentile intervals of the cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their Application, 1997,
    sections 3.8 and 5.3.
    """

    def __init__(self, clusters: int, resamples: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.weights = np.zeros((resamples, clusters))
        """(R, D) how often each cluster was drawn."""
        if clusters:
            self.weights[:] = random.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)

    def __len__(self) -> int:
        return len(self.weights)

    def interval(self, sums: npt.NDArray[np.float64], statistic: Statistic) -> Interval:
        """The statistic (..., S) -> (...) of the sums (D, S) over all clusters, and its interval.

        One cluster alone has no interval.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(statistic(sums.sum(0)))
            drawn = statistic(self.weights @ sums)
        drawn = drawn[np.isfinite(drawn)]
        if not np.isfinite(value) or np.count_nonzero(sums.any(1)) < 2 or len(drawn) == 0:
            return Interval(value if np.isfinite(value) else np.nan, np.nan, np.nan)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Interval(value, float(low), float(high))


def cluster_sums(clusters: int, of: Ints, *columns: Numbers) -> npt.NDArray[np.float64]:
    """(D, S) sums over each cluster of S columns (n,), whose row i belongs to the cluster ``of[i]``."""
    return np.stack([np.bincount(of, column, minlength=clusters) for column in columns], axis=1)


def ratio(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """First sum over second: a mean, where the second counts."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def correlation(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pearson's correlation from the sums of 1, x, y, x^2, y^2 and x y."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.maximum(n * xx - x * x, 0) * np.maximum(n * yy - y * y, 0)
    return np.asarray((n * xy - x * y) / np.sqrt(spread))
