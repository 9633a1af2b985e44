"""One direction split again and again, as it is while somebody moves a threshold: no other direction is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from ._assemble import Part, separations, unit_vectors
from ._split import Exemplars, Splitter
from ._trees import Trees, centre_and_gram, ward_trees
from ._whitening import Whitening


@dataclass(frozen=True)
class OneSplit:
    """The partition of the exemplars of one direction, and the vectors of its m concepts.

    clusters : (K,) int64 cluster of each exemplar before any is dropped
    concept : (K,) int64 concept of each, from 0 in order of their first exemplar, -1 where dropped
    vectors : (m, C) float32 unit vectors
    separation : (m,) float64 Ward distance to the nearest other concept, NaN for an only one
    p_value : (m,) float64 of the divisions that made each, NaN where there are none or the method does not test
    division : p-value and cosine of the first division, None where the method does not test
    """

    clusters: npt.NDArray[np.int64]
    concept: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    separation: npt.NDArray[np.float64]
    p_value: npt.NDArray[np.float64]
    division: tuple[float, float] | None


@dataclass(frozen=True)
class OneDirection:
    """The exemplars of one direction with all that does not depend on thresholds: inner products and Ward tree.

    Examples
    --------
    >>> from monoseme.splitting import Published
    >>> points = np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)
    >>> one = OneDirection.of(points, 0)
    >>> one.split(Published(distance_threshold=1.0, outlier_threshold=1.0)).concept.tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> one.split(Published(distance_threshold=9.0, outlier_threshold=1.0)).concept.max()
    np.int64(0)
    """

    exemplars: Exemplars
    trees: Trees

    @classmethod
    def of(
        cls,
        embeddings: npt.NDArray[np.float32],
        number: int,
        trees: Trees | None = None,
        whitening: Whitening | None = None,
    ) -> Self:
        """From the embeddings (K, C) of the exemplars in the bank's frame, strongest first.

        The tree is that of the embeddings, or on the layer's whitened components where these are given, unless it is known.
        """
        points = torch.from_numpy(np.array(embeddings[None], dtype=np.float32))
        mean, gram = centre_and_gram(points)
        coordinates = None if whitening is None else whitening.coordinates(points, mean)
        if trees is None:
            compared = gram if whitening is None or coordinates is None else whitening.gram(coordinates).double()
            trees = ward_trees(compared)
        return cls(Exemplars(points, mean, gram, np.array([number]), trees, coordinates), trees)

    @property
    def merges(self) -> npt.NDArray[np.int32]:
        """(K - 1, 2) int32 nodes that each step of the tree joins."""
        merges: npt.NDArray[np.int32] = self.trees.merges[0]
        return merges

    @property
    def heights(self) -> npt.NDArray[np.float64]:
        """(K - 1,) float64 at which distance."""
        heights: npt.NDArray[np.float64] = self.trees.heights[0]
        return heights

    def split(self, splitter: Splitter, centre: npt.NDArray[np.float64] | None = None) -> OneSplit:
        """Partition the exemplars.

        Parameters
        ----------
        splitter : Splitter
            Fitted to the layer, where it needs that.
        centre : (C,) float64, optional
            The layer's mean, for centred vectors.
        """
        split = splitter.split(self.exemplars)
        part = Part.of(0, self.exemplars, split)
        tests = split.tests
        return OneSplit(
            clusters=split.clusters[0].astype(np.int64),
            concept=part.concept[0],
            vectors=unit_vectors(part.means if centre is None else part.means - centre),
            separation=separations(part.direction, part.size, part.means),
            p_value=part.p_value,
            division=None if tests is None else (float(tests.p_value[0]), float(tests.cosine[0])),
        )
