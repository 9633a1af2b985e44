"""How well concepts separate what labels tell apart: purity and enrichment of exemplars, retrieval on other images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import Labels
from ._bootstrap import Floats, Ints, Numbers
from ._enrichment import Enriched, LabelCounts, count_labels, enrichment
from ._figures import Figures
from ._retrieval import retrieval
from ._scores import Scored
from ._sets import Bools, Sets

SHUFFLES = 3
DISCOVERIES = 0.05
KS = (10, 50)
ENRICHED = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("q_value", pa.float64(), nullable=False),
    ]
)


def exemplar_labels(
    variants: Mapping[str, Sets], labels: Labels, pool: Bools, figures: Figures, random: np.random.Generator
) -> tuple[Ints, Ints, pa.Table]:
    """Purity of the exemplars of each concept, and labels that are enriched in them.

    Parameters
    ----------
    variants : mapping of Sets
        "concepts", "neurons", "random partitions".
    labels : Labels
        Of all N images.
    pool : (N,) bool
        The images that exemplars were chosen from.
    figures : Figures
        Where to put them.
    random : Generator
        For shuffling labels among the labelled images.

    Returns
    -------
    (M,) label of each concept, -1 where no exemplar has any; the same where labels are shuffled; table of enriched labels.
    """
    matrix = labels.matrix()
    images, has = len(pool), pool & labels.labelled
    background, population = np.asarray(matrix[np.flatnonzero(has)].sum(axis=0)).reshape(-1), int(has.sum())
    concepts = variants["concepts"]
    best, tested, pure = np.full(len(concepts), -1), None, np.full(len(concepts), np.nan)
    for name in ("concepts", "neurons", "random partitions"):
        sets = variants[name]
        counted = count_labels(sets.matrix(images), matrix)
        tests = enrichment(counted, background, population)
        _purity(name, sets, counted, figures)
        _any_enriched(name, sets, tests, figures)
        if name == "concepts":
            tested, pure, best = tests, _share(counted), _label_of(tests, len(sets))
    shuffled, parts = best, []
    incidence = concepts.matrix(images)
    for number in range(SHUFFLES):
        order = np.arange(images)
        order[has] = random.permutation(np.flatnonzero(has))
        counted = count_labels(incidence, matrix[order])
        tests = enrichment(counted, background, population)
        shuffled = _label_of(tests, len(concepts)) if number == 0 else shuffled
        parts.append((counted.commonest, counted.labelled, _significant(tests, len(concepts))))
    common, labelled, significant = (np.mean(each, axis=0) for each in zip(*parts, strict=True))
    _put_purity("shuffled labels", concepts, common, labelled, figures)
    figures.mean("with an enriched label", "shuffled labels", significant, concepts.direction)
    figures.columns["purity"] = pure
    assert tested is not None
    return best, shuffled, _table(tested, labels.names)


class Ranking:
    """Looks at scores: average precision and precision@k of each concept's label.

    Parameters
    ----------
    scored : Scored
        The images; those without a label do not take part.
    direction, label, shuffled : (M,) int64
        Of each concept; label -1 for none; `shuffled` are the labels that concepts get where labels are shuffled.
    labels : Labels
        Of all N images.
    """

    def __init__(self, scored: Scored, direction: Ints, label: Ints, shuffled: Ints, labels: Labels) -> None:
        self._known = np.flatnonzero(labels.labelled[scored.rows])
        rows = scored.rows[self._known]
        self._everyone = len(rows) == len(scored.rows)
        self._has = labels.matrix().astype(np.int8)[rows].T.tocsr()
        self._exclude = None if scored.exclude is None else scored.exclude[:, self._known].tocsr()
        self._direction, self._label, self._shuffled = direction, label, shuffled
        self._found: dict[str, Floats] = {}

    def __call__(self, name: str, concepts: Ints, where: Ints, scores: npt.NDArray[np.float32]) -> None:
        """Rank the images for some concepts."""
        mine = scores if self._everyone else scores[:, self._known]
        if len(where) != len(scores):
            mine = mine[where]
        eligible = None if self._exclude is None else self._exclude[self._direction[concepts]].toarray() == 0
        kinds = {name: self._label} | ({"shuffled labels": self._shuffled} if name == "concepts" else {})
        for kind, label in kinds.items():
            relevant: Bools = self._has[np.maximum(label[concepts], 0)].toarray() > 0
            relevant[label[concepts] < 0] = False
            got = retrieval(mine, relevant, eligible, KS)
            found = self._found.setdefault(kind, np.full((len(label), 1 + len(KS)), np.nan))
            found[concepts] = np.column_stack([got.average_precision, got.precision])

    def put(self, figures: Figures) -> None:
        """Add what was found."""
        for kind, values in self._found.items():
            for place, figure in enumerate(("average precision", *(f"precision@{k}" for k in KS))):
                figures.mean(figure, kind, values[:, place], self._direction)
                if kind in ("concepts", "neurons", "detectors"):
                    suffix = "" if kind == "concepts" else f"_{kind.rstrip('s')}"
                    figures.columns[figure.replace(" ", "_").replace("@", "_") + suffix] = values[:, place]


def _share(counted: LabelCounts) -> Floats:
    return np.where(counted.labelled > 0, counted.commonest / np.maximum(counted.labelled, 1), np.nan)


def _purity(name: str, sets: Sets, counted: LabelCounts, figures: Figures) -> None:
    _put_purity(name, sets, counted.commonest, counted.labelled, figures)


def _put_purity(name: str, sets: Sets, common: Numbers, labelled: Numbers, figures: Figures) -> None:
    """Weighted by size: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, equation 16.1."""
    figures.share("label purity", name, common, labelled, sets.direction)
    split = figures.split[sets.direction]
    figures.share("label purity, split neurons", name, common[split], labelled[split], sets.direction[split])


def _significant(tests: Enriched, sets: int) -> Floats:
    return (np.bincount(tests.sets, tests.q_value <= DISCOVERIES, minlength=sets) > 0).astype(np.float64)


def _any_enriched(name: str, sets: Sets, tests: Enriched, figures: Figures) -> None:
    figures.mean("with an enriched label", name, _significant(tests, len(sets)), sets.direction)


def _label_of(tests: Enriched, sets: int) -> Ints:
    best = tests.best(sets)
    return np.where(best >= 0, tests.labels[best], -1) if len(tests.labels) else best


def _table(tests: Enriched, names: tuple[str, ...]) -> pa.Table:
    """The pairs of a concept and a label that pass, by concept and p-value."""
    order = np.lexsort((tests.p_value, tests.sets))
    order = order[tests.q_value[order] <= DISCOVERIES]
    return pa.table(
        {
            "concept": tests.sets[order],
            "label": pa.array([names[label] for label in tests.labels[order].tolist()], pa.string()),
            "count": tests.found[order],
            "expected": tests.expected[order],
            "p_value": tests.p_value[order],
            "q_value": tests.q_value[order],
        },
        schema=ENRICHED,
    )
