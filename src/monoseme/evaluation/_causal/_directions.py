"""Random directions to compare with: of any variance, or of as much variance as a given direction captures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_STEPS = 50
_STEEPEST = 64.0


@dataclass(frozen=True)
class Spectrum:
    """Mean and covariance of embeddings in the bank's frame.

    Attributes
    ----------
    mean : (C,)
    variances : (C,), of the principal components, ascending
    components : (C, C), a row a component
    """

    mean: Matrix
    variances: Matrix
    components: Matrix

    @classmethod
    def of(cls, embeddings: npt.NDArray[np.float32]) -> Self:
        """From embeddings (n, C)."""
        mean = embeddings.mean(0, dtype=np.float64)
        centred = embeddings - mean.astype(np.float32)
        covariance = (centred.T @ centred).astype(np.float64) / len(embeddings)
        variances, columns = np.linalg.eigh(covariance)
        return cls(mean, np.maximum(variances, 0), np.ascontiguousarray(columns.T))

    def captured(self, vectors: Matrix) -> Matrix:
        """(R,) variance of the embeddings along unit vectors (R, C)."""
        return np.asarray(np.square(vectors @ self.components.T) @ self.variances)

    def random(self, count: int, random: np.random.Generator) -> Matrix:
        """(count, C) unit vectors drawn evenly from the sphere."""
        drawn = random.standard_normal((count, len(self.mean)))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

    def random_of(self, variance: float, count: int, random: np.random.Generator) -> Matrix:
        """(count, C) random unit vectors along which the embeddings have that variance.

        A Gaussian draw g is tilted towards the components of much variance, or of little: g_i becomes
        g_i lambda_i^(t / 2). The captured variance rises with t from the least to the largest of any direction, so that one t
        gives what is asked for, found by bisection.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> spectrum = Spectrum.of((rng.normal(size=(500, 6)) * [1, 2, 3, 4, 5, 6]).astype(np.float32))
        >>> bool(np.allclose(spectrum.captured(spectrum.random_of(9.0, 3, rng)), 9.0))
        True
        """
        drawn = random.standard_normal((count, len(self.mean)))
        largest = max(float(self.variances[-1]), np.finfo(np.float64).tiny)
        logs = np.log(np.maximum(self.variances, 1e-12 * largest))
        low, high = np.full(count, -_STEEPEST), np.full(count, _STEEPEST)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            less = np.square(_tilted(drawn, logs, middle)) @ self.variances < variance
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return np.asarray(_tilted(drawn, logs, (low + high) / 2) @ self.components)


def _tilted(drawn: Matrix, logs: Matrix, tilt: Matrix) -> Matrix:
    """(count, C) unit vectors in terms of the components."""
    exponents = tilt[:, None] * logs / 2
    tilted = drawn * np.exp(exponents - exponents.max(1, keepdims=True))
    return np.asarray(tilted / np.linalg.norm(tilted, axis=1, keepdims=True))
