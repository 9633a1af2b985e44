"""Concepts as Captum has them: CAV files, and ``Concept`` objects over folders of images."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...banks import Concept, ConceptBank
from ...base import MissingExtraError, UsageError, first_line
from ...runs import Run, model_of
from .._asked import layer_of, pooling_of
from .._folders import KIND, MANIFEST
from .._sets import named, planned
from ._job import Job

if TYPE_CHECKING:
    from captum.concept import Concept as CaptumConcept

    from ...models import Model

CAVS, MODEL_ID = "cavs", "default_model_id"
MOST_POSITIONS = 1 << 20

Spread = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def captum_writer(
    bank: ConceptBank, run: Run, random_sets: int, model: Model | str | None, positions: Sequence[int] | None
) -> Callable[[Path, Job], None]:
    """What writes CAVs and folders of images; that the layer's positions are known is made sure of before anything is written.

    Raises
    ------
    UsageError
        They are not, the layer's name cannot be part of a file's name, or there are to be no random sets.
    """
    if random_sets < 1:
        raise UsageError("captum compares a concept with a random set; ask for at least one")
    if "/" in bank.layer or len(bank.layer) > 150:
        raise UsageError(
            f"Captum names files by the layer, and {bank.layer} cannot be part of a file's name; rename the layer"
        )
    spread = _spread(bank, run, model, positions)

    def write(partial: Path, job: Job) -> None:
        folders = []
        if job.source is not None:
            folders = planned(bank, run, job.directions, job.concepts, False, random_sets, job.most, job.seed)
        job.write(partial, "captum", folders, {"captum": _write_cavs(partial, job, spread)})

    return write


def _spread(bank: ConceptBank, run: Run, model: Model | str | None, positions: Sequence[int] | None) -> Spread:
    """What makes a vector (C,) one over a layer's flattened output: repeated where the bank's pooling read it, zero elsewhere."""
    column = run.manifest.find(bank.layer, bank.pooling or "mean")
    layout = "NC" if column is None else column.layout
    here = np.ones((), dtype=np.float32)
    if layout != "NC":
        stated = positions is not None and (run.manifest.imported or layout != "NLC")
        here = _stated(bank, layout, positions) if stated else _as_pooled(bank, run, model)
    elif positions is not None:
        raise UsageError(f"layer {bank.layer} has no positions; leave them out")
    if layout == "NCHW":
        return lambda vector: np.multiply.outer(vector, here).reshape(-1)
    return lambda vector: np.multiply.outer(here, vector).reshape(-1)


def _stated(bank: ConceptBank, layout: str, positions: Sequence[int] | None) -> npt.NDArray[np.float32]:
    """Ones at as many positions as the user says."""
    shape = tuple(int(each) for each in positions or ())
    wanted = 1 if layout == "NLC" else 2
    if len(shape) != wanted or min(shape) < 1 or math.prod(shape) > MOST_POSITIONS:
        axes = "tokens, so one number" if wanted == 1 else "maps, so two numbers"
        raise UsageError(f"layer {bank.layer} has {axes} of positions, not {'x'.join(map(str, shape))}")
    return np.ones(shape, dtype=np.float32)


def _as_pooled(bank: ConceptBank, run: Run, model: Model | str | None) -> npt.NDArray[np.float32]:
    """Ones at the positions that the model's layer pools, zeros at its other tokens."""
    if run.manifest.imported:
        raise UsageError(
            f"{run.path} holds imported embeddings and does not know how many positions layer {bank.layer} has; say it with "
            "positions, such as 7x7 for maps or 197 for tokens"
        )
    network = model_of(run, model)
    info = layer_of(bank, network, None)
    if info.layout != "NLC":
        return np.ones(info.shape[1:] if info.layout == "NCHW" else info.shape[:-1], dtype=np.float32)
    here = np.zeros(info.shape[0], dtype=np.float32)
    if pooling_of(bank, info, None, network.spec) == "cls":
        here[0] = 1
    else:
        here[info.prefix_tokens :] = 1
    return here


