"""Detectors: the directions along which a concept's images are told from all others most reliably."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from ._layer import Moments


def detectors(moments: Moments, means: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Shrunken linear discriminants: the covariance's inverse times mean embedding minus the layer's mean.

    Parameters
    ----------
    moments : Moments
        Of the layer.
    means : (M, C) float64
        Mean embedding of each concept's exemplars, in the frame.

    Returns
    -------
    (M, C) float32
        Unit rows; zero where a concept's mean is the layer's.

    Notes
    -----
    A pattern (`bank.vectors`) says what a concept adds to an activation; a detector also cancels what varies anyway, and
    so answers where the concept is: Haufe et al., NeuroImage 2014, equation 6. The covariance is shrunken to a multiple of
    the identity by the oracle approximating rule: Chen et al., IEEE Transactions on Signal Processing 2010, equation 23.
    """
    width = len(moments.mean)
    covariance, shrinkage = shrunken(moments)
    del shrinkage
    scale = np.trace(covariance) / width
    if scale <= 0:
        return np.zeros(means.shape, dtype=np.float32)
    factor = cho_factor(covariance + 1e-9 * scale * np.eye(width), lower=True)
    found = cho_solve(factor, (means - moments.mean).T).T
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def shrunken(moments: Moments) -> tuple[npt.NDArray[np.float64], float]:
    """The covariance (C, C) moved towards a multiple of the identity, and how far: 0 not at all, 1 all the way."""
    covariance, count = moments.covariance, moments.count
    width = len(covariance)
    trace, square = float(np.trace(covariance)), float((covariance**2).sum())
    above = (1 - 2 / width) * square + trace**2
    below = (count + 1 - 2 / width) * (square - trace**2 / width)
    amount = 1.0 if below <= 0 else min(1.0, above / below)
    return (1 - amount) * covariance + amount * trace / width * np.eye(width), amount
