"""A bank goes out in the format of another tool: written aside, then renamed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ...banks import ConceptBank, load_bank
from ...base import MonosemeError, Reporter, Silent, UsageError, did_you_mean, join_words, whole_folder
from ...runs import Run, originals
from .._asked import run_of_bank
from .._folders import check_numbers, check_target
from .._sets import chosen
from ._captum import captum_writer
from ._fiftyone import write_fiftyone
from ._hub import write_hub
from ._job import Job
from ._tcav import write_tcav

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
        For Captum: that number itself, such as (7, 7) for maps; then no model is loaded. Of tokens (197,) only where they were
        imported, for a model's class token and registers must be told from its patches.
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
    loaded, target = bank if isinstance(bank, ConceptBank) else load_bank(bank), Path(out)
    if format == "hub":
        if directions is not None or concepts is not None:
            raise UsageError("the hub's format holds the whole bank; leave out the directions and concepts")
        return write_hub(loaded, target, _run_if_there(loaded, run), license, overwrite)
    if license is not None:
        raise UsageError(f"a license goes on the card of the hub's format; {format} has none")
    if not pictures and format != "captum":
        raise UsageError(f"the format {format} is made of pictures; only captum's can do without")
    sets = RANDOM_SETS.get(format, 0) if random_sets is None else random_sets
    check_numbers(sets, most)
    check_target(target, overwrite)
    opened = run_of_bank(loaded, run, "which has the images")
    which, wanted = chosen(loaded, directions, concepts)
    write = (
        captum_writer(loaded, opened, sets, model, positions)
        if format == "captum"
        else {"tcav": write_tcav, "fiftyone": write_fiftyone}[format]
    )
    with (
        originals(opened, images) if pictures else nullcontext() as source,
        whole_folder(target, replace=overwrite) as partial,
    ):
        write(partial, Job(loaded, opened, which, wanted, source, sets, most, seed, progress or Silent()))
    return target


def _run_if_there(bank: ConceptBank, run: Run | str | PathLike[str] | None) -> Run | None:
    """The run that is named, else the one that the bank lies in if it can be opened."""
    if run is not None:
        return run_of_bank(bank, run, "")
    try:
        return None if bank.run is None else run_of_bank(bank, None, "")
    except MonosemeError:
        return None
