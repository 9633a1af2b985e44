"""The calibrated method: divide in two as long as chance and variants of one thing are no explanation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..base import UsageError
from ._bisect import bisect, leading
from ._kmeans import number_by_appearance
from ._layer import Layer
from ._null import SMALLEST, p_values
from ._split import Exemplars, Split, Tests, is_number
from ._trees import ward_trees
from ._whitening import Whitening

ALPHA = 0.05
"""Level of the test at granularity 0.5."""


@dataclass(frozen=True)
class Calibrated:
    """Exemplars are divided in two, and each side again, while two conditions hold.

    1. More than chance: a single Gaussian, its points scaled to unit length as the exemplars are, would look as bimodal with
       a probability of at most alpha, over all the divisions of one direction together. The Gaussian's size, effective
       dimension, leading eigenvalue shares and mean cosine of different points are those of the exemplars.
    2. More than a variant: the two sides point in directions of the whitened space whose cosine, freed of the noise of
       finite samples, is below `max_cosine`.

    Nothing is in units of the layer. Of each concept those exemplars are dropped that are nearer to the layer's mean than to
    the concept, then concepts with fewer than `min_size`, and those too small to be tested that no one direction dominates.

    granularity : float
        In (0, 1), from one concept to many: a finer level only divides what a coarser one had. alpha is 0.05 and max_cosine
        0.5 at the default of 0.5; in general alpha = 0.05 ** (log granularity / log 0.5) and max_cosine = granularity.
    alpha, max_cosine : float, optional
        In place of those of the granularity.
    dimensions : int
        Principal components of the layer that exemplars are compared in, at most.
    min_size : int
        Fewest exemplars of a concept.

    Notes
    -----
    Testing each division against a Gaussian and the share of alpha by node size follow Kimes et al., Biometrics 2017; the
    statistic (bimodality of leave-one-out scores), its fitted null and the second condition are ours.
    """

    granularity: float = 0.5
    alpha: float | None = None
    max_cosine: float | None = None
    dimensions: int = 128
    min_size: int = 5
    whitening: Whitening | None = field(default=None, repr=False, compare=False, metadata={"recorded": False})

    name = "calibrated"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, value in (("granularity", self.granularity), ("alpha", self.alpha)):
            if value is not None and not (is_number(value) and 0 < value < 1):
                raise UsageError(f"the {name} must be a number between 0 and 1, not {value!r}")
        if self.max_cosine is not None and not (is_number(self.max_cosine) and -1 <= self.max_cosine <= 1):
            raise UsageError(f"max_cosine must be a number from -1 to 1, not {self.max_cosine!r}")
        for name, value, least in (("minimum size of a concept", self.min_size, 2), ("dimensions", self.dimensions, 1)):
            if not (is_number(value) and int(value) == value and value >= least):
                raise UsageError(f"the {name} must be a whole number of at least {least}, not {value!r}")

    @property
    def level(self) -> float:
        """The level of the test."""
        if self.alpha is not None:
            return self.alpha
        return float(ALPHA ** (math.log(self.granularity) / math.log(0.5)))

    @property
    def widest_cosine(self) -> float:
        """The cosine from which two sides are variants of one thing."""
        return self.granularity if self.max_cosine is None else self.max_cosine

    @property
    def testable(self) -> int:
        """Fewest exemplars that may be divided."""
        return max(2 * self.min_size, SMALLEST)

    def fitted(self, layer: Layer) -> Calibrated:
        """The same with the layer's principal components."""
        return replace(self, whitening=Whitening.of(layer.moments, self.dimensions))

    def split(self, exemplars: Exemplars) -> Split:
        """Divide the exemplars of each direction."""
        assert self.whitening is not None, "fitted() comes first"
        coordinates = exemplars.coordinates
        if coordinates is None:
            coordinates = self.whitening.coordinates(exemplars.points, exemplars.mean)
        gram = self.whitening.gram(coordinates)
        clusters, tests = self._divide(gram, coordinates)
        clusters = number_by_appearance(clusters, int(clusters.max()) + 1)
        kept = self._keep(gram, clusters)
        trees = exemplars.trees
        if trees is None and exemplars.wanted:
            trees = ward_trees(gram.double())
        squared = squared_distances(exemplars.gram, clusters) if exemplars.wanted else np.zeros(clusters.shape)
        return Split(trees, clusters.numpy().astype(np.int32), squared, kept, tests)

    def _divide(self, gram: Tensor, coordinates: Tensor) -> tuple[Tensor, Tests]:
        """(D, K) leaf of each exemplar, and how sure the divisions are."""
        assert self.whitening is not None
        directions, points, _ = gram.shape
        leaf = torch.zeros(directions, points, dtype=torch.int64)
        made_by = torch.full((directions, points), torch.nan, dtype=torch.float64)
        root_p, root_cosine = np.ones(directions), np.full(directions, np.nan)
        used = torch.ones(directions, dtype=torch.int64)
        owner = torch.arange(directions)
        mask = torch.ones(directions, points, dtype=torch.bool)
        path = torch.zeros(directions, dtype=torch.float64)
        for depth in range(points):
            large = mask.sum(1) >= self.testable
            owner, mask, path = owner[large], mask[large], path[large]
            if len(owner) == 0:
                break

            def worth(features: Tensor, bimodality: Tensor, cosine: Tensor, above: Tensor = path) -> Tensor:
                return (_adjusted(features, bimodality, points, above) <= self.level) & (cosine < self.widest_cosine)

            halves = bisect(
                gram[owner], coordinates[owner], self.whitening.relative, mask, self.min_size, promising=worth
            )
            adjusted = _adjusted(halves.features, halves.bimodality, points, path)
            different = halves.possible & (halves.cosine < self.widest_cosine)
            if depth == 0:
                root_p[owner.numpy()] = torch.where(different, adjusted, 1.0).numpy()
                root_cosine[owner.numpy()] = torch.where(halves.possible, halves.cosine, torch.nan).numpy()
            accepted = different & (adjusted <= self.level)
            owner, whole, second, path = owner[accepted], mask[accepted], halves.side[accepted], adjusted[accepted]
            if len(owner) == 0:
                break
            # Several nodes of one direction take numbers one after the other; nodes of a direction hold different points.
            order = owner.argsort(stable=True)
            place = torch.empty_like(order)
            place[order] = torch.arange(len(order)) - torch.searchsorted(owner[order], owner[order])
            node, point = second.nonzero(as_tuple=True)
            leaf[owner[node], point] = (used[owner] + place)[node]
            node, point = whole.nonzero(as_tuple=True)
            made_by[owner[node], point] = path[node]
            used += torch.bincount(owner, minlength=directions)
            mask = torch.cat([whole & ~second, second])
            owner, path = torch.cat([owner, owner]), torch.cat([path, path])
        return leaf, Tests(root_p, root_cosine, made_by.numpy())

    def _keep(self, gram: Tensor, clusters: Tensor) -> npt.NDArray[np.int32]:
        """(D, K) the clusters with -1 for what is dropped."""
        number = torch.arange(int(clusters.max()) + 1)
        members = _near(gram, clusters[:, None] == number[:, None])
        size = members.sum(2)
        good = size >= self.min_size
        direction, cluster = (good & (size < self.testable)).nonzero(as_tuple=True)
        if len(direction):
            weight = members[direction, cluster].to(gram.dtype)
            inside = gram[direction] * weight[:, :, None] * weight[:, None, :]
            values = leading(inside, weight)[1]
            good[direction, cluster] = ~((values[:, 1] >= 0.5 * values[:, 0]) & (values[:, 0] > 1e-9))
        members &= good[:, :, None]
        return torch.where(members.any(1), clusters, -1).numpy().astype(np.int32)


