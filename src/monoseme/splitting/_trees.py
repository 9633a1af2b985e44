"""Ward trees of many small sets of points, from their Gram matrices, and their cuts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor


class Trees(NamedTuple):
    """Ward trees of D sets of K points.

    merges : (D, K - 1, 2) int32, the two nodes that each step joins; points are 0..K-1, step i makes node K + i
    heights : (D, K - 1) float64, Ward distance of each step, ascending, in the units of the embedding
    """

    merges: npt.NDArray[np.int32]
    heights: npt.NDArray[np.float64]

    def clusters(self, distance_threshold: float) -> npt.NDArray[np.int64]:
        """(D,) number of clusters when merges of that height and above are undone."""
        return np.asarray((self.heights >= distance_threshold).sum(1) + 1)

    def linkage(self, index: int) -> npt.NDArray[np.float64]:
        """One tree as SciPy's (K - 1, 4) linkage matrix."""
        merges = self.merges[index]
        points = len(merges) + 1
        sizes = np.ones(2 * points - 1)
        for step, (left, right) in enumerate(merges):
            sizes[points + step] = sizes[left] + sizes[right]
        return np.column_stack([merges, self.heights[index], sizes[points:]])

    def cut(self, index: int, clusters: int) -> npt.NDArray[np.int64]:
        """(K,) cluster of each point of one tree when cut into that many clusters, from 0."""
        return np.asarray(fcluster(self.linkage(index), clusters, criterion="maxclust"), dtype=np.int64) - 1


def centre_and_gram(points: Tensor) -> tuple[Tensor, Tensor]:
    """Move each set of points (D, K, C) float32 to its mean, in place; return the means (D, C) and the inner products.

    The Gram matrices (D, K, K) are float64 from float32 products: distances do not depend on the origin, and about the mean
    they do not cancel.
    """
    mean = points.mean(1)
    points.sub_(mean[:, None])
    return mean, (points @ points.transpose(1, 2)).double()


def ward_trees(gram: Tensor) -> Trees:
    """Ward trees (Euclidean) of D sets given by their Gram matrices (D, K, K).

    Heights are those of ``sklearn.cluster.AgglomerativeClustering(linkage="ward")`` and of SciPy: the distance between
    two clusters A, B is sqrt(2 |A| |B| / (|A| + |B|)) times the distance of their means (Ward, JASA 1963).
    """
    count, points, _ = gram.shape
    merges = np.zeros((count, points - 1, 2), dtype=np.int32)
    heights = np.zeros((count, points - 1))
    if points == 1:
        return Trees(merges, heights)
    diagonal = gram.diagonal(dim1=1, dim2=2)
    squared = (diagonal[:, :, None] + diagonal[:, None, :] - 2 * gram).clamp_min_(0)
    upper = torch.triu_indices(points, points, 1)
    distances = squared[:, upper[0], upper[1]].sqrt().numpy()
    for index, condensed in enumerate(distances):
        tree = linkage(condensed, method="ward")
        merges[index], heights[index] = tree[:, :2], tree[:, 2]
    return Trees(merges, heights)
