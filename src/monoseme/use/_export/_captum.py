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
from .._sets import named

if TYPE_CHECKING:
    from captum.concept import Concept as CaptumConcept

    from ...models import Model

CAVS, MODEL_ID = "cavs", "default_model_id"

Spread = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def positions_of(bank: ConceptBank, run: Run, model: Model | str | None, positions: Sequence[int] | None) -> Spread:
    """What makes a vector (C,) one over a layer's flattened output.

    Raises
    ------
    UsageError
        The number of positions does not fit the layer, or is not known.
    """
    found = run.manifest.find(bank.layer, bank.pooling or "mean")
    layout = "NC" if found is None else found.layout
    wanted = {"NC": 0, "NCHW": 2, "NHWC": 2, "NLC": 1}[layout]
    prefix, shape = 0, None if positions is None else tuple(int(each) for each in positions)
    pooling = bank.pooling or "mean"
    if shape is None and wanted and run.manifest.imported:
        raise UsageError(
            f"{run.path} holds imported embeddings and does not know how many positions layer {bank.layer} has; say it with "
            f"positions, such as {'7x7' if wanted == 2 else '197'}"
        )
    if shape is None and wanted:
        network = model_of(run, model)
        info = layer_of(bank, network, None)
        pooling_of(bank, info, None, network.spec)
        shape = info.shape[1:] if layout == "NCHW" else info.shape[:-1]
        prefix = info.prefix_tokens
    elif layout == "NLC":
        prefix = int(run.manifest.model.get("prefix_tokens") or (1 if pooling == "cls" else 0))
    shape = shape or ()
    if len(shape) != wanted or min(shape, default=1) < 1 or math.prod(shape) > 2**24:
        axes = {0: "no positions", 1: "tokens, so one number", 2: "maps, so two numbers"}[wanted]
        raise UsageError(f"layer {bank.layer} has {axes} of positions, not {'x'.join(map(str, shape)) or 'none'}")
    here = np.ones(shape, dtype=np.float32)
    if layout == "NLC":
        here[:] = 0
        here[slice(0, 1) if pooling == "cls" else slice(prefix, None)] = 1
    if layout == "NCHW":
        return lambda vector: np.multiply.outer(vector, here).reshape(-1)
    return lambda vector: np.multiply.outer(here, vector).reshape(-1)


def write_cavs(
    partial: Path, bank: ConceptBank, concepts: Sequence[Concept], random_sets: int, spread: Spread
) -> dict[str, Any]:
    """A CAV file for each concept and random set; what they are, for the manifest.

    Captum names a file by the ids of its concepts and the layer, and keeps a row of weights for each concept: the vector, and
    for the random set its opposite.
    """
    import torch

    if "/" in bank.layer or len(bank.layer) > 150:
        raise UsageError(
            f"Captum names files by the layer, and {bank.layer} cannot be part of a file's name; rename the layer"
        )
    folder = partial / CAVS / MODEL_ID
    folder.mkdir(parents=True)
    sets = []
    for place, concept in enumerate(concepts):
        mine = named(bank, concept, None).folder
        vector = spread(_raw(bank, concept))
        for number in range(random_sets):
            pair = [
                {"id": concept.number, "name": mine},
                {"id": len(bank) + place * random_sets + number, "name": f"{mine}_random-{number}"},
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
