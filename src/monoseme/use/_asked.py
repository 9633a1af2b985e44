"""What heatmaps are asked for, checked: layer, vectors, pictures, windows and the embedding that is zero."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..banks import ConceptBank
from ..base import Activations, UsageError, counted
from ..runs import Run, open_run

if TYPE_CHECKING:
    from ..models import LayerInfo, Model

FloatArray = npt.NDArray[np.float32]


def mean_embedding(acts: Activations) -> npt.NDArray[np.float64]:
    """(C,) mean of activations, in one pass over their blocks.

    >>> from monoseme.base import as_activations
    >>> mean_embedding(as_activations(np.array([[1.0, 2.0], [3.0, 2.0]]))).tolist()
    [2.0, 2.0]
    """
    total = np.zeros(acts.shape[1])
    for _, block in acts.blocks():
        total += block.sum(0, dtype=np.float64)
    return total / len(acts)


def layer_of(bank: ConceptBank, model: Model, layer: str | None) -> LayerInfo:
    """The layer that the bank's vectors belong to, in a model that has it and was the one embedded."""
    name = layer or bank.layer
    if name == "array" and layer is None:
        raise UsageError("the bank was made from an array and does not say of which layer; name the layer")
    if model.resolve([name]) != (name,):
        raise UsageError(f"name one layer, not {name}")
    info = model.layers()[name]
    width = bank.vectors.shape[1]
    if info.channels != width:
        raise UsageError(
            f"layer {name} of {model.spec} has {counted(info.channels, 'neuron')}, but the bank's vectors have {width:,} "
            "components; give the model and layer that the bank was made from"
        )
    made_from = bank.info.get("activations", {})
    recorded = made_from.get("weights_digest")
    if recorded is not None and recorded != model.weights_digest:
        raise UsageError(
            f"the bank was made with other weights ({made_from.get('model')}) than {model.spec} has; give that model"
        )
    return info


def pooling_of(bank: ConceptBank, info: LayerInfo, pooling: str | None, spec: str) -> str:
    """How the bank's embeddings are pooled from the layer's positions."""
    from ..models import POOLINGS

    pooled = pooling or bank.pooling or "mean"
    if pooled not in POOLINGS:
        raise UsageError(f"unknown pooling {pooled!r}; use mean, max or cls")
    if pooled == "cls" and not info.has_cls:
        raise UsageError(f"layer {info.name} of {spec} has no class token to read; pool it by mean or max")
    return pooled


def vectors_of(
    bank: ConceptBank, concepts: int | Sequence[int] | npt.ArrayLike | None, *, detectors: bool
) -> tuple[npt.NDArray[np.int64] | None, FloatArray]:
    """(numbers or None, (R, C) vectors)."""
    if detectors and bank.detectors is None:
        raise UsageError('the bank holds no detectors, for it was made with vector="mean"; use its vectors')
    own = bank.detectors if detectors and bank.detectors is not None else bank.vectors
    asked: npt.NDArray[Any] = np.arange(len(bank)) if concepts is None else np.asarray(concepts)
    if asked.ndim == 2 and asked.dtype.kind in "fiu":
        if asked.shape[1] != bank.vectors.shape[1] or not np.isfinite(asked).all():
            raise UsageError(
                f"vectors must be finite and have {bank.vectors.shape[1]:,} components as the bank's have, but have shape "
                f"{asked.shape}"
            )
        return None, np.ascontiguousarray(asked, dtype=np.float32)
    if asked.ndim > 1 or asked.dtype.kind not in "iu":
        raise UsageError("concepts are named by their numbers, or given as an (R, C) array of vectors")
    numbers = np.array([bank[int(number)].number for number in asked.reshape(-1)], dtype=np.int64)
    if len(numbers) == 0:
        raise UsageError("name at least one concept")
    return numbers, own[numbers]


def checked_pictures(images: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures of which each has pixels."""
    if isinstance(images, Image.Image):
        raise UsageError("give a list of pictures, not one picture")
    pictures = list(images)
    if not pictures:
        raise UsageError("give at least one picture")
    for place, picture in enumerate(pictures):
        if not isinstance(picture, Image.Image):
            raise UsageError(
                f"picture {place} is a {type(picture).__name__}; give PIL images, as monoseme.runs.originals loads them"
            )
        if 0 in picture.size:
            raise UsageError(f"picture {place} has {picture.width} x {picture.height} pixels; leave it out")
    return pictures


def windows_of(
    model: Model, pictures: list[Image.Image], windows: npt.ArrayLike | None
) -> npt.NDArray[np.float64] | None:
    """(n, 4) what the model sees of each picture, as given or as its preprocessing says; None where neither does."""
    if windows is None:
        found = [model.preprocess.window(picture.size) for picture in pictures]
        return None if None in found else np.array(found, dtype=np.float64)
    given = np.asarray(windows, dtype=np.float64)
    sound = given.shape == (len(pictures), 4) and np.isfinite(given).all()
    if not sound or not (given[:, :2] < given[:, 2:]).all():
        raise UsageError(
            f"windows must be (left, top, right, bottom) for each of {counted(len(pictures), 'picture')}, left before right "
            "and top above bottom"
        )
    return given


def centre_of(centre: npt.ArrayLike | Activations, width: int) -> npt.NDArray[np.float64]:
    """The embedding (C,) that is zero: as given, or the mean of activations."""
    if isinstance(centre, Activations):
        if centre.shape[1] != width:
            raise UsageError(f"the activations have {centre.shape[1]:,} neurons, but the layer has {width:,}")
        return mean_embedding(centre)
    given = np.asarray(centre, dtype=np.float64)
    if given.shape != (width,) or not np.isfinite(given).all():
        raise UsageError(
            f"the centre is one finite embedding of {width:,} components, not an array of shape {given.shape}"
        )
    return given


def run_of_bank(bank: ConceptBank, run: Run | str | PathLike[str] | None, which: str) -> Run:
    """The run that a bank was made from: the one given, or the one that the bank lies in.

    Raises
    ------
    UsageError
        The bank does not lie in a run (`which` says what the run is needed for), or it was not made from that run.
    """
    if run is None and bank.run is None:
        raise UsageError(f"the bank does not lie in a run, {which}; name the run it was made from")
    opened = run if isinstance(run, Run) else open_run(bank.run if run is None else run)  # type: ignore[arg-type]
    if not bank.is_of(len(opened), opened.manifest.images["digest"]):
        raise UsageError(f"the bank was not made from {opened.path}; name the run that it was made from")
    return opened
