"""The published method: Ward tree, cut, k-means, outliers dropped (O'Mahony et al., CVPR Workshops 2023, section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np
import torch

from ..base import UsageError
from ._kmeans import kmeans_gram
from ._layer import Layer
from ._split import Exemplars, Split, is_number
from ._trees import Trees, centre_and_gram, ward_trees

AUTO_FACTOR = 1.5
AUTO_QUANTILE = "q0.9"
RANDOM_SETS = 64
"""Random sets of images whose median root height the automatic distance threshold stands on."""


@dataclass(frozen=True)
class Published:
    """Steps 2 and 3 of the published method.

    distance_threshold : float or "auto"
        Height of the Ward tree, in units of the embedding, at and above which merges are undone. "auto" is 1.5 times the
        median root height of as many random images; 15.0 is the paper's for Inception V3 Mixed_7b.
    outlier_threshold : float or "auto" or "q0.9"
        An exemplar whose squared distance to its k-means centre is this or more is dropped. A quantile is taken over each
        direction's own squared distances, and what lies above it is dropped. "auto" is "q0.9"; 15.0 is the paper's.
    min_size : int
        A cluster left with fewer exemplars is dropped.
    n_init, max_iter, seed
        Of k-means, as in scikit-learn.
    """

    distance_threshold: float | Literal["auto"] = "auto"
    outlier_threshold: float | str = "auto"
    min_size: int = 5
    n_init: int = 5
    max_iter: int = 1000
    seed: int = 0

    name = "published"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        threshold = self.distance_threshold
        if threshold != "auto" and not (is_number(threshold) and float(threshold) > 0):
            raise UsageError(f"the distance threshold must be a number above 0 or 'auto', not {threshold!r}")
        outlier_quantile(self.outlier_threshold)
        for name, value in (
            ("minimum size of a concept", self.min_size),
            ("n_init", self.n_init),
            ("max_iter", self.max_iter),
        ):
            if not (is_number(value) and int(value) == value and value >= 1):
                raise UsageError(f"the {name} must be a whole number of at least 1, not {value!r}")
        if not (is_number(self.seed) and 0 <= self.seed < 2**32):
            raise UsageError(f"the seed must be a whole number from 0 to 4294967295, not {self.seed!r}")

    def fitted(self, layer: Layer) -> Published:
        """The same with "auto" replaced by the figures for this layer, from random sets of its embeddings."""
        if self.distance_threshold != "auto":
            return self
        roots = []
        for points in islice(layer.random_sets(), RANDOM_SETS):
            if len(points) < 2:
                raise UsageError(
                    "no distance threshold can be derived from single exemplars; ask for more, or give a threshold"
                )
            roots.append(ward_trees(centre_and_gram(torch.from_numpy(points[None]))[1]).heights[0, -1])
        height = float(np.median(roots))
        if height == 0:
            raise UsageError(
                "no distance threshold can be derived, for random images do not differ at this layer; "
                "give --distance-threshold, or choose a layer that responds"
            )
        return replace(self, distance_threshold=AUTO_FACTOR * height)

    def split(self, exemplars: Exemplars) -> Split:
        """Cut the tree of each direction's exemplars, refine by k-means, drop outliers and small clusters."""
        assert self.distance_threshold != "auto", "fitted() comes first"
        trees = exemplars.trees if exemplars.trees is not None else ward_trees(exemplars.gram)
        labels, squared = self._kmeans(exemplars, trees, float(self.distance_threshold))
        kept = self._drop_outliers(labels, squared)
        return Split(trees, labels, squared, drop_small(kept, self.min_size))

    def _kmeans(self, exemplars: Exemplars, trees: Trees, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros(exemplars.gram.shape[:2], dtype=np.int32)
        squared = np.zeros(exemplars.gram.shape[:2])
        clusters = trees.clusters(threshold)
        for k in np.unique(clusters):
            chosen = np.flatnonzero(clusters == k)
            solved = kmeans_gram(
                exemplars.gram[torch.from_numpy(chosen)],
                int(k),
                features=exemplars.features,
                n_init=self.n_init,
                max_iter=self.max_iter,
                seed=self.seed,
            )
            labels[chosen], squared[chosen] = solved.labels.numpy(), solved.squared.numpy()
        return labels, squared

    def _drop_outliers(self, labels: np.ndarray, squared: np.ndarray) -> np.ndarray:
        quantile = outlier_quantile(self.outlier_threshold)
        if quantile is None:
            outlier = squared >= float(self.outlier_threshold)
        else:
            outlier = squared > np.quantile(squared, quantile, axis=1, keepdims=True)
        return np.where(outlier, -1, labels)


def outlier_quantile(threshold: float | str) -> float | None:
    """The quantile that "auto" and "q0.9" name, or None for a number.

    >>> outlier_quantile("auto"), outlier_quantile("q0.75"), outlier_quantile(15.0)
    (0.9, 0.75, None)
    """
    if threshold == "auto":
        threshold = AUTO_QUANTILE
    if isinstance(threshold, str):
        try:
            quantile = float(threshold.removeprefix("q"))
        except ValueError:
            quantile = -1.0
        if not threshold.startswith("q") or not 0 < quantile <= 1:
            raise UsageError(
                f"the outlier threshold must be a number, 'auto' or a quantile in (0, 1] such as 'q0.9', not {threshold!r}"
            )
        return quantile
    if not ((is_number(threshold) or threshold == math.inf) and threshold > 0):
        raise UsageError(f"the outlier threshold must be above 0, not {threshold!r}")
    return None


def drop_small(kept: np.ndarray, min_size: int) -> np.ndarray:
    """(D, K) labels with -1 for dropped: clusters with fewer than `min_size` members are dropped as well."""
    sizes = (kept[:, :, None] == np.arange(max(int(kept.max(initial=-1)) + 1, 1))).sum(1)
    small = np.take_along_axis(sizes, np.maximum(kept, 0), axis=1) < min_size
    return np.where(small, -1, kept)
