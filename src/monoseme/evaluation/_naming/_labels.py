"""Names from labels: what a concept's exemplars have in common that other images do not, at any level of a hierarchy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from ...base import Labels, UsageError
from .._images import labels_for
from .._sets import Bools, Ints, Sets
from ._asked import Asked, Proposal, incidence
from ._hierarchy import Hierarchy, Nodes, flat

RUNNERS_UP = 3
LEAST = 2
"""Labelled images that each half must have."""


@dataclass(frozen=True)
class LabelNamer:
    """Names concepts by the labels of their exemplars, or by what these are kinds of.

    Of all labels and kinds the one is chosen whose score is greatest on half of the exemplars,

        score = f² log2(f / b),

    where f is the share of the exemplars that are of it and b that of the images that they were chosen from. The second factor
    is the information (in bits) that being an exemplar gives about it, which grows as it gets more specific; the first is the
    chance that two exemplars are both of it, which falls as it gets too specific to hold them all. So the most specific kind is
    said that explains most of the exemplars: one breed where most are of that breed, "dog" where they are of many.

    It stands if at least a share `coverage` of the other half is of it, and more than chance allows (hypergeometric test).

    Parameters
    ----------
    labels : Labels or sequence, optional
        Of the N images; by default those of the run.
    hierarchy : Hierarchy or mapping, optional
        What labels are kinds of; labels alone when left out.
    background : "images" or "exemplars"
        What to compare with: all images that exemplars are chosen from, or those that are exemplars of anything in the bank,
        which takes away what all neurons of the layer prefer.
    coverage : float
        Share of the exemplars that a name must fit.

    Notes
    -----
    The logarithm is Resnik's (Selection and information, 1993, the terms of his selectional association), who weighs it by f; f²
    is Simpson's concentration of one kind. The score is invariant to the number of images and needs no threshold.
    """

    labels: Labels | Sequence[object] | None = None
    hierarchy: Hierarchy | Mapping[str, str | Iterable[str]] | None = None
    background: Literal["images", "exemplars"] = "images"
    coverage: float = 0.5

    def __post_init__(self) -> None:
        if self.background not in ("images", "exemplars"):
            raise UsageError(f"background is 'images' or 'exemplars', not {self.background!r}")
        if not 0 < self.coverage <= 1:
            raise UsageError(f"coverage is a share above 0 and at most 1, not {self.coverage}")

    @property
    def source(self) -> str:
        """Where names come from."""
        return "labels" if self.hierarchy is None else "labels and hierarchy"

    @property
    def scored_by(self) -> str:
        """What scores are."""
        return "share of the exemplars that it was not chosen on which are of that kind"

    @property
    def tests(self) -> bool:
        """Whether random images are told apart."""
        return True

    def __call__(self, asked: Asked) -> list[Proposal]:
        """A proposal for each concept.

        Raises
        ------
        UsageError
            There are no labels, they do not fit the images, or the hierarchy knows none of them.
        """
        labels = self._labels(asked)
        nodes = flat(labels.names) if self.hierarchy is None else Hierarchy.of(self.hierarchy).nodes(labels.names)
        pool = self._pool(asked) & labels.labelled
        if not pool.any():
            raise UsageError("none of the images that exemplars were chosen from has a label; label some of them")
        of = sparse.csr_array((labels.matrix().astype(np.int32) @ nodes.holds.astype(np.int32)) > 0)
        having = np.asarray(of[np.flatnonzero(pool)].sum(axis=0)).reshape(-1).astype(np.int64)
        chosen, kept = (_Counted.of(sets, of, labels.labelled) for sets in (asked.chosen, asked.kept))
        ranked = _ranked(chosen, having / pool.sum(), nodes)
        best = np.array([ranks[0] if len(ranks) else -1 for ranks in ranked])
        p_value = self._tested(chosen, kept, best, having, int(pool.sum()))
        return [
            self._proposal(nodes, ranks, chosen, kept, concept, having / pool.sum(), float(p_value[concept]))
            for concept, ranks in enumerate(ranked)
        ]

    def _labels(self, asked: Asked) -> Labels:
        if self.labels is None and asked.run is None:
            raise UsageError("give labels, or the run that the bank was made from, which has them")
        given = self.labels if asked.run is None or self.labels is not None else asked.run.labels()
        assert given is not None
        known = labels_for(given, len(asked.acts))
        if not known.names:
            raise UsageError("no image has a label; join some with monoseme label, or name concepts in another way")
        return known

    def _pool(self, asked: Asked) -> Bools:
        if self.background == "images":
            return asked.pool
        rows = Sets.of(asked.bank).rows
        exemplars = np.zeros(len(asked.pool), dtype=np.bool_)
        exemplars[rows[rows >= 0]] = True
        return asked.pool & exemplars

    def _tested(
        self, chosen: _Counted, kept: _Counted, best: Ints, having: Ints, images: int
    ) -> npt.NDArray[np.float64]:
        """(M,) chance that as many of as many images drawn from the rest of the pool are of the best node."""
        rows, node = np.arange(len(best)), np.maximum(best, 0)
        left = np.maximum(images - chosen.labelled, kept.labelled)
        having_left = np.clip(having[node] - chosen.count(rows, node), kept.count(rows, node), left)
        p = stats.hypergeom.sf(kept.count(rows, node) - 1, left, having_left, kept.labelled)
        return np.asarray(np.where(best >= 0, np.clip(p, 0, 1), np.nan))

    def _proposal(
        self,
        nodes: Nodes,
        ranks: Ints,
        chosen: _Counted,
        kept: _Counted,
        concept: int,
        base: npt.NDArray[np.float64],
        p_value: float,
    ) -> Proposal:
        images = int(kept.labelled[concept])
        if images < LEAST or chosen.labelled[concept] < LEAST:
            few = int(chosen.labelled[concept]) + images
            return Proposal(None, f"too few of its exemplars have labels to choose a name and test it ({few})")
        if not len(ranks):
            return Proposal(None, "no label is commoner among its exemplars than among other images", images=images)
        share = kept.count(np.full(len(ranks), concept), ranks) / images
        name, score = nodes.names[ranks[0]], float(share[0])
        reason = None
        if score < self.coverage:
            reason = f"no label fits enough of its exemplars: the best, {name}, fits {score:.0%} of them"
        others = [(nodes.names[node], float(each)) for node, each in zip(ranks[1:], share[1:], strict=True)]
        return Proposal(name, reason, score, float(base[ranks[0]]), p_value, images, others)


@dataclass(frozen=True)
class _Counted:
    """Of M sets of images: how many are of each node, (M, A) sparse, and how many have any label, (M,)."""

    counts: Any
    labelled: Ints

    @classmethod
    def of(cls, sets: Sequence[Ints], nodes: Any, labelled: Bools) -> _Counted:
        within = incidence(sets, len(labelled))
        counts = sparse.csr_array(within @ nodes.astype(np.float32))
        return cls(counts, np.rint(within @ labelled.astype(np.float32)).astype(np.int64))

    def count(self, concepts: Ints, nodes: Ints) -> Ints:
        """(n,) images of some concepts that are of some nodes."""
        return np.asarray(np.rint(np.asarray(self.counts[concepts, nodes]).reshape(-1)), dtype=np.int64)


def _ranked(chosen: _Counted, base: npt.NDArray[np.float64], nodes: Nodes) -> list[Ints]:
    """The best nodes of each concept, of positive score; of equal ones the deepest, then that of fewest labels, then by name."""
    pairs = sparse.coo_array(chosen.counts)
    concept, node = (each.astype(np.int64) for each in pairs.coords)
    share = pairs.data / chosen.labelled[concept]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(base[node] > 0, share**2 * np.log2(share / base[node]), -1.0)
    labels_below = np.asarray(nodes.holds.sum(axis=0)).reshape(-1)
    order = np.lexsort((node, labels_below[node], -nodes.depth[node], -np.round(score, 9), concept))
    order = order[score[order] > 0]
    bounds = np.searchsorted(concept[order], np.arange(len(chosen.labelled) + 1))
    return [node[order[low:high]][: 1 + RUNNERS_UP] for low, high in pairwise(bounds)]
