"""One direction in several banks: how far their ways to divide its exemplars agree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ..base import UsageError
from ._elsewhere import one_space
from ._neuron import NeuronView


@dataclass(frozen=True)
class Agreement:
    """How far two banks agree on the exemplars of a direction.

    Attributes
    ----------
    one, other : int
        Which two of the views.
    shared : int
        Exemplars that both have.
    both_kept : int
        Those of them that are in a concept on both sides: what the two indices are over.
    rand : float or None
        Adjusted Rand index (Hubert and Arabie, 1985): 1 for the same partition, 0 by chance; None for fewer than two images.
    information : float or None
        Normalised mutual information, over the arithmetic mean of the entropies: 1 for the same partition, 0 for nothing in
        common.
    counts : (m + 1, n + 1) int64
        Shared exemplars by the concepts of the two; the last row and column are those that were dropped.
    cosines : (m, n) float64 or None
        Of the concepts' vectors; None where the two banks have no space in common.
    """

    one: int
    other: int
    shared: int
    both_kept: int
    rand: float | None
    information: float | None
    counts: npt.NDArray[np.int64]
    cosines: npt.NDArray[np.float64] | None


def agreements(views: list[NeuronView]) -> list[Agreement]:
    """How far each two views of one direction agree.

    Raises
    ------
    UsageError
        The views are not of the same direction.
    """
    for view in views[1:]:
        if not same_start(views[0], view):
            raise UsageError(
                f"{view.name} of one bank is another direction than {views[0].name} of the other; compare banks that were made "
                "from the same directions"
            )
    return [_agreement(views, one, other) for one, other in combinations(range(len(views)), 2)]


def same_start(view: NeuronView, other: NeuronView) -> bool:
    """Whether two views begin with the same direction."""
    if view.bank.layer != other.bank.layer or view.bank.start_name != other.bank.start_name:
        return False
    if view.neuron is not None:
        return view.direction == other.direction
    if view.start is None or other.start is None or not one_space(view.bank, other.bank):
        return False
    return bool(abs(float(view.start @ other.start)) > 1 - 1e-4)


def _agreement(views: list[NeuronView], one: int, other: int) -> Agreement:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    mine, theirs = views[one], views[other]
    _, first, second = np.intersect1d(mine.image_ids, theirs.image_ids, return_indices=True)
    groups = [_places(view)[at] for view, at in ((mine, first), (theirs, second))]
    counts = np.zeros((len(mine.concepts) + 1, len(theirs.concepts) + 1), dtype=np.int64)
    np.add.at(counts, (groups[0], groups[1]), 1)
    kept = (groups[0] < len(mine.concepts)) & (groups[1] < len(theirs.concepts))
    pair = [each[kept] for each in groups]
    enough = int(kept.sum()) > 1
    cosines = None
    if one_space(mine.bank, theirs.bank):
        width = mine.embeddings.shape[1]
        vectors = [
            np.array([each.vector for each in view.concepts], dtype=np.float64).reshape(-1, width)
            for view in (mine, theirs)
        ]
        cosines = np.clip(vectors[0] @ vectors[1].T, -1, 1)
    return Agreement(
        one=one,
        other=other,
        shared=len(first),
        both_kept=int(kept.sum()),
        rand=float(adjusted_rand_score(*pair)) if enough else None,
        information=float(normalized_mutual_info_score(*pair)) if enough else None,
        counts=counts,
        cosines=cosines,
    )


def _places(view: NeuronView) -> npt.NDArray[np.int64]:
    """(K,) place of each exemplar's concept among those of the view, and one more than the last where it was dropped."""
    return np.array([view.places.get(number, len(view.concepts)) for number in view.concept.tolist()], dtype=np.int64)