def _write_cavs(partial: Path, job: Job, spread: Spread) -> dict[str, Any]:
    """A CAV file for each concept and random set; what they are, for the manifest.

    Captum names a file by the ids of its concepts and the layer, and keeps a row of weights for each concept: the vector, and
    for the random set its opposite.
    """
    import torch

    bank = job.bank
    folder = partial / CAVS / MODEL_ID
    folder.mkdir(parents=True)
    sets = []
    for place, concept in enumerate(job.concepts):
        mine = named(bank, concept, None).folder
        vector = spread(_raw(bank, concept))
        for number in range(job.random_sets):
            pair = [
                {"id": concept.number, "name": mine},
                {"id": len(bank) + place * job.random_sets + number, "name": f"{mine}_random-{number}"},
            ]
            ids = [each["id"] for each in pair]
            content = {
                "concept_ids": ids,
                "concept_names": [each["name"] for each in pair],
                "layer": bank.layer,
                "stats": {"weights": torch.from_numpy(np.stack([vector, -vector])), "classes": ids, "key": concept.key},
            }
            torch.save(content, folder / f"{'-'.join(map(str, ids))}-{bank.layer}.pkl")
            sets.append(pair)
    return {"layer": bank.layer, "model_id": MODEL_ID, "save_path": CAVS, "experimental_sets": sets}


def _raw(bank: ConceptBank, concept: Concept) -> npt.NDArray[np.float32]:
    """The unit vector (C,) along which raw embeddings move when the concept is steered."""
    if bank.frame.scale is None:
        return concept.vector
    moved = concept.vector * bank.frame.scale
    return np.asarray(moved / np.linalg.norm(moved), dtype=np.float32)


def captum_concepts(
    folder: str | PathLike[str], read: Callable[[str], Any] | None = None, *, batch_size: int = 64
) -> list[list[CaptumConcept]]:
    """The ``captum.concept.Concept`` objects of an export: Captum's experimental sets, each a concept and a random set.

    Parameters
    ----------
    folder : path
        What ``export_bank(..., "captum")`` has written.
    read : callable, optional
        From a file's path to a tensor as the model takes it, without the batch. Needed only where Captum looks at images:
        the CAVs are there already.
    batch_size : int
        Images that Captum passes through the model at once.

    Raises
    ------
    MissingExtraError
        Captum is not installed.
    UsageError
        The folder is no such export, or `read` is given and it has no pictures.

    Examples
    --------
    With an export in ``cats/``, and a network whose class 281 is asked for its concepts::

        tcav = captum.concept.TCAV(network, "layer4", save_path="cats/cavs")
        tcav.interpret(inputs, ms.captum_concepts("cats"), target=281)
    """
    path = Path(folder)
    try:
        content = json.loads((path / MANIFEST).read_bytes())
        sets = [
            [(int(each["id"]), str(each["name"])) for each in pair] for pair in content["captum"]["experimental_sets"]
        ]
        if content["kind"] != KIND or any("/" in name or name.startswith(".") for pair in sets for _, name in pair):
            raise ValueError("its names are not those of an export")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"{path} is no export for Captum ({first_line(error, 160)}); make one with monoseme export"
        ) from error
    try:
        from captum.concept import Concept as CaptumConcept
        from captum.concept._utils.data_iterator import CustomIterableDataset, dataset_to_dataloader
    except ImportError as error:
        raise MissingExtraError("making Captum's concepts", package="captum", extra="captum") from error

    def loader(name: str) -> Any:
        if read is None:
            return None
        if not (path / name).is_dir():
            raise UsageError(f"{path} has no pictures of {name}; export them as well")
        return dataset_to_dataloader(CustomIterableDataset(read, f"{path / name}/"), batch_size)

    return [[CaptumConcept(number, name, loader(name)) for number, name in pair] for pair in sets]
