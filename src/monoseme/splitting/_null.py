"""How bimodal a single Gaussian looks when it is divided in two as exemplars are: the null of the test for two concepts.

Exemplars are scaled to unit length, and so are the points of the Gaussians. Their leave-one-out scores lie nearly as a
Gaussian on a line, flatter in few dimensions, so that the share of variance between the two sides is near 2 / pi or somewhat
above (0.67 to 0.74 for 50 points). Its distribution depends on what can be seen of a set: its size, its effective dimension,
its two leading eigenvalue shares and the mean cosine of different points, which says how far from the layer's mean the set
lies; on nothing that is in the units of the layer. That is fitted (`benchmarks/fit_null.py`, 100,000 simulated sets), so that
a test needs no simulation.

The fit is for dimensions of 3 and more. It is least exact for sets of 10 points (0.07 of the p-values of single Gaussians are
up to 0.05) and for sets of 100 and more that lie far from the layer's mean, with one direction of much larger variance than
the others (0.15 at 100 points and 0.43 at 200, for a variance of 20 to 1 and a mean at twice the spread).

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
        1.932404, -0.012026, -0.402676, 0.721802, -0.475309,
        0.858310, 0.015763, 0.011326, 0.004877, 0.012790,
        0.048955, 0.115075, 0.157980, -0.043899, -0.298394,
        0.405360, -0.298651, 0.086875, -0.019457, -0.206168,
        0.177031,
    ]
)
LOG_VARIANCE = np.array(
    [
        -3.232124, -0.898469, -2.366798, -1.615816, -1.087341,
        -0.115142, 0.087435, -0.225454, -0.179998, -0.101225,
        -0.097949, 0.474847, 0.218170, -0.029298, -0.440119,
        0.021901, -0.333422, -0.125746, -0.082381, -0.364835,
        0.036617,
    ]
)
KNOTS = np.array(
    [
        -2.585356, -2.026129, -1.500597, -0.835431, -0.067629,
        0.459766, 0.795485, 1.279696, 1.702292, 2.239185,
        2.635686, 3.063106, 3.729384, 5.510810,
    ]
)
# fmt: on


def p_values(features: FloatArray, bimodality: FloatArray) -> FloatArray:
    """Chance that a single Gaussian looks at least as bimodal.

    Parameters
    ----------
    features : (B, 5) float64
        Size, effective dimension (sum l)^2 / sum l^2, the two leading eigenvalue shares and the mean cosine of different
        points of each set.
    bimodality : (B,) float64
        Share of the variance of the leave-one-out scores that lies between the two sides.

    Returns
    -------
    (B,) float64
        Between 0 and 1; beyond the fitted quantiles the logarithm goes on in a straight line. 1 for sets of fewer than 10.

    Examples
    --------
    >>> two_groups, one_group = 0.95, 2 / np.pi
    >>> features = np.array([[50.0, 12.0, 0.2, 0.1, 0.1]] * 2)
    >>> p_values(features, np.array([two_groups, one_group])).round(3).tolist()
    [0.0, 0.995]
    """
    design = terms(features)
    standard = (logit(bimodality) - design @ MEAN) / np.exp(0.5 * design @ LOG_VARIANCE)
    log = np.interp(standard, KNOTS, np.log(QUANTILES))
    slope = np.log(QUANTILES[-1] / QUANTILES[-3]) / (KNOTS[-1] - KNOTS[-3])
    beyond = np.maximum(standard - KNOTS[-1], 0)
    none = (standard < KNOTS[0]) | (features[:, 0] < SMALLEST)
    return np.where(none, 1.0, np.exp(log + slope * beyond))


def terms(features: FloatArray) -> FloatArray:
    """(B, 21) quadratic in the logarithms of the features, which are held to the range that was simulated."""
    size, dimension, first, second, alike = features.T
    x = np.log(
        np.stack(
            [
                np.clip(size, SMALLEST, LARGEST) / 50,
                np.clip(dimension, 1, 128),
                np.clip(first, 1e-3, 1),
                np.clip(second, 1e-3, 1),
                1 - np.clip(alike, 0, 0.95),
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
