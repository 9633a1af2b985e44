"""Folders of images for concept-based tools: a folder for each concept, its dropped images and random ones."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..banks import ConceptBank
from ..base import Reporter, Silent, UsageError, digest_bytes, whole_folder
from ..runs import Originals, Run, originals
from ._sets import Folder, chosen, planned

if TYPE_CHECKING:
    from ..images import ImageSource

MANIFEST, KIND, FORMAT = "manifest.json", "monoseme images", 1


def export_images(
    bank: ConceptBank,
    run: Run,
    out: str | PathLike[str],
    *,
    directions: Iterable[int] | None = None,
    concepts: Iterable[int] | None = None,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None,
    dropped: bool = True,
    random_sets: int = 2,
    most: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Reporter | None = None,
) -> Path:
    """Copy the images of concepts, and as many random ones, into folders as TCAV reads them.

    A folder holds images and nothing else, and its name is the name of the concept: Captum's ``CustomIterableDataset`` reads
    it when its path ends with a slash, the original TCAV when `out` is its ``source_dir``. For neuron 35 and its concept 12:

    - ``neuron-35_concept-12``: the concept's exemplars, strongest first;
    - ``neuron-35_concept-12_random-0``, ``-1``, ...: as many random images each;
    - ``neuron-35_dropped``: the exemplars that belong to no concept.

    Files are the originals, byte for byte, unless a program that opens them would not see what the model saw (a patch has no
    file of its own; a photograph may be upright only by its EXIF, transparent, or deeper than 8 bits); then they are PNG of
    the upright pixels. A file's name is its place, a short form of its label, and its image_id. ``manifest.json`` says for
    each what it is in full, and whether it is the original. Equal inputs give equal bytes.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from.
    out : path
        A folder to make; written whole or not at all.
    directions : iterable of int, optional
        Neurons (or rows of the directions) of which to export all concepts. By default, if no `concepts` are named either,
        the five whose concepts are told apart most clearly (``bank.most_split(5)``).
    concepts : iterable of int, optional
        Single concepts.
    images : optional
        Where the images are now, if they have moved, as `embed` takes it.
    dropped : bool
        Whether to export the exemplars that belong to no concept as well.
    random_sets : int
        How many random sets for each concept. They are drawn from the images that are no exemplars of the concept's
        direction, nor copies of one, each set without repeats; those of a concept depend on `seed` and the concept alone. The
        original TCAV needs at least 2; for a test against chance take 10 or more.
    most : int, optional
        The most images of a concept (the strongest) and of those dropped. By default all.
    seed : int
        For the random sets.
    overwrite : bool
        Replace a folder that an earlier export has written.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    UsageError
        There is no such direction or concept, the bank was not made from the run, the images are no longer where they were,
        there are too few for the random sets, or `out` exists and is no export or is not to be replaced.
    MonosemeError
        An image is gone or has changed, or the folder cannot be written.

    Examples
    --------
    Captum reads a folder like this::

        from captum.concept import Concept
        from captum.concept._utils.data_iterator import CustomIterableDataset, dataset_to_dataloader

        folder = ms.export_images(bank, run, "tcav", directions=[35])
        files = CustomIterableDataset(read, f"{folder}/neuron-35_concept-12/")  # read: path -> tensor (3, H, W)
        concept = Concept(0, "neuron-35_concept-12", dataset_to_dataloader(files))

    Notes
    -----
    Kim et al., Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation Vectors (TCAV), ICML
    2018; its code reads ``source_dir/CONCEPT/*`` and takes the names of random sets as ``random_concepts``.
    """
    target, progress = Path(out), progress or Silent()
    check_numbers(random_sets, most)
    check_target(target, overwrite)
    if not bank.is_of(len(run), run.manifest.images["digest"]):
        raise UsageError(
            f"the bank was not made from {run.path}, which holds {len(run):,} images; give the run it was made from"
        )
    folders = planned(bank, run, *chosen(bank, directions, concepts), dropped, random_sets, most, seed)
    asked = {"random_sets": random_sets, "most": most, "dropped": dropped, "seed": seed}
    with originals(run, images) as source, whole_folder(target, replace=overwrite) as partial:
        write_folders(partial, folders, bank, run, source, asked, progress)
    return target


def write_folders(
    partial: Path,
    folders: Sequence[Folder],
    bank: ConceptBank,
    run: Run,
    source: Originals,
    asked: dict[str, Any],
    progress: Reporter,
) -> None:
    """Folders of images below `partial`, and a manifest that says of each file what it is."""
    wanted, stems = _by_image(folders, run)
    facts = run.images(wanted, ["image_id", "uri", "digest", "label"]).to_pylist()
    listed: dict[tuple[int, int], dict[str, Any]] = {}
    for each in folders:
        (partial / each.folder).mkdir()
    total = sum(len(places) for places in stems.values())
    with progress.task("copying images", total, "images") as task:
        for fact, (content, suffix) in zip(facts, source.files(wanted), strict=True):
            original = digest_bytes(content) == fact["digest"]
            for number, place, stem in stems[fact["image_id"]]:
                name = f"{stem}{suffix}"
                (partial / folders[number].folder / name).write_bytes(content)
                listed[number, place] = {"file": name, "original": original, **fact}
                task.advance()
    rows = [
        {**_described(each), "files": [listed[number, place] for place in range(len(each.images))]}
        for number, each in enumerate(folders)
    ]
    write_manifest(partial, bank, {**asked, "folders": rows})


def write_manifest(partial: Path, bank: ConceptBank, content: dict[str, Any]) -> None:
    """What an export is, of which bank, in ``manifest.json``; equal content gives equal bytes."""
    about = {
        "kind": KIND,
        "format": FORMAT,
        "bank": {name: bank.info.get(name) for name in ("layer", "method", "parameters", "activations")},
    }
    text = json.dumps({**about, **content}, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")


def check_numbers(random_sets: int, most: int | None) -> None:
    for name, number, least in (("random_sets", random_sets, 0), ("most", most, 1)):
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if number is not None and (not whole or number < least):
            raise UsageError(f"{name} must be a whole number of at least {least}, not {number!r}")


def check_target(target: Path, overwrite: bool) -> None:
    """What is there is replaced only if it is an export and the user says so."""
    if not target.exists():
        return
    if not overwrite:
        raise UsageError(f"{target} exists already; choose another folder, or ask to overwrite it")
    if not target.is_dir() or (any(target.iterdir()) and not _is_export(target)):
        raise UsageError(f"{target} is not an export of images and not empty; choose another folder")


def _is_export(target: Path) -> bool:
    try:
        return bool(json.loads((target / MANIFEST).read_bytes())["kind"] == KIND)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _by_image(folders: Sequence[Folder], run: Run) -> tuple[list[int], dict[int, list[tuple[int, int, str]]]]:
    """Image numbers in order, so that each is read once, and for each the places it goes to: folder, place, stem of the file."""
    wanted = sorted({image for each in folders for image in each.images})
    labels = run.images(wanted, ["label"])["label"].to_pylist()
    named = {image: f"{short(label or '')}_{image}".lstrip("_") for image, label in zip(wanted, labels, strict=True)}
    stems: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for number, each in enumerate(folders):
        digits = max(3, len(str(len(each.images) - 1)))
        for place, image in enumerate(each.images):
            stems[image].append((number, place, f"{place:0{digits}d}_{named[image]}"))
    return wanted, stems


def short(label: str, limit: int = 40) -> str:
    """A label as a part of a file name on any system: ASCII letters, digits and single hyphens.

    >>> short("../../Café au lait"), short("\\u202e")
    ('Cafe-au-lait', '')
    """
    plain = unicodedata.normalize("NFKD", label[: 4 * limit]).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:limit].rstrip("-")


def _described(folder: Folder) -> dict[str, Any]:
    return {name: value for name, value in asdict(folder).items() if name != "images"}
