"""Exemplars described by something else than their embeddings: what clusters is one thing, what a vector is made of another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..banks import Frame
from ..base import ArrayActivations, Images, MonosemeError, Reporter
from ._layer import Layer, Moments
from ._starts import Starts

FloatArray = npt.NDArray[np.float32]


class Features(Protocol):
    """A description of the exemplars of directions, in whose space they are split."""

    def describe(self, layer: Layer, starts: Starts, rows: npt.NDArray[np.int64], progress: Reporter) -> FloatArray:
        """(D, K, F) float32 for the exemplars (D, K) of D directions. Zero stands for nothing."""

    def recorded(self) -> dict[str, Any]:
        """Plain values that go into the bank."""


@dataclass(frozen=True)
class Described(Layer):
    """The exemplars of all directions by their descriptions, as a splitter may see them in place of the layer.

    A row is an exemplar of a direction. Moments are about zero and not about the mean: a description has a natural zero, and
    what the exemplars of one direction share, which is much, is not what tells them from nothing.
    """

    @classmethod
    def by(
        cls, features: Features, layer: Layer, starts: Starts, rows: npt.NDArray[np.int64], progress: Reporter
    ) -> Self:
        """Describe the exemplars (D, K) of directions."""
        values = features.describe(layer, starts, rows, progress)
        bad = ~np.isfinite(values).all(axis=(1, 2))
        if bad.any():
            number = starts.numbers[int(bad.argmax())]
            raise MonosemeError(
                f"the description of the exemplars of direction {number} is not finite; check the model's weights and precision"
            )
        flat = values.reshape(-1, values.shape[2])
        return cls(ArrayActivations(flat), Frame(), None, Images(), layer.top, layer.seed)

    def exemplars(self, directions: slice, each: int) -> Tensor:
        """(d, K, F) descriptions of the exemplars of some directions, when each has K of them; a copy."""
        rows = self.acts[slice(directions.start * each, directions.stop * each)]
        return torch.from_numpy(np.array(rows).reshape(-1, each, self.acts.shape[1]))

    @cached_property
    def moments(self) -> Moments:
        """Mean zero, and products in place of covariances."""
        about = super().moments
        return Moments(np.zeros_like(about.mean), about.covariance + np.outer(about.mean, about.mean), about.count)
