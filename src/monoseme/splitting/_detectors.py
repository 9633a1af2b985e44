"""Detectors: the directions along which a concept's images are told from all others most reliably."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from ._layer import Moments

SHRINKAGE = 0.7
"""How far the covariance is moved towards a multiple of the identity at least: a concept's mean comes from few exemplars, so
that directions of little variance are mostly noise in it. Chosen on the development classes of the planted benchmark, where
0.5 to 0.9 find held-out images alike."""


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
    so answers where the concept is: Haufe et al., NeuroImage 2014, equation 6. The covariance is shrunken by 0.7, or by what
    the oracle approximating rule asks for if that is more (few images): Chen et al., IEEE Transactions on Signal Processing
    2010, equation 23.
    """
    width = len(moments.mean)
    scale = np.trace(moments.covariance) / width
    if scale <= 0:
        return np.zeros(means.shape, dtype=np.float32)
    amount = max(SHRINKAGE, oracle_shrinkage(moments))
    covariance = (1 - amount) * moments.covariance + amount * scale * np.eye(width)
    found = cho_solve(cho_factor(covariance, lower=True), (means - moments.mean).T).T
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def oracle_shrinkage(moments: Moments) -> float:
    """How far to move a sample covariance towards a multiple of the identity, from its size alone; 1 all the way."""
    width, count = len(moments.covariance), moments.count
    trace, square = float(np.trace(moments.covariance)), float((moments.covariance**2).sum())
    above = (1 - 2 / width) * square + trace**2
    below = (count + 1 - 2 / width) * (square - trace**2 / width)
    return 1.0 if below <= 0 else min(1.0, above / below)
