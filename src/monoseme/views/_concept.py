"""One concept as it is looked at: its facts, its evidence, its labels, its top images, its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..banks import Annotation, Annotations, Concept, ConceptBank, Names
from ..base import Labels
from ..runs import Run
from ._cause import Cause, cause_of
from ._measures import Composition, composition
from ._neuron import require_run, shown_labels
from ._titles import Title, Titles

if TYPE_CHECKING:
    from ..evaluation import Causal, Evaluation


class Evidence(NamedTuple):
    """One reason to believe in a concept, or not.

    name : in a few words
    value : the figure
    meaning : a sentence for those who do not know it
    """

    name: str
    value: float
    meaning: str


@dataclass(frozen=True)
class ConceptView:
    """What there is to see of one concept.

    Attributes
    ----------
    concept : Concept
        Number, key, direction, vector, exemplars.
    title : Title
        What it is called: by a person, by a program, or after its commonest label.
    annotation : Annotation or None
        All that people say of it.
    nameless : str or None
        Why it has no name, where it was to be named and is not.
    labels : list of (str, int)
        How many of its exemplars have each label.
    evidence : tuple of Evidence
        p-value, stability, the held-out figures where the bank was evaluated, and what the model's predictions do without it
        and with more of it where that was tried; only what is known.
    top_images : (k,) int64
        The images of the whole data set that project highest on its vector, largest first.
    projections : (k,) float32
        How high.
    predictions : list of (str, int)
        How many of its exemplars the model takes for each class.
    nearest : list of (int, float)
        The concepts of other directions whose vectors are nearest, with the cosine.
    composition : Composition
        The neurons that the vector is made of.
    cause : Cause or None
        What it does to the model's predictions, where that was tried.
    """

    concept: Concept
    title: Title
    annotation: Annotation | None
    nameless: str | None
    labels: list[tuple[str, int]]
    evidence: tuple[Evidence, ...]
    top_images: npt.NDArray[np.int64]
    projections: npt.NDArray[np.float32]
    predictions: list[tuple[str, int]]
    nearest: list[tuple[int, float]]
    composition: Composition
    cause: Cause | None = None


_FROM_BANK = (
    ("p_value", "p-value", "chance that a single thing would have been divided so clearly"),
    ("stability", "stability", "share of it that is found again in resampled images (Jaccard index)"),
    ("halves_cosine", "cosine of halves", "between its vectors from two halves of the images"),
    ("across_k", "stability over K", "share of it that is found again with half and twice the exemplars"),
    ("separation", "separation", "Ward distance to the nearest concept of the same direction"),
    ("cosine_start", "cosine with start", "between its vector and the direction that it was found from"),
)
_FROM_EVALUATION = (
    ("purity", "label purity", "share of its exemplars with their commonest label"),
    ("precision_10", "precision@10", "of the 10 best held-out images, the share with its label"),
    ("precision_50", "precision@50", "of the 50 best held-out images, the share with its label"),
    ("average_precision", "average precision", "of its label in the ranking of held-out images"),
    ("clarity", "clarity", "mean cosine of two of its exemplars for a second encoder"),
    ("monosemanticity_score", "monosemanticity", "similarity of the images it fires for, for a second encoder"),
)
_FROM_CAUSAL = (
    ("ablated", "moved when taken out", "share of the predicted probability that moves on its own images without it"),
    (
        "ablated_excess",
        "moved more than by chance",
        "how much more of it moves than with random directions of equal variance",
    ),
    ("steered", "moved when added", "share of the predicted probability that moves on random images when it is added"),
    (
        "steered_excess",
        "added, more than by chance",
        "how much more of it moves than with random directions of equal variance",
    ),
)


def view_concept(
    bank: ConceptBank,
    concept: int,
    run: Run | None = None,
    *,
    labels: Labels | None = None,
    evaluation: Evaluation | None = None,
    causal: Causal | None = None,
    names: Names | None = None,
    annotations: Annotations | None = None,
    nearest: int = 5,
) -> ConceptView:
    """Gather what there is to see of one concept.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    concept : int
        Its number.
    run : Run, optional
        The run that the bank was made from.
    labels : Labels, optional
        Of the images; by default those of the run.
    evaluation : Evaluation, optional
        Of the bank.
    causal : Causal, optional
        Causal evidence for concepts of the bank.
    names : Names, optional
        Automatic names of its concepts.
    annotations : Annotations, optional
        What people say of concepts; by default what they had said when the bank was loaded.
    nearest : int
        How many of the nearest concepts to name.

    Raises
    ------
    UsageError
        There is no such concept, or the run is not the one that the bank was made from.
    """
    found = bank[concept]
    if run is not None:
        require_run(bank, run)
    top = bank.top_images(found.number, bank.images_kept)
    counts = shown_labels(bank, run, labels).counts(found.image_ids)
    titles = Titles(bank.annotations if annotations is None else annotations, names)
    return ConceptView(
        concept=found,
        title=titles.of(found.key, counts),
        annotation=titles.said(found.key),
        nameless=titles.nameless(found.key),
        labels=counts,
        evidence=_evidence(bank, found.number, evaluation, causal),
        top_images=top["image_id"].to_numpy(),
        projections=top["projection"].to_numpy(),
        predictions=[] if run is None else predicted(run, found.image_ids),
        nearest=_nearest(bank, found, nearest),
        composition=composition(found.vector),
        cause=cause_of(causal, bank, found.number),
    )


def predicted(run: Run, image_ids: npt.ArrayLike) -> list[tuple[str, int]]:
    """How many of the images the model takes for each class, the commonest first; empty where it makes no predictions."""
    if not run.manifest.predictions:
        return []
    names = run.manifest.classes
    counts: Counter[str] = Counter()
    for likeliest in run.images(image_ids, ["predictions"])["predictions"].to_pylist():
        if likeliest:
            number = likeliest[0]["class"]
            counts[names[number] if names is not None and number < len(names) else f"class {number}"] += 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _evidence(
    bank: ConceptBank, number: int, evaluation: Evaluation | None, causal: Causal | None
) -> tuple[Evidence, ...]:
    rows: list[tuple[Mapping[str, Any], tuple[tuple[str, str, str], ...]]] = [
        (bank.concepts.slice(number, 1).to_pylist()[0], _FROM_BANK)
    ]
    if evaluation is not None and is_of(evaluation, bank):
        rows.append((evaluation.concepts.slice(number, 1).to_pylist()[0], _FROM_EVALUATION))
    if causal is not None and causal.is_of(bank) and (tried := causal.of(number)) is not None:
        rows.append((tried, _FROM_CAUSAL))
    return tuple(
        Evidence(name, float(row[column]), meaning)
        for row, columns in rows
        for column, name, meaning in columns
        if row.get(column) is not None
    )


def is_of(evaluation: Evaluation, bank: ConceptBank) -> bool:
    """Whether an evaluation is of this very bank: a bank that was made anew has other keys."""
    return "key" in evaluation.concepts.column_names and bool(
        evaluation.concepts["key"].to_pylist() == bank.concepts["key"].to_pylist()
    )


def _nearest(bank: ConceptBank, concept: Concept, count: int) -> list[tuple[int, float]]:
    """Concepts of other directions, nearest first."""
    if count < 1:
        return []
    own = int((bank.concepts["direction"].to_numpy() == concept.direction).sum())
    found = bank.nearest(concept.vector, count + own)
    direction = bank.concepts["direction"].to_numpy()
    pairs = zip(found["concept"].to_pylist(), found["cosine"].to_pylist(), strict=True)
    return [(number, cosine) for number, cosine in pairs if direction[number] != concept.direction][:count]
