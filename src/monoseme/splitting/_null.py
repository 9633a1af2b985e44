"""How bimodal a single Gaussian looks when it is divided in two as exemplars are: the null of the test for two concepts.

The leave-one-out scores of a Gaussian lie nearly as a Gaussian on a line, whatever its covariance, so that the share of
variance between the two sides is near 2 / pi and its distribution depends little on anything but the number of points.
The little is fitted (`benchmarks/fit_null.py`, 100,000 simulated sets), so that a test needs no simulation.

After Liu et al., Statistical significance of clustering, JASA 2008, and Kimes et al., Statistical significance for
hierarchical clustering, Biometrics 2017, whose null is a Gaussian of the node's covariance as well.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

QUANTILES = np.array([0.999, 0.99, 0.95, 0.8, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.0005])
"""Upper-tail probabilities at which the standardised null is known."""

SMALLEST = 10
"""Sets with fewer points are not tested: they look bimodal by chance far more often than the fit says."""

LARGEST = 300
"""Sets with more points are tested as if they had this many, which is careful: the spread falls with the size."""

# fmt: off
MEAN = np.array(
    [
        0.689398, -0.144182, -0.234025, -0.398589, 0.014436,
        0.060330, 0.020579, 0.003461, -0.002325, 0.077626,
        0.271187, -0.117940, 0.253500, -0.216026, 0.001504,
    ]
)
LOG_VARIANCE = np.array(
    [
        -3.393764, -0.894621, -0.187579, -0.355497, -0.076100,
        0.025250, 0.057398, 0.048069, -0.007674, 0.061871,
        0.082538, 0.169509, -0.186238, 0.365849, -0.008326,
    ]
)
KNOTS = np.array(
    [
        -2.811880, -2.182929, -1.583508, -0.845260, -0.034981,
        0.491833, 0.819570, 1.284881, 1.692021, 2.174312,
        2.512919, 2.822681, 3.239764, 3.919836,
    ]
)
# fmt: on


def p_values(features: FloatArray, bimodality: FloatArray) -> FloatArray:
    """Chance that a single Gaussian looks at least as bimodal.

    Parameters
    ----------
    features : (B, 4) float64
        Size, effective dimension (sum l)^2 / sum l^2 and the two leading eigenvalue shares of each set.
    bimodality : (B,) float64
        Share of the variance of the leave-one-out scores that lies between the two sides.

    Returns
    -------
    (B,) float64
        Between 0 and 1; beyond the fitted quantiles the logarithm goes on in a straight line. 1 for sets of fewer than 10.

    Examples
    --------
    >>> two_groups, one_group = 0.95, 2 / np.pi
    >>> features = np.array([[50.0, 12.0, 0.2, 0.1]] * 2)
    >>> p_values(features, np.array([two_groups, one_group])).round(3).tolist()
    [0.0, 0.633]
    """
    design = terms(features)
    standard = (logit(bimodality) - design @ MEAN) / np.exp(0.5 * design @ LOG_VARIANCE)
    log = np.interp(standard, KNOTS, np.log(QUANTILES))
    slope = np.log(QUANTILES[-1] / QUANTILES[-3]) / (KNOTS[-1] - KNOTS[-3])
    beyond = np.maximum(standard - KNOTS[-1], 0)
    none = (standard < KNOTS[0]) | (features[:, 0] < SMALLEST)
    return np.where(none, 1.0, np.exp(log + slope * beyond))


def terms(features: FloatArray) -> FloatArray:
    """(B, 15) quadratic in the logarithms of the features, which are held to the range that was simulated."""
    size, dimension, first, second = features.T
    x = np.log(
        np.stack(
            [
                np.clip(size, SMALLEST, LARGEST) / 50,
                np.clip(dimension, 1, 128),
                np.clip(first, 1e-3, 1),
                np.clip(second, 1e-3, 1),
            ],
            1,
        )
    )
    pairs = combinations_with_replacement(range(x.shape[1]), 2)
    return np.column_stack([np.ones(len(x)), x, *(x[:, a] * x[:, b] for a, b in pairs)])


def logit(share: FloatArray) -> FloatArray:
    """Log odds of a share, held away from 0 and 1."""
    inside = np.clip(share, 0.02, 0.9999)
    return np.asarray(np.log(inside / (1 - inside)))
