"""Labels of sets of images: commonest label, purity, and which labels are enriched beyond chance."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from ._bootstrap import Floats, Ints


class LabelCounts(NamedTuple):
    """Of M sets: how many images have each label, and how many have any.

    counts : (M, L) sparse, csr
    labelled : (M,) int64
    """

    counts: Any
    labelled: Ints

    @property
    def commonest(self) -> Ints:
        """(M,) images with the commonest label of each set."""
        return np.asarray(self.counts.max(axis=1).toarray().reshape(-1), dtype=np.int64)


def count_labels(sets: Any, labels: Any) -> LabelCounts:
    """Count the labels (N, L) of the images of sets (M, N), both sparse.

    >>> sets, labels = sparse.csr_array([[1, 1, 0]]), sparse.csr_array([[1, 0], [1, 1], [0, 0]])
    >>> count_labels(sets, labels).counts.toarray().tolist(), count_labels(sets, labels).commonest.tolist()
    ([[2.0, 1.0]], [2])
    """
    has_any = (np.diff(labels.indptr) > 0).astype(np.float32)
    counts = sparse.csr_array(sets.astype(np.float64) @ labels.astype(np.float64))
    return LabelCounts(counts, np.rint(sets @ has_any).astype(np.int64))


class Enriched(NamedTuple):
    """Tests of each label that occurs in a set: P pairs of a set and a label, all arrays (P,)."""

    sets: Ints
    labels: Ints
    found: Ints
    expected: Floats
    p_value: Floats
    q_value: Floats

    def best(self, sets: int) -> Ints:
        """(sets,) position of the pair with each set's most enriched label, -1 for sets without labelled images.

        That of the least p-value; among equal ones the label that is there more often than expected by the largest factor.
        """
        order = np.lexsort((-self.found / self.expected, self.p_value, self.sets))
        first = np.full(sets, -1, dtype=np.int64)
        found, place = np.unique(self.sets[order], return_index=True)
        first[found] = order[place]
        return first


def enrichment(found: LabelCounts, background: Ints, images: int) -> Enriched:
    """Test whether labels occur in sets of images more often than in as many images drawn at random.

    Parameters
    ----------
    found : LabelCounts
        Of M sets and L labels.
    background : (L,) int64
        Images with each label, among those that the sets were drawn from.
    images : int
        How many of these have any label.

    Notes
    -----
    Hypergeometric test (Fisher's exact test, one-sided); q-values: Benjamini and Hochberg, Controlling the False Discovery
    Rate, JRSS B 1995, over all M x L tests, of which those of labels that do not occur have p-value 1.

    Examples
    --------
    >>> counts = LabelCounts(sparse.csr_array([[3.0, 1.0]]), np.array([4]))
    >>> [round(p, 4) for p in enrichment(counts, np.array([3, 17]), 20).p_value.tolist()]
    [0.0035, 1.0]
    """
    pairs = sparse.coo_array(found.counts)
    sets, labels = pairs.coords[0].astype(np.int64), pairs.coords[1].astype(np.int64)
    count = np.rint(pairs.data).astype(np.int64)
    drawn, having = found.labelled[sets], background[labels]
    expected = drawn * having / max(images, 1)
    # The same three numbers come again and again; the test is the slow part.
    cases, case = np.unique(np.stack([count, having, drawn]), axis=1, return_inverse=True)
    p_value = np.clip(stats.hypergeom.sf(cases[0] - 1, images, cases[1], cases[2]), 0, 1)[case.reshape(-1)]
    tests = len(found.labelled) * len(background)
    return Enriched(sets, labels, count, expected, p_value, q_values(p_value, tests))


def q_values(p_values: Floats, tests: int | None = None) -> npt.NDArray[np.float64]:
    """Benjamini and Hochberg's adjusted p-values (P,) where the other of all `tests` have p-value 1.

    >>> q_values(np.array([0.01, 0.04, 0.02]), tests=4).tolist()
    [0.04, 0.05333333333333334, 0.04]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values)
    scaled = p_values[order] * (len(p_values) if tests is None else tests) / np.arange(1, len(p_values) + 1)
    out = np.empty_like(scaled)
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return out
