"""Claim: names of concepts are right where the truth is known, and given to few that have none.

Units are planted in real embeddings (`planted_embeddings.npz`, 50 ImageNet classes), split, and each concept is named: from the
labels; from labels under a hierarchy, where units fire for kinds of five classes and the kind is the right answer (or a
class, where it holds more than half of the exemplars); and from
a vocabulary by a made-up encoder of images and texts, in whose space each class has a direction that images and its name share
up to noise. No encoder that was trained on images and texts takes part: its weights cannot be had where this was measured.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from measuring import describe_machine, verdict

SHARED = Path(os.environ.get("MONOSEME_SHARED", "../shared")) / "data"
KIND = 5
"""Classes of a kind."""
SEED = 1000
WIDTH = 128
RIGHT, CHANCE = 0.95, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few units")
    parser.add_argument("--units", type=int, help="of each row: 200, or 20 with --quick")
    options = parser.parse_args()
    units = options.units or (20 if options.quick else 200)
    begin = time.perf_counter()
    with np.load(SHARED / "planted_embeddings.npz") as data:
        embeddings, labels = data["embeddings"].astype(np.float32), np.unique(data["labels"], return_inverse=True)[1]
    print(describe_machine("monoseme", "numpy", "scipy"))
    print(f"{units} units a row, classes to report on\n")
    print("| names from | units | concepts | named | right, of those named | random image sets named |")
    print("|---|---|---|---|---|---|")
    rows = [*from_labels(embeddings, labels, units), *kinds(embeddings, labels, units)]
    rows += list(vocabularies(embeddings, labels, units))
    right = min(graded.right for graded, has_answer in rows if has_answer)
    wrongly = max(graded.named for graded, has_answer in rows if not has_answer)
    print(f"\nleast share right: {verdict(right, RIGHT, at_least=True, quick=options.quick)} ({right:.3f})")
    print(
        f"most named where no name is right: {verdict(wrongly, CHANCE, at_least=False, quick=options.quick)} ({wrongly:.3f})"
    )
    print(f"{time.perf_counter() - begin:.0f} s")


def from_labels(embeddings: np.ndarray, labels: np.ndarray, units: int):
    """The class is the answer."""
    import monoseme as ms

    names = class_names(labels)
    for mixing in ("max", "sum"):
        _, bank, truth = planted(embeddings, labels, units, mixing)
        found = ms.name_concepts(bank, embeddings, ms.LabelNamer(names))
        yield tell("labels", f"{mixing} of classes", found, truth)
        mixed = np.random.default_rng(0).permutation(names)
        yield tell("labels, shuffled", f"{mixing} of classes", ms.name_concepts(bank, embeddings, ms.LabelNamer(mixed)))


def kinds(embeddings: np.ndarray, labels: np.ndarray, units: int):
    """Units that fire for kinds of five classes each, and units that fire for classes, under the same hierarchy."""
    import monoseme as ms

    names, kind = class_names(labels), kind_of(embeddings, labels)
    above = {f"class {each}": f"kind {kind[each]}" for each in range(len(kind))}
    above |= {f"kind {each}": "thing" for each in range(max(kind) + 1)}
    namer = ms.LabelNamer(names, above)
    for name, truth_labels, top in (("kind", kind[labels], 100), ("class", labels, 50)):
        _, bank, truth = planted(embeddings, truth_labels, units, "max", top, name)
        if name == "kind":
            truth = [{truth[each.number]} | most_of(names[each.image_ids]) for each in bank]
        yield tell(
            "labels and hierarchy",
            f"max of {name}{'s' if name == 'kind' else 'es'}",
            ms.name_concepts(bank, embeddings, namer),
            truth,
        )


def vocabularies(embeddings: np.ndarray, labels: np.ndarray, units: int):
    """All classes in the vocabulary, with as many texts of nothing; then only the texts of nothing."""
    import monoseme as ms

    _, bank, truth = planted(embeddings, labels, units, "max")
    for noise in (1.0, 2.0, 4.0):
        space, nothing = made_up_space(labels, noise)
        classes = [f"class {each}" for each in range(labels.max() + 1)]
        for words, said, answers in (
            (classes + nothing, "vocabulary", truth),
            (nothing, "vocabulary without them", None),
        ):
            found = ms.name_concepts(bank, embeddings, ms.VocabularyNamer(words, space, template="{}"))
            yield tell(f"{said}, noise {noise:g}", "max of classes", found, answers)


def planted(
    embeddings: np.ndarray, labels: np.ndarray, units: int, mixing: str, top: int = 50, word: str = "class"
) -> tuple:
    """Units of one to four sources, their bank, the name of each concept's source."""
    import monoseme as ms
    from monoseme.evaluation.planted import Sources, plant, true_source

    sources = Sources.of(embeddings, labels)
    made = plant(sources, units, (1, 2, 3, 4), mixing, top=top, classes=sources.half("report", 2 * top), seed=SEED)
    bank = ms.disentangle(embeddings, scores=made.scores, top=top, top_images=1, bootstrap=0, holdout=0.0)
    return made, bank, [f"{word} {sources.names[each]}" for each in true_source(made, bank)]


def most_of(names: np.ndarray) -> set[str]:
    """The class that more than half of the images are of, if any: it is right as well, though the unit fires for its kind."""
    found, counts = np.unique(names, return_counts=True)
    return {str(found[counts.argmax()])} if 2 * counts.max() > len(names) else set()


def class_names(labels: np.ndarray) -> np.ndarray:
    return np.array([f"class {each}" for each in labels])


def kind_of(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(classes,) kinds of five classes that lie near each other: the nearest four of the first that is left, and so on."""
    means = np.stack([embeddings[labels == each].mean(0) for each in range(labels.max() + 1)])
    means -= means.mean(0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    kind = np.full(len(means), -1)
    for number in range(-(-len(means) // KIND)):
        left = np.flatnonzero(kind < 0)
        nearest = left[np.argsort(-(means[left] @ means[left[0]]), kind="stable")[:KIND]]
        kind[nearest] = number
    return kind


def made_up_space(labels: np.ndarray, noise: float):
    """A space in which images and the name of their class share a direction; beside it texts of nothing, some near all images."""
    import monoseme as ms

    random = np.random.default_rng(SEED)
    classes = random.normal(size=(labels.max() + 1, WIDTH)) / WIDTH**0.5
    common = random.normal(size=WIDTH) / WIDTH**0.5  # images are apart from texts, as in trained encoders
    images = classes[labels] + 2 * common + noise * random.normal(size=(len(labels), WIDTH)) / WIDTH**0.5
    nothing = [f"nothing {each}" for each in range(len(classes))]
    texts = {
        f"class {each}": vector + 0.5 * random.normal(size=WIDTH) / WIDTH**0.5 for each, vector in enumerate(classes)
    }
    for place, name in enumerate(nothing):
        texts[name] = random.normal(size=WIDTH) / WIDTH**0.5 + (place % 2) * 2 * common
    return ms.TextSpace(
        images.astype(np.float32), lambda some: np.stack([texts[each] for each in some]), "made up"
    ), nothing


def tell(names: str, units: str, found, truth: list | None = None) -> tuple:
    """Print a row."""
    from monoseme.evaluation.planted import grade_names

    graded = grade_names(found, truth or ["-"] * len(found))
    right = "no right answer" if truth is None else f"{graded.right:.3f}"
    print(f"| {names} | {units} | {len(found)} | {graded.named:.3f} | {right} | {graded.by_chance:.3f} |", flush=True)
    return graded, truth is not None


if __name__ == "__main__":
    main()
