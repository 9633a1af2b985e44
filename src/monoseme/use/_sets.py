"""Which images go into which folder: those of concepts, those dropped, and random ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..banks import Concept, ConceptBank
from ..base import UsageError, counted, digest_text
from ..runs import Run

MOST_TELLING = 5
TCAV_IMAGES = 500

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Folder:
    """One folder of an export: which images, strongest first, and why."""

    folder: str
    role: str
    """concept, dropped or random"""
    direction: int | None
    concept: int | None
    key: str | None
    set: int | None
    """Number of a random set."""
    images: tuple[int, ...]


def chosen(
    bank: ConceptBank, directions: Iterable[int] | None, concepts: Iterable[int] | None
) -> tuple[list[int], list[Concept]]:
    """The directions to export, in the order given, and the concepts, by direction."""
    singles = [bank[number] for number in dict.fromkeys(concepts or ())]
    if directions is None and concepts is None:
        directions = bank.most_split(MOST_TELLING)
        if not directions:
            raise UsageError("no direction of the bank has more than one concept; name those to export")
    whole = dict.fromkeys(int(direction) for direction in directions or ())
    found = {concept.number: concept for direction in whole for concept in bank.for_direction(direction)}
    found |= {concept.number: concept for concept in singles}
    if not found:
        raise UsageError("there is nothing to export: the directions named have no concepts, or none were named")
    return list(whole | dict.fromkeys(concept.direction for concept in singles)), list(found.values())


def planned(
    bank: ConceptBank,
    run: Run,
    directions: Sequence[int],
    concepts: Sequence[Concept],
    dropped: bool,
    random_sets: int,
    most: int | None,
    seed: int,
) -> list[Folder]:
    """The folders of an export: by direction, of its concepts with their random sets, then of its dropped images."""
    start = bank.start_name.replace(" ", "-")
    contents = _contents(run)
    found = []
    for direction in directions:
        exemplars = bank.exemplars_of(direction)
        ids = exemplars["image_id"].to_numpy()
        pool = _others(contents, ids)
        for concept in (each for each in concepts if each.direction == direction):
            mine = named(bank, concept, most)
            found.append(mine)
            for number in range(random_sets):
                drawn = _drawn(pool, len(mine.images), concept, number, seed)
                found.append(
                    Folder(
                        f"{mine.folder}_random-{number}",
                        "random",
                        direction,
                        concept.number,
                        concept.key,
                        number,
                        drawn,
                    )
                )
        kept = set(ids[exemplars["concept"].is_valid().to_numpy(zero_copy_only=False)])
        out = [image for image in dict.fromkeys(ids) if image not in kept][:most]  # a band may have what another drops
        if dropped and out:
            found.append(Folder(f"{start}-{direction}_dropped", "dropped", direction, None, None, None, _tuple(out)))
    return found


def _contents(run: Run) -> Ids:
    """(N,) a number for each image that exact copies share."""
    digests = run.images(columns=["digest"])["digest"].combine_chunks().dictionary_encode()
    return np.asarray(digests.indices.to_numpy(), dtype=np.int64)


def _others(contents: Ids, exemplars: Ids) -> Ids:
    """Images that are neither exemplars nor copies of one; of copies the first alone."""
    first = np.unique(contents, return_index=True)[1]
    taken = contents.take(exemplars, mode="clip")  # a number that is no image's is told of when the images are read
    return np.sort(first[~np.isin(contents[first], taken)])


def _drawn(pool: Ids, size: int, concept: Concept, number: int, seed: int) -> tuple[int, ...]:
    """A random set, the same whatever else is exported."""
    if size > len(pool):
        raise UsageError(
            f"only {counted(len(pool), 'image')} could be drawn at random (no exemplar of direction {concept.direction}, "
            f"no copies), but concept {concept.number} has {size:,}; export fewer images of each concept, or no random sets"
        )
    state = int(digest_text(str(seed), concept.key, str(number)), 16)
    return _tuple(np.random.default_rng(state).choice(pool, size, replace=False))


def planned_for_tcav(
    bank: ConceptBank, run: Run, concepts: Sequence[Concept], random_sets: int, most: int | None, seed: int
) -> list[Folder]:
    """The folders of concepts, then ``random500_0``, ``random500_1``, ... of images that are exemplars of none of the directions.

    The original TCAV looks for sets of these names when it is told of no others. They hold up to 500 images, but no more than
    half of those that could be drawn, so that sets differ.
    """
    folders = [named(bank, concept, most) for concept in concepts]
    ids = [bank.exemplars_of(direction)["image_id"].to_numpy() for direction in {each.direction for each in concepts}]
    pool, largest = _others(_contents(run), np.concatenate(ids)), max(len(each.images) for each in folders)
    if random_sets and largest > len(pool):
        raise UsageError(
            f"only {counted(len(pool), 'image')} could be drawn at random (no exemplar of the directions, no copies), but a concept "
            f"has {largest:,}; export fewer images of each concept, or fewer directions"
        )
    size = min(TCAV_IMAGES, max(largest, len(pool) // 2))
    for number in range(random_sets):
        state = int(digest_text(str(seed), "random500", str(number)), 16)
        drawn = _tuple(np.random.default_rng(state).choice(pool, size, replace=False))
        folders.append(Folder(f"random500_{number}", "random", None, None, None, number, drawn))
    return folders


def named(bank: ConceptBank, concept: Concept, most: int | None) -> Folder:
    """The folder of a concept; its name has no more than letters, digits, hyphens and an underscore."""
    name = f"{bank.start_name.replace(' ', '-')}-{concept.direction}_concept-{concept.number}"
    return Folder(
        name, "concept", concept.direction, concept.number, concept.key, None, _tuple(concept.image_ids[:most])
    )


def _tuple(ids: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(image) for image in ids)
