"""The leading principal components of a layer: the space in which exemplars are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from ._layer import Moments


@dataclass(frozen=True)
class Whitening:
    """Principal components of a layer.

    mean : (C,) float64
    components : (C, d) float64, orthonormal columns, widest first
    variances : (d,) float64 of the data along each
    """

    mean: Tensor
    components: Tensor
    variances: Tensor

    @classmethod
    def of(cls, moments: Moments, dimensions: int) -> Whitening:
        """At most `dimensions` components: those that vary, and one for each ten images at most."""
        width = len(moments.mean)
        wanted = max(1, min(dimensions, width, moments.count // 10))
        values, vectors = eigh(moments.covariance, subset_by_index=[width - wanted, width - 1])
        keep = values > 1e-7 * max(values[-1], np.finfo(np.float64).tiny)
        values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
        return cls(
            torch.from_numpy(np.array(moments.mean)),
            torch.from_numpy(np.array(vectors, order="C")),
            torch.from_numpy(np.array(values)),
        )

    def coordinates(self, points: Tensor, mean: Tensor) -> Tensor:
        """(D, K, C) float32 points about their own means (D, C) -> (D, K, d) float32 about the layer's mean.

        In units of the widest component, so that the size of a layer's numbers does not matter.
        """
        own = (mean.double() - self.mean) @ self.components
        along = (points @ self.components.float()).double() + own[:, None]
        return (along / self.variances[:1].sqrt()).float()

    @property
    def relative(self) -> Tensor:
        """(d,) float32 variance along each component in the units of `coordinates`."""
        return (self.variances / self.variances[:1]).float()

    def gram(self, coordinates: Tensor) -> Tensor:
        """(D, K, K) float32 cosines of the whitened points; 0 for a point at the layer's mean."""
        white = coordinates / self.relative.sqrt()
        length = white.norm(dim=2, keepdim=True)
        unit = torch.where(length > 1e-4, white / length.clamp_min(1e-4), 0.0)
        return unit @ unit.transpose(1, 2)
