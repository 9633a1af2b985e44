"""How sure each split of a Ward tree is: the calibrated test of the exemplars below each of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from ..banks import ConceptBank
from ..base import Activations
from ._bisect import bisect
from ._calibrated import Calibrated
from ._layer import Layer
from ._null import p_values
from ._trees import centre_and_gram


@dataclass(frozen=True)
class NodeTests:
    """Tests the nodes of Ward trees of one layer's exemplars. Made by `of`, which reads the layer once.

    method : the calibrated method, fitted to the layer; its level and widest cosine say when a node holds two concepts
    """

    method: Calibrated

    @classmethod
    def of(cls, bank: ConceptBank, acts: Activations) -> Self:
        """With the parameters of a calibrated bank, with the default ones for a bank of another method."""
        known = bank.info["parameters"]
        names = ("granularity", "alpha", "max_cosine", "dimensions", "min_size")
        mine = {name: known[name] for name in names if name in known} if bank.info["method"] == "calibrated" else {}
        return cls(Calibrated(**mine).fitted(Layer.behind(bank, acts)))

    def __call__(
        self, embeddings: npt.NDArray[np.float32], merges: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Test the exemplars below each node.

        Parameters
        ----------
        embeddings : (K, C) float32
            Of the exemplars, in the bank's frame.
        merges : (K - 1, 2) int32
            The tree, as the bank keeps it.

        Returns
        -------
        p_value : (K - 1,) float64
            Chance that a single Gaussian would look as bimodal as the exemplars below a node, adjusted for the tree as the
            method does: divided by the node's share (n - 1) / (K - 1), and at least that of the nodes above (Kimes et al.,
            Biometrics 2017). NaN for nodes with too few exemplars.
        cosine : (K - 1,) float64
            Of the mean directions of the two sides in the whitened space, NaN likewise.
        """
        whitening = self.method.whitening
        assert whitening is not None
        below = leaves_below(merges)
        size = below.sum(1)
        p_value, cosine = np.full(len(merges), np.nan), np.full(len(merges), np.nan)
        tested = np.flatnonzero(size >= self.method.testable)
        if len(tested) == 0:
            return p_value, cosine
        points = torch.from_numpy(embeddings.copy()[None])
        mean, _ = centre_and_gram(points)
        coordinates = whitening.coordinates(points, mean)
        gram = whitening.gram(coordinates)
        halves = bisect(
            gram.expand(len(tested), -1, -1),
            coordinates.expand(len(tested), -1, -1),
            whitening.relative,
            torch.from_numpy(below[tested]),
            self.method.min_size,
        )
        raw = p_values(halves.features.double().numpy(), halves.bimodality.double().numpy())
        share = (size[tested] - 1) / max(len(merges), 1)
        possible = halves.possible.numpy()
        p_value[tested] = np.where(possible, np.minimum(raw / share, 1), 1.0)
        cosine[tested] = np.where(possible, halves.cosine.double().numpy(), np.nan)
        for node in range(len(merges) - 1, -1, -1):  # from the root down
            for child in merges[node] - len(embeddings):
                if child >= 0:
                    p_value[child] = np.maximum(p_value[child], p_value[node])
        return p_value, cosine

    def divides(self, p_value: npt.NDArray[np.float64], cosine: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Where the test finds more than one concept, False where nothing was tested."""
        return (p_value <= self.method.level) & (cosine < self.method.widest_cosine)


def leaves_below(merges: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """(K - 1, K) which of the K points each node of a tree stands on.

    >>> leaves_below(np.array([[0, 2], [1, 3]])).astype(int).tolist()
    [[1, 0, 1], [1, 1, 1]]
    """
    points = len(merges) + 1
    below = np.zeros((2 * points - 1, points), dtype=np.bool_)
    below[:points] = np.eye(points, dtype=np.bool_)
    for step, (left, right) in enumerate(merges):
        below[points + step] = below[left] | below[right]
    return below[points:]