def _adjusted(features: Tensor, bimodality: Tensor, points: int, above: Tensor) -> Tensor:
    """p-values of divisions over the tree: at least those of the divisions above.

    A node of n among K exemplars has the share (n - 1) / (K - 1) of alpha: Kimes et al., section 2.3.
    """
    raw = torch.from_numpy(p_values(features.double().numpy(), bimodality.double().numpy()))
    share = (features[:, 0].double() - 1) / max(points - 1, 1)
    return torch.maximum((raw / share).clamp_max(1), above)


def _near(gram: Tensor, members: Tensor) -> Tensor:
    """The members (D, m, K) of clusters that are nearer to the mean of the others than to the layer's mean, the origin."""
    own = gram.diagonal(dim1=1, dim2=2)[:, None]
    for _ in range(5):
        weight = members.to(gram.dtype)
        size = weight.sum(2, keepdim=True)
        others = weight @ gram - own
        within = ((weight * others).sum(2, keepdim=True) / (size * (size - 1)).clamp_min(1)).clamp_min(0)
        near = members & (others / (size - 1).clamp_min(1) >= 0.5 * within)
        if torch.equal(near, members):
            break
        members = near
    return members


def squared_distances(gram: Tensor, clusters: Tensor) -> npt.NDArray[np.float64]:
    """(D, K) squared distance of each exemplar to the mean of its cluster, from inner products."""
    onto = torch.nn.functional.one_hot(clusters).to(gram.dtype)
    size = onto.sum(1, keepdim=True).clamp_min(1)
    means = gram @ onto / size
    squares = (onto * means).sum(1, keepdim=True) / size
    all_distances = gram.diagonal(dim1=1, dim2=2)[:, :, None] - 2 * means + squares
    return np.asarray(all_distances.gather(2, clusters[:, :, None])[:, :, 0].clamp_min(0).numpy())
