"""A bank goes out in the format of another tool: written aside, then renamed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ...banks import ConceptBank, load_bank
from ...base import Reporter, Silent, UsageError, did_you_mean, join_words, whole_folder
from ...runs import Run, originals
from .._asked import run_of_bank
from .._folders import check_numbers, check_target, write_folders, write_manifest
from .._sets import chosen, named, planned, planned_for_tcav
from ._captum import positions_of, write_cavs
from ._fiftyone import write_fiftyone
from ._hub import write_hub

if TYPE_CHECKING:
    from ...images import ImageSource
    from ...models import Model

Format = Literal["captum", "tcav", "hub", "fiftyone"]
FORMATS: tuple[str, ...] = get_args(Format)
RANDOM_SETS = {"captum": 1, "tcav": 10}


def export_bank(
    bank: ConceptBank | str | PathLike[str],
    out: str | PathLike[str],
    format: Format,  # noqa: A002 - the word that users look for
    *,
    run: Run | str | PathLike[str] | None = None,
    directions: Iterable[int] | None = None,
    concepts: Iterable[int] | None = None,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None,
    pictures: bool = True,
    model: Model | str | None = None,
    positions: Sequence[int] | None = None,
    random_sets: int | None = None,
    most: int | None = None,
    seed: int = 0,
    license: str | None = None,  # noqa: A002 - as the card calls it
    overwrite: bool = False,
    progress: Reporter | None = None,
) -> Path:
    """Write a bank for another tool.

    ============  ===========================================================================================================
    format        what is written
    ============  ===========================================================================================================
    ``captum``    a folder of images for each concept and for its random set, and ``cavs/`` as ``captum.concept.CAV.load`` and
                  ``TCAV(..., save_path="OUT/cavs")`` read them; `captum_concepts` makes the ``Concept`` objects
    ``tcav``      a ``source_dir`` of the original TCAV: a folder of images for each concept, and ``random500_0``, ...
    ``hub``       the bank itself with a model card, for ``huggingface_hub.upload_folder``; `load_bank` reads the folder
    ``fiftyone``  a ``FiftyOneImageClassificationDataset``: the exemplars with their concepts, and ``embeddings.npy``
    ============  ===========================================================================================================

    Nothing is pickled but Captum's CAVs, whose format that is: tensors, numbers and text, which ``torch.load`` reads with
    ``weights_only=True``.

    Parameters
    ----------
    bank : ConceptBank or path
        The bank.
    out : path
        A folder to make; written whole or not at all.
    format : "captum", "tcav", "hub" or "fiftyone"
        See above.
    run : Run or path, optional
        The run that the bank was made from, where the bank does not lie in it. The hub's format does without, but tells more
        with it.
    directions, concepts : iterable of int, optional
        Which neurons' (or other directions') concepts, and which single ones; by default those of the five directions whose
        concepts are told apart most clearly. The hub gets the whole bank.
    images : optional
        Where the images are now, if they have moved, as `embed` takes it.
    pictures : bool
        Without pictures only Captum's CAVs are written, and no image is needed.
    model : Model or str, optional
        For Captum: the run's model, where its record is not enough to load it. It says how many positions the layer has.
    positions : sequence of int, optional
        For Captum: that number itself, such as (7, 7) for maps, or (197,) for tokens; then no model is loaded.
    random_sets : int, optional
        For Captum of each concept (1 by default), for TCAV in all (10).
    most : int, optional
        The most images of a concept, strongest first; all by default.
    seed : int
        For the random sets.
    license : str, optional
        For the hub: the identifier to put on the card, such as "cc-by-4.0"; none by default.
    overwrite : bool
        Replace what an earlier export in the same format has written.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    UsageError
        There is no such format, direction or concept; the run or its images are not at hand; the layer's positions are not
        known; there are too few images for random sets; or `out` is there and is not to be replaced.
    MonosemeError
        An image is gone or has changed, or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import monoseme as ms
    >>> import numpy as np
    >>> embeddings = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    >>> bank = ms.disentangle(embeddings, "published", top=30, distance_threshold=6.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ms.export_bank(bank, f"{folder}/mine", "hub")
    ...     len(ms.load_bank(f"{folder}/mine")) == len(bank)
    PosixPath('.../mine')
    True

    Notes
    -----
    A concept is steered by its vector at every position, so that is its CAV: for a layer with maps or tokens the vector is
    repeated over the positions that were pooled (for a class token it stands at that token alone). The product with a
    gradient is then the derivative of the output by the concept's projection.
    """
    if format not in FORMATS:
        raise UsageError(
            f"there is no format {format!r}, only {join_words(FORMATS, 'and')}{did_you_mean(format, FORMATS)}"
        )
    loaded = bank if isinstance(bank, ConceptBank) else load_bank(bank)
    target, progress = Path(out), progress or Silent()
    if format == "hub":
        if directions is not None or concepts is not None:
            raise UsageError("the hub's format holds the whole bank; leave out the directions and concepts")
        return write_hub(
            loaded,
            target,
            None if run is None and loaded.run is None else run_of_bank(loaded, run, ""),
            license,
            overwrite,
        )
    if license is not None:
        raise UsageError(f"a license goes on the card of the hub's format; {format} has none")
    if not pictures and format != "captum":
        raise UsageError(f"the format {format} is made of pictures; only captum's can do without")
    sets = RANDOM_SETS.get(format, 0) if random_sets is None else random_sets
    check_numbers(sets, most)
    if format == "captum" and sets < 1:
        raise UsageError("captum compares a concept with a random set; ask for at least one")
    check_target(target, overwrite)
    opened = run_of_bank(loaded, run, "which has the images")
    which, wanted = chosen(loaded, directions, concepts)
    asked: dict[str, Any] = {"export": format, "random_sets": sets, "most": most, "seed": seed}
    if format == "captum":
        where = positions_of(loaded, opened, model, positions)
    with (
        originals(opened, images) if pictures else nullcontext() as source,
        whole_folder(target, replace=overwrite) as partial,
    ):
        if format == "fiftyone":
            assert source is not None
            write_fiftyone(
                partial, loaded, opened, [named(loaded, each, most) for each in wanted], source, asked, progress
            )
            return target
        if format == "tcav":
            folders = planned_for_tcav(loaded, opened, wanted, sets, most, seed)
        else:
            folders = planned(loaded, opened, which, wanted, False, sets if pictures else 0, most, seed)
            asked["captum"] = write_cavs(partial, loaded, wanted, sets, where)
        if source is not None:
            write_folders(partial, folders, loaded, opened, source, asked, progress)
        else:
            write_manifest(partial, loaded, {**asked, "folders": []})
    return target
