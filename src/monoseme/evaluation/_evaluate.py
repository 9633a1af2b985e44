"""A bank, its activations, and what else is known of the images: all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..banks import ConceptBank
from ..base import Activations, Labels, Reporter, Silent, UsageError, as_activations
from ._bootstrap import Floats, Ints
from ._dictionary import dictionary
from ._distances import Read, Reading, read
from ._evaluation import Evaluation
from ._figures import Figures
from ._images import images_to_rank, labels_for, require_fit
from ._independence import independence
from ._judge import RANDOM_SETS, Judge, Monosemanticity, judged
from ._paper import paper
from ._scores import show, ways_to_rank
from ._separation import ENRICHED, Ranking, exemplar_labels
from ._sets import Sets

MAX_IMAGES = 16_384


def evaluate(
    bank: ConceptBank,
    acts: Activations | npt.ArrayLike,
    *,
    labels: Labels | Sequence[object] | None = None,
    judge: Activations | npt.ArrayLike | None = None,
    judge_name: str | None = None,
    max_images: int = MAX_IMAGES,
    resamples: int = 1000,
    seed: int = 0,
    progress: Reporter | None = None,
) -> Evaluation:
    """Evaluate a concept bank: every figure with its baselines and a 95 % confidence interval.

    Intervals are percentiles of a bootstrap over directions, because concepts of one neuron are not independent; for coverage
    and variance, over images.

    Parameters
    ----------
    bank : ConceptBank
        From `disentangle` or `load_bank`.
    acts : Activations or (N, C) array
        The activations that it was made from.
    labels : Labels or sequence, optional
        For each of the N images None, text, a whole number, or a list of these. Images without a label do not take part.
    judge : Activations or (N, C2) array, optional
        The embeddings of the images by a second encoder. Where both sides know the images' digests, rows are matched by these.
    judge_name : str, optional
        Its model spec, to say how independent it is; by default what the activations say of themselves.
    max_images : int
        How many images are ranked at most; more are sampled.
    resamples : int
        Bootstrap samples.
    seed : int
        For everything random.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError
        Activations, labels or a judge that do not fit the bank or each other.

    Examples
    --------
    Neuron 0 fires for two unrelated things, and the labels know which:

    >>> from monoseme.splitting import disentangle
    >>> rng = np.random.default_rng(0)
    >>> centres = np.array([[9.0, 9, 0, 0], [9, 0, 9, 0], [0, 0, 0, 9]])
    >>> acts = (centres[np.arange(300) % 3] + rng.normal(size=(300, 4))).astype("float32")
    >>> bank = disentangle(acts, "published", select=[0], top=60, distance_threshold=30.0)
    >>> found = evaluate(bank, acts, labels=np.arange(300) % 3)
    >>> found.value("label purity"), found.value("label purity", "neurons")
    (1.0, 0.5...)
    """
    acts, progress = as_activations(acts), progress or Silent()
    _check(bank, acts, max_images, resamples)
    known_labels = _labels(labels, acts.shape[0])
    looking_on = None if judge is None else Judge.of(judge, acts)
    random = np.random.default_rng(seed)
    concepts = Sets.of(bank)
    figures = Figures(concepts.split, resamples, seed)
    pool, scored, facts = images_to_rank(bank, acts, concepts, max_images, random)
    variants = {
        "concepts": concepts,
        "random partitions": concepts.shuffled(random),
        "neurons": concepts.unsplit(),
    }
    drawn = concepts.some(RANDOM_SETS).drawn(np.flatnonzero(pool), random)
    layer = _reader(bank, acts)
    with progress.task("reading exemplars", len(concepts.rows) + len(drawn.rows), "directions") as task:
        reading = read(concepts.rows, variants, layer, task)
        by_chance = read(drawn.rows, {"random sets": drawn}, layer, task)
    info: dict[str, Any] = {"layer": bank.layer, "concepts": len(bank), "directions": len(bank.directions), **facts}
    notes: list[str] = []
    paper(bank, variants, reading, by_chance.distances.mean(1) if by_chance.distances.size else np.zeros(0), figures)
    means = {**reading.means, **by_chance.means}
    looks: list[Ranking | Monosemanticity] = []
    enriched, names = ENRICHED.empty_table(), None
    if known_labels is None:
        notes.append("no labels: purity, enrichment and retrieval are absent")
    else:
        label, shuffled, enriched = exemplar_labels(variants, known_labels, pool, figures, random)
        names = [known_labels.names[each] if each >= 0 else None for each in label.tolist()]
        info["labels"] = {"names": len(known_labels.names), "images": int(known_labels.labelled.sum())}
        if not facts["ranked"]["held_out"]:
            notes.append(
                "no held-out images: neurons are ranked without the exemplars that they chose, which is harder on them than "
                "on concepts; split with a holdout to compare the two"
            )
        looks.append(Ranking(scored, concepts.direction, label, shuffled, known_labels))
    if looking_on is None or judge is None:
        notes.append("no judge: the figures of a second encoder are absent")
    else:
        looks.append(Monosemanticity(looking_on, scored, concepts.direction, random))
        _look_on(looking_on, variants, drawn, reading, figures, random, progress)
        info["judge"] = _about_judge(looking_on, acts, judge, judge_name)
    ways = ways_to_rank(bank, concepts, reading.means["concepts"], scored, random)
    if looks:
        with progress.task("ranking images", len(ways) * len(bank), "concepts") as task:
            show(ways, scored, looks, task)
        for look in looks:
            look.put(figures)
    dictionary(bank, {**variants, "random sets": drawn}, means, scored.embeddings, pool, figures, random)
    info |= {"seed": seed, "resamples": resamples, "notes": notes}
    return Evaluation(figures.table(), _concepts(bank, concepts, names, figures.columns), enriched, info)


def _check(bank: ConceptBank, acts: Activations, max_images: int, resamples: int) -> None:
    for name, number in (("max_images", max_images), ("resamples", resamples)):
        if not isinstance(number, int | np.integer) or number < 1:
            raise UsageError(f"{name} must be a whole number of at least 1, not {number!r}")
    require_fit(bank, acts)


def _labels(labels: Labels | Sequence[object] | None, images: int) -> Labels | None:
    if labels is None:
        return None
    known = labels_for(labels, images)
    return known if known.names else None


def _reader(bank: ConceptBank, acts: Activations) -> Read:
    """Image numbers -> embeddings in the bank's frame."""

    def embeddings(rows: Ints) -> npt.NDArray[np.float32]:
        out = np.empty((len(rows), acts.shape[1]), dtype=np.float32)
        acts.take(rows, out)
        return bank.frame(out)

    return embeddings


