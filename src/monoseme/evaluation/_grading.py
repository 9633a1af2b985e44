"""How well a bank found what was planted: number of concepts, partition of the exemplars, retrieval of the source classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score

from ..banks import ConceptBank
from ..base import UsageError
from ._bootstrap import Interval, Resamples, ratio
from ._retrieval import retrieval

if TYPE_CHECKING:
    from .planted import Planted

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FEW, ENOUGH = 10, 16
"""Per cent of the exemplars: a source with fewer than the first cannot be demanded, with more than the second it must be found."""
BATCH = 256
"""Rankings at a time."""


@dataclass(frozen=True)
class Partition:
    """Grades of the partitions of D directions' exemplars against the truth.

    least, most : (D,) how many concepts are right: sources with more than 16 % of the exemplars (at least 1), and with 10 %
    found : (D,) how many there are
    ari : (D,) adjusted Rand index over kept exemplars whose source has at least 10 %; 0 where none is kept
    kept : (D,) share of the exemplars in a concept
    """

    least: Ints
    most: Ints
    found: Ints
    ari: Floats
    kept: Floats

    @property
    def right(self) -> Bools:
        """(D,) whether the number of concepts is right."""
        return np.asarray((self.least <= self.found) & (self.found <= self.most))


def grade_partition(truth: Ints, concept: Ints) -> Partition:
    """Grade partitions.

    Parameters
    ----------
    truth : (D, K) int
        Source of each exemplar, from 0.
    concept : (D, K) int
        Concept of each exemplar, -1 where it was dropped.

    Examples
    --------
    Three sources with 60, 30 and 10 % of the exemplars: two concepts are right, and three would be.

    >>> truth = np.repeat([0, 1, 2], [6, 3, 1])[None]
    >>> graded = grade_partition(truth, np.where(truth == 2, -1, truth))
    >>> int(graded.least[0]), int(graded.most[0]), int(graded.found[0]), float(graded.ari[0])
    (2, 3, 2, 1.0)
    """
    k = truth.shape[1]
    counts = (truth[:, :, None] == np.arange(int(truth.max()) + 1)).sum(1)
    possible = 100 * counts >= FEW * k
    least = np.maximum((100 * counts > ENOUGH * k).sum(1), 1)
    found = np.array([len(np.unique(row[row >= 0])) for row in concept], dtype=np.int64)
    counted = (concept >= 0) & np.take_along_axis(possible, truth, axis=1)
    ari = [
        adjusted_rand_score(known[take], given[take]) if take.any() else 0.0
        for known, given, take in zip(truth, concept, counted, strict=True)
    ]
    return Partition(least, possible.sum(1), found, np.array(ari, dtype=np.float64), (concept >= 0).mean(1))


@dataclass(frozen=True)
class Grades:
    """What a bank found of U planted units.

    Attributes
    ----------
    partition : Partition
        Of each unit's exemplars.
    chosen : (U, m) int64
        Classes of each unit, -1 for none.
    unit : (M,) int64
        Unit of each concept.
    own : (M,) float64
        Precision of the direction of each concept's source, which is what most of its exemplars fired for.
    precision : dict
        (M,) float64 of the bank's "vectors", and of its "detectors" where it has any: share of images of that source's
        class among the first, over the images that the unit sees.
    at : int
        Among how many.
    """

    partition: Partition
    chosen: Ints
    unit: Ints
    own: Floats
    precision: dict[str, Floats]
    at: int

    def figures(self, resamples: int = 1000, seed: int = 0) -> dict[str, Interval]:
        """Figures with 95 % intervals from a bootstrap over classes.

        "false split" (more than one concept) and "none found" over the units of one source; "number right", "too few",
        "too many", "ARI" over those of several; "kept" and relative precision over all. Undefined ones are NaN.

        Notes
        -----
        A unit counts 1 + c sum(n_k - 1) times, where n_k is how often its class k is drawn. For units of one class that is
        the cluster bootstrap (c = 1). For others c is such that the variance is the cluster-robust one, to which each two units
        that share a class contribute once (Cameron, Gelbach and Miller, Journal of Business & Economic Statistics 2011).
        """
        graded, several = self.partition, (self.chosen >= 0).sum(1) > 1
        columns: dict[str, tuple[npt.NDArray[Any], Bools]] = {
            "false split": (graded.found > 1, ~several),
            "none found": (graded.found == 0, ~several),
            "number right": (graded.right, several),
            "too few": (graded.found < graded.least, several),
            "too many": (graded.found > graded.most, several),
            "ARI": (graded.ari, several),
            "kept": (graded.kept, np.ones_like(several)),
        }
        out = {name: self._interval(values, counts, resamples, seed) for name, (values, counts) in columns.items()}
        known = np.isfinite(self.own)
        units = len(self.chosen)
        below = np.bincount(self.unit[known], self.own[known], minlength=units)
        for name, precision in self.precision.items():
            above = np.bincount(self.unit[known], precision[known], minlength=units)
            name = f"relative precision@{self.at}, {name}"
            out[name] = self._interval(above, below, resamples, seed, weighted=True)
        return out

    def _interval(
        self, values: npt.NDArray[Any], counts: npt.NDArray[Any], resamples: int, seed: int, *, weighted: bool = False
    ) -> Interval:
        """Of the mean of values (U,) in [0, 1] where counts is true, or of the ratio of the two sums."""
        columns = np.stack([values if weighted else values * counts, counts], axis=1).astype(np.float64)
        columns, chosen = columns[columns.any(axis=1)], self.chosen[columns.any(axis=1)]
        of_class = (chosen[:, :, None] == np.unique(chosen[chosen >= 0])).any(axis=1).astype(np.float64)
        by_class, total = of_class.T @ columns, columns.sum(0)
        if len(columns) == 0 or total[1] == 0:
            return Interval(np.nan, np.nan, np.nan)
        residual = columns[:, 0] - columns[:, 1] * (total[0] / total[1])
        drawn = float(np.square(of_class.T @ residual).sum())
        robust = max(float(residual @ ((of_class @ of_class.T > 0) @ residual)), float(residual @ residual))
        by_class *= np.sqrt(robust / drawn) if drawn > 0 else 1
        by_class += (total - by_class.sum(0)) / len(by_class)
        value = float(total[0] / total[1])
        _, low, high = Resamples(len(by_class), resamples, seed).interval(by_class, ratio)
        return Interval(value, low, high) if weighted else Interval(value, max(low, 0.0), min(high, 1.0))


def grade(planted: Planted, bank: ConceptBank, *, at: int = 50, ranked: Bools | None = None) -> Grades:
    """Grade what a bank found of planted units.

    Parameters
    ----------
    planted : Planted
        The units.
    bank : ConceptBank
        From ``disentangle(planted.sources.embeddings, scores=planted.scores, top=planted.top)``.
    at : int
        For precision: how many images are looked at. Classes of fewer images have none.
    ranked : (N,) bool, optional
        Which images are ranked, such as those held out; all by default.

    Raises
    ------
    UsageError
        The bank is of other directions.

    Examples
    --------
    >>> from monoseme.evaluation.planted import Sources, plant
    >>> from monoseme.splitting import disentangle
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(600) % 6
    >>> sources = Sources.of(5 * np.eye(6)[labels] + rng.normal(size=(600, 6)), labels)
    >>> units = plant(sources, 20, m=[1, 2])
    >>> bank = disentangle(sources.embeddings, "published", scores=units.scores, top=50)
    >>> grade(units, bank).figures()["ARI"].value > 0.95
    True
    """
    truth, concept = _truth_and_concepts(planted, bank)
    unit, source = bank.concepts["direction"].to_numpy(), true_source(planted, bank)
    ranked = np.ones(len(planted.seen), dtype=np.bool_) if ranked is None else np.asarray(ranked, dtype=np.bool_)
    own = _precision(planted, planted.sources.directions[source], unit, source, at, ranked)
    detectors = getattr(bank, "detectors", None)
    ways = {"vectors": bank.vectors} | ({} if detectors is None else {"detectors": detectors})
    precision = {
        name: _precision(planted, bank.frame.fold(vectors), unit, source, at, ranked) for name, vectors in ways.items()
    }
    return Grades(grade_partition(truth, concept), planted.chosen, unit, own, precision, at)


def true_source(planted: Planted, bank: ConceptBank) -> Ints:
    """(M,) the class that made most exemplars of each concept fire, the first of equals.

    Raises
    ------
    UsageError
        The bank is of other directions.
    """
    truth, concept = _truth_and_concepts(planted, bank)
    return np.asarray(planted.chosen[bank.concepts["direction"].to_numpy(), _majority(truth, concept, len(bank))])


def _truth_and_concepts(planted: Planted, bank: ConceptBank) -> tuple[Ints, Ints]:
    """(U, K) which source made each exemplar fire, and which concept it is in, -1 for none."""
    units = len(planted.chosen)
    if not np.array_equal(bank.directions, np.arange(units)):
        raise UsageError(f"the bank is not of the {units} planted units; split with their scores")
    rows = bank.exemplars["image_id"].to_numpy().reshape(units, -1)
    concept = bank.exemplars["concept"].fill_null(-1).to_numpy().astype(np.int64).reshape(units, -1)
    return planted.truth(rows), concept


def _majority(truth: Ints, concept: Ints, concepts: int) -> Ints:
    """(M,) the source of most of each concept's exemplars, the first of equals."""
    member = concept >= 0
    counts = np.zeros((concepts, int(truth.max()) + 1), dtype=np.int64)
    np.add.at(counts, (concept[member], truth[member]), 1)
    return np.asarray(counts.argmax(1))


def _precision(
    planted: Planted, vectors: npt.NDArray[np.float32], unit: Ints, source: Ints, at: int, ranked: Bools
) -> Floats:
    """(M,) share of images of the source's class among the `at` that lie farthest along each vector."""
    labels, out = planted.sources.labels[ranked], np.full(len(vectors), np.nan)
    embeddings = planted.sources.embeddings[ranked]
    for begin in range(0, len(vectors), BATCH):
        part = slice(begin, begin + BATCH)
        scores = np.ascontiguousarray(vectors[part], dtype=np.float32) @ embeddings.T
        seen = planted.seen[ranked][:, unit[part]].T
        out[part] = retrieval(scores, labels == source[part, None], seen, ks=[at]).precision[:, 0]
    return out
