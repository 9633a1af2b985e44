"""What a splitter gets and gives: the exemplars of some directions, and their partition into clusters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ._layer import Layer
from ._trees import Trees


@dataclass(frozen=True)
class Exemplars:
    """The exemplars of D directions as a splitter sees them.

    points : (D, K, C) float32 embeddings in the frame, best exemplar first, less their mean
    mean : (D, C) float32 that mean
    gram : (D, K, K) float64 inner products of the points
    numbers : (D,) number of each direction
    trees : Ward trees made earlier, if any
    coordinates : (D, K, d) float32 on the layer's principal components, where they are known already
    wanted : whether the splitter should give trees and squared distances; a resampled set needs none
    """

    points: Tensor
    mean: Tensor
    gram: Tensor
    numbers: npt.NDArray[np.int64]
    trees: Trees | None = None
    coordinates: Tensor | None = None
    wanted: bool = True

    @property
    def features(self) -> int:
        """C."""
        return int(self.points.shape[2])

    def subset(self, places: Tensor) -> Exemplars:
        """Some exemplars of each direction, by their places (D, k), as a set of its own."""
        directions = torch.arange(len(places))[:, None]
        gram = self.gram[directions[:, :, None], places[:, :, None], places[:, None, :]]
        row = gram.mean(2, keepdim=True)
        gram = gram - row - row.transpose(1, 2) + row.mean(1, keepdim=True)
        if self.coordinates is not None:  # enough for those who made them; the points are large
            coordinates = self.coordinates[directions, places]
            return Exemplars(self.points, self.mean, gram, self.numbers, None, coordinates, wanted=False)
        points = self.points[directions, places]
        shift = points.mean(1)
        return Exemplars(points - shift[:, None], self.mean + shift, gram, self.numbers, wanted=False)


@dataclass(frozen=True)
class Tests:
    """How sure the divisions of D directions are.

    p_value : (D,) float64 chance that one concept looks so much like several; 1 where there is nothing to divide
    cosine : (D,) float64 cosine of the two sides of the first division, NaN where none was possible
    made_by : (D, K) float64 adjusted p-value of the division that made each exemplar's cluster, NaN for the only one
    """

    p_value: npt.NDArray[np.float64]
    cosine: npt.NDArray[np.float64]
    made_by: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """The partition of the exemplars of D directions.

    trees : their Ward trees, None where they were not wanted
    clusters : (D, K) int32 cluster of each exemplar before any is dropped
    squared : (D, K) float64 squared distance to the centre of that cluster
    kept : (D, K) int32 the same numbers, -1 where the exemplar was dropped
    tests : how sure it is, where the method tests
    """

    trees: Trees | None
    clusters: npt.NDArray[np.int32]
    squared: npt.NDArray[np.float64]
    kept: npt.NDArray[np.int32]
    tests: Tests | None = None


class Splitter(Protocol):
    """A way of splitting exemplars into concepts. A frozen dataclass: its fields go into the bank as they are.

    A field with the metadata ``{"recorded": False}`` is not kept.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """A word for the bank."""

    def fitted(self, layer: Layer) -> Self:
        """The same splitter with what it needs to know of the layer: ``layer.random_sets()``, ``layer.moments``."""

    def split(self, exemplars: Exemplars) -> Split:
        """Partition the exemplars of each direction. Each direction is split by itself, whatever its neighbours."""


def recorded(splitter: Splitter) -> dict[str, Any]:
    """The fields of a splitter that go into the bank."""
    return {
        field.name: getattr(splitter, field.name) for field in fields(splitter) if field.metadata.get("recorded", True)
    }


def is_number(value: object) -> bool:
    """Whether a parameter is a finite number; a truth value is none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))
