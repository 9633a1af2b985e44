"""Average precision and precision@k of many rankings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ._bootstrap import Floats, Ints

Bools = npt.NDArray[np.bool_]


class Retrieval(NamedTuple):
    """Of B rankings: average precision (B,), precision at each k (B, len(ks)); NaN where there is nothing to find."""

    average_precision: Floats
    precision: Floats


def retrieval(
    scores: npt.NDArray[np.float32], relevant: Bools, eligible: Bools | None = None, ks: Sequence[int] = (10, 50)
) -> Retrieval:
    """How well scores rank the relevant images before the others.

    Parameters
    ----------
    scores : (B, n) float32
        A row a ranking, highest first.
    relevant : (B, n) bool
        What is to be found.
    eligible : (B, n) bool, optional
        What takes part; all by default.
    ks : sequence of int
        For precision@k, which is NaN where fewer than k images are relevant, since it could not be reached.

    Notes
    -----
    Average precision as in ``sklearn.metrics.average_precision_score``: ties are one step. Precision@k is the expected one
    where ties at the k-th place are broken at random.

    Examples
    --------
    >>> scores, relevant = np.array([[3, 2, 1]], dtype=np.float32), np.array([[True, False, True]])
    >>> found = retrieval(scores, relevant, ks=[1, 2])
    >>> found.average_precision.round(3).tolist(), found.precision.tolist()
    ([0.833], [[1.0, 0.5]])
    """
    rankings, n = scores.shape
    if eligible is not None:
        relevant = relevant & eligible
        scores = np.where(eligible, scores, np.float32(-np.inf))
    taking_part = np.full(rankings, n) if eligible is None else eligible.sum(1)
    ascending = np.sort(scores, axis=1)
    positives, counts = _positives(scores, relevant)
    # Images at or above each relevant one, and relevant ones among them: both from where it falls into sorted scores.
    above = n - _places(ascending, positives)
    own = positives.shape[1] - _places(positives, positives)
    precision_there = np.where(np.isfinite(positives), own / np.maximum(above, 1), 0)
    with np.errstate(invalid="ignore"):
        average = precision_there.sum(1) / counts
    at_k = np.full((rankings, len(ks)), np.nan)
    for place, k in enumerate(ks):
        if k <= n:
            enough = (counts >= k) & (taking_part >= k)
            at_k[enough, place] = _hits(ascending, positives, k)[enough] / k
    return Retrieval(np.where(counts > 0, average, np.nan), at_k)


def _positives(scores: npt.NDArray[np.float32], relevant: Bools) -> tuple[npt.NDArray[np.float32], Ints]:
    """Scores (B, most) of the relevant images of each ranking, ascending after a padding of -inf, and their number (B,)."""
    ranking, image = np.nonzero(relevant)
    counts = np.bincount(ranking, minlength=len(scores))
    out = np.full((len(scores), int(counts.max(initial=0))), -np.inf, dtype=np.float32)
    place = np.arange(len(ranking)) - np.repeat(np.cumsum(counts) - counts, counts)
    out[ranking, place] = scores[ranking, image]
    return np.sort(out, axis=1), counts


def _places(rows: npt.NDArray[np.float32], values: npt.NDArray[np.float32], right: bool = False) -> Ints:
    """Where values (B, p) fall into ascending rows (B, n)."""
    return np.asarray(torch.searchsorted(torch.from_numpy(rows), torch.from_numpy(values), right=right).numpy())


def _hits(ascending: npt.NDArray[np.float32], positives: npt.NDArray[np.float32], k: int) -> Floats:
    """(B,) expected number of relevant images among the k highest."""
    n, most = ascending.shape[1], positives.shape[1]
    last = np.ascontiguousarray(ascending[:, -k, None])
    over, from_there = n - _places(ascending, last, right=True), n - _places(ascending, last)
    hits, reach = most - _places(positives, last, right=True), most - _places(positives, last)
    return np.asarray((hits + (reach - hits) * (k - over) / np.maximum(from_there - over, 1))[:, 0])
