"""What a splitter gets and gives: the exemplars of some directions, and their partition into clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ._trees import Trees


@dataclass(frozen=True)
class Exemplars:
    """The exemplars of D directions as a splitter sees them.

    points : (D, K, C) float32 embeddings in the frame, best exemplar first, less their mean
    mean : (D, C) float32 that mean
    gram : (D, K, K) float64 inner products of the points
    numbers : (D,) number of each direction
    trees : Ward trees made earlier, if any
    """

    points: Tensor
    mean: Tensor
    gram: Tensor
    numbers: npt.NDArray[np.int64]
    trees: Trees | None = None

    @property
    def features(self) -> int:
        """C."""
        return int(self.points.shape[2])


@dataclass(frozen=True)
class Split:
    """The partition of the exemplars of D directions.

    trees : their Ward trees
    clusters : (D, K) int32 cluster of each exemplar before any is dropped
    squared : (D, K) float64 squared distance to the centre of that cluster
    kept : (D, K) int32 the same numbers, -1 where the exemplar was dropped
    """

    trees: Trees
    clusters: npt.NDArray[np.int32]
    squared: npt.NDArray[np.float64]
    kept: npt.NDArray[np.int32]


class Splitter(Protocol):
    """A way of splitting exemplars into concepts. A frozen dataclass: its fields go into the bank as they are."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """A word for the bank."""

    def fitted(self, random_sets: Iterator[npt.NDArray[np.float32]]) -> Self:
        """The same splitter with what it needs to know of the layer, from random sets of its embeddings (K, C).

        The sets come without end, drawn as they are asked for.
        """

    def split(self, exemplars: Exemplars) -> Split:
        """Partition the exemplars of each direction. Each direction is split by itself, whatever its neighbours."""