def _look_on(
    judge: Judge,
    variants: Mapping[str, Sets],
    drawn: Sets,
    layer: Reading,
    figures: Figures,
    random: np.random.Generator,
    progress: Reporter,
) -> None:
    seen = {name: sets.within(judge.known) for name, sets in variants.items()}
    by_chance = drawn.within(judge.known)
    with progress.task("asking the judge", len(by_chance.rows) + len(seen["concepts"].rows), "directions") as task:
        reading = read(seen["concepts"].rows, seen, judge, task)
        chance = read(by_chance.rows, {"random sets": by_chance}, judge, task)
        judged(judge, seen, layer, reading, {"random sets": (by_chance, chance)}, figures, random)


def _about_judge(
    judge: Judge, acts: Activations, given: Activations | npt.ArrayLike, name: str | None
) -> dict[str, Any]:
    mine, theirs = acts.provenance(), given.provenance() if isinstance(given, Activations) else {}
    name = name if name is not None else theirs.get("model")
    weights = mine.get("weights_digest"), theirs.get("weights_digest")
    same = None if None in weights else weights[0] == weights[1]
    return {
        "name": name,
        "layer": given.name if isinstance(given, Activations) else None,
        "matched": int(judge.known.sum()),
        "images": acts.shape[0],
        "independence": independence(mine.get("model"), name, same_weights=same),
    }


def _concepts(
    bank: ConceptBank, concepts: Sets, names: list[str | None] | None, columns: Mapping[str, Floats]
) -> pa.Table:
    content: dict[str, Any] = {name: bank.concepts[name] for name in ("concept", "key", "direction")}
    content["size"] = concepts.sizes
    if names is not None:
        content["label"] = pa.array(names, pa.string())
    for name, values in columns.items():
        whole = pa.int64() if name in ("nearest_concept", "neurons_90") else pa.float64()
        content[name] = pa.array(np.asarray(values, np.float64), mask=~np.isfinite(values)).cast(whole)
    return pa.table(content)
