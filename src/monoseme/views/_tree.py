"""The Ward tree of a neuron's exemplars laid out flat, with where it was cut and how sure each of its splits is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._neuron import NeuronView

if TYPE_CHECKING:
    from ..splitting import NodeTests

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreeView:
    """A dendrogram as numbers. Leaves stand at 0, 1, 2, ... from left to right.

    Attributes
    ----------
    leaves : (K,) int64
        The exemplar (its rank) at each place.
    left, right : (K - 1, 2) float64
        (place, height) of the two nodes that each step joins.
    heights : (K - 1,) float64
        At which height it joins them.
    concept : (K - 1,) int64
        The concept that all kept exemplars below a node belong to, -1 where they belong to several or to none.
    cut : float or None
        Height at which the tree was cut; None for a method that does not cut it.
    p_value, cosine : (K - 1,) float64 or None
        Of the calibrated test of the exemplars below each node; NaN where there are too few. See `NodeTests`.
    divides : (K - 1,) bool or None
        Whether the test finds more than one concept below a node.
    """

    leaves: npt.NDArray[np.int64]
    left: Floats
    right: Floats
    heights: Floats
    concept: npt.NDArray[np.int64]
    cut: float | None
    p_value: Floats | None = None
    cosine: Floats | None = None
    divides: npt.NDArray[np.bool_] | None = None


def view_tree(view: NeuronView, tests: NodeTests | None = None) -> TreeView:
    """Lay out the tree of a neuron's exemplars, with the significance of each split where `tests` are given."""
    points = len(view.image_ids)
    leaves = leaf_order(view.merges)
    place = np.empty(2 * points - 1)
    place[leaves] = np.arange(points)
    height = np.concatenate([np.zeros(points), view.heights])
    for step, pair in enumerate(view.merges):
        place[points + step] = place[pair].mean()
    sides = [np.stack([place[view.merges[:, side]], height[view.merges[:, side]]], 1) for side in (0, 1)]
    threshold = view.bank.info.get("parameters", {}).get("distance_threshold")
    p_value = cosine = divides = None
    if tests is not None:
        p_value, cosine = tests(view.embeddings, view.merges)
        divides = tests.divides(p_value, cosine)
    return TreeView(
        leaves=leaves,
        left=sides[0],
        right=sides[1],
        heights=view.heights,
        concept=_only_concept(view),
        cut=float(threshold) if isinstance(threshold, int | float) else None,
        p_value=p_value,
        cosine=cosine,
        divides=divides,
    )


def leaf_order(merges: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """(K,) the leaves from left to right; of two nodes that are joined, that with the stronger exemplar comes first.

    >>> leaf_order(np.array([[1, 2], [0, 3]])).tolist()
    [0, 1, 2]
    """
    points = len(merges) + 1
    strongest = np.arange(2 * points - 1)
    for step, pair in enumerate(merges):
        strongest[points + step] = strongest[pair].min()
    order, waiting = [], [2 * points - 2]
    while waiting:
        node = waiting.pop()
        if node < points:
            order.append(node)
        else:
            waiting += sorted(merges[node - points].tolist(), key=lambda child: -strongest[child])
    return np.array(order, dtype=np.int64)


def _only_concept(view: NeuronView) -> npt.NDArray[np.int64]:
    from ..splitting import leaves_below  # which imports torch; a layer is looked at without

    below = leaves_below(view.merges)
    kept = view.concept >= 0
    big = np.iinfo(np.int64).max
    least = np.where(below & kept, view.concept, big).min(1, initial=big)
    most = np.where(below & kept, view.concept, -1).max(1, initial=-1)
    return np.where(least == most, most, -1)
