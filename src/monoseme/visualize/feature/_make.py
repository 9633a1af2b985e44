"""Directions of a layer go in, images that drive them come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...base import MonosemeError, Reporter, Silent, UsageError, counted, digest_bytes, first_line
from ...models import CallablePreprocess, LayerInfo, Model, ToLayer, keep_freed_memory
from ._checkpoint import Checkpoint
from ._config import FeatureConfig, pair
from ._images import FeatureImages
from ._input import to_input
from ._optimise import State, Work
from ._parametrise import parametrisation
from ._transform import Views

if TYPE_CHECKING:
    from ._spectrum import Array

_MEMORY = 2**30
_MOST_IMAGES = 32
"""More at once are no faster."""


def feature_images(
    model: Model,
    layer: str,
    directions: npt.ArrayLike | Sequence[int],
    *,
    config: FeatureConfig | None = None,
    seed: int = 0,
    normalise: Callable[[Tensor], Tensor] | None = None,
    spectrum: Array | None = None,
    progress: Reporter | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **settings: Any,
) -> FeatureImages:
    """Make images that drive neurons, concept vectors or any directions of a layer (Olah et al., Feature Visualization, 2017).

    Many images go through the network at once, and only as far as the layer. An image depends on the seed and its place in the
    list, up to rounding not on the others. With one seed, one machine and one number of threads the result is the same each
    time (on a GPU up to the order of its sums).

    Parameters
    ----------
    model : Model
        From `load_model` or `wrap`.
    layer : str
        Its exact name. Behind a ReLU6 nothing can be asked for beyond 6; then the layer before it gives clearer images.
    directions : (R, C) array, or sequence of int
        Rows such as `ConceptBank.vectors`, scaled to unit length here, or numbers of neurons.
    config : FeatureConfig, optional
        How they are made.
    seed : int
        For the first values and all changes of the images.
    normalise : callable, optional
        From (B, channels, H, W) pixels in [0, 1] to the network's input, where the model has a preprocessing of your own that
        is no gain and offset for each channel.
    spectrum : array (channels, H, W // 2 + 1), optional
        For ``parametrisation="maco"``: from `magnitude_spectrum`; by default magnitudes fall as 1/f.
    progress : Reporter, optional
        Nobody is told by default.
    checkpoint : path, optional
        A folder where the state is kept. Called again with the same, the work goes on and ends with the same images.
    **settings
        Single settings of the `FeatureConfig`, over those of `config`.

    Returns
    -------
    FeatureImages
        Pixels, and what they reached.

    Raises
    ------
    UsageError
        There is no such layer, neuron or setting, a direction has another width than the layer, the network does not take images
        of the size, or the checkpoint belongs to other images.
    MonosemeError
        The objective is no longer a number, or the checkpoint is damaged.

    Examples
    --------
    >>> from monoseme.models import Preprocess, wrap
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.ReLU())
    >>> model = wrap(net, Preprocess.imagenet(24), device="cpu")
    >>> made = feature_images(model, "1", [0, 3], steps=20)
    >>> made.pixels.shape, bool((made.activation > 0).all())
    ((2, 1, 24, 24, 3), True)
    """
    keep_freed_memory()
    config = (config or FeatureConfig()).with_settings(**settings)
    work = prepare(model, layer, config, seed, normalise=normalise, spectrum=spectrum)
    rows, names = unit_rows(directions, work.to_layer.info)
    memory = _memory_of_an_image(work, model)
    most = config.batch or max(1, min(_MOST_IMAGES, _MEMORY // max(memory * config.views_a_step, 1)))
    together = max(1, int(most) // config.images)  # images of a direction stay together

    info = {"model": model.describe(), "layer": layer, "seed": seed}
    kept = None
    if checkpoint is not None:
        task = {
            **info,
            "directions": digest_bytes(rows.tobytes()),
            "normalise": None if normalise is None else CallablePreprocess(cast(Any, normalise)).describe(),
            "spectrum": None if spectrum is None else digest_bytes(np.asarray(spectrum, np.float32).tobytes()),
            "settings": asdict(replace(config, batch=together * config.images)),
            "size": [*work.parametrisation.size, *work.resolution],
        }
        kept = Checkpoint(Path(checkpoint), task)
    with kept or nullcontext():
        finished = _batches(work, torch.from_numpy(rows).to(model.device), together, kept, progress or Silent())
    pixels, reached, history, seen = (_joined(parts, config.images) for parts in zip(*finished, strict=True))
    return FeatureImages(
        pixels=np.ascontiguousarray(pixels.transpose(0, 1, 3, 4, 2)),
        transparency=_transparency(seen) if config.parametrisation == "maco" else None,
        activation=reached,
        history=np.moveaxis(history, 2, 0),
        names=names,
        config=config,
        info=info,
    )


def prepare(
    model: Model,
    layer: str,
    config: FeatureConfig,
    seed: int,
    *,
    normalise: Callable[[Tensor], Tensor] | None = None,
    spectrum: Array | None = None,
) -> Work:
    """What a step needs, put together."""
    to_layer = ToLayer(model, layer)
    channels, *own_size = model.input_size
    size = pair((own_size[0], own_size[1]) if config.size is None else config.size)
    resolution = size if config.resolution is None else pair(config.resolution)
    made = parametrisation(config, size, channels, model.device, spectrum)
    views = Views(config, size, resolution, seed)
    return Work(config, to_layer, to_input(model, normalise), made, views, resolution, seed)


def _batches(
    work: Work, directions: Tensor, together: int, kept: Checkpoint | None, progress: Reporter
) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Of each batch: pixels, activations, (images, steps) history, and what MaCo has seen."""
    n, steps = work.config.images, work.config.steps
    starts = range(0, len(directions), together)
    states: list[State] = []
    for number, start in enumerate(starts):
        rows = directions[start : start + together]
        saved = None if kept is None else kept.load(number, directions.device)
        states.append(saved or work.start(range(start * n, (start + len(rows)) * n)))
    done = sum(state.step for state in states)
    finished = []
    with progress.task("feature images", len(starts) * steps, "steps", done) as task:
        for number, (start, state) in enumerate(zip(starts, states, strict=True)):
            rows = directions[start : start + together]

            def save(state: State, number: int = number, *, now: bool = False) -> None:
                if kept is not None:
                    kept.save(number, state, now=now)

            before = state.step
            work.run(state, range(start * n, (start + len(rows)) * n), rows, task, save)
            if state.step > before:
                save(state, now=True)
            pixels, reached = work.finish(state, rows)
            seen = state.tensors.get("seen", torch.zeros(len(pixels)))
            finished.append((pixels, reached, state.history.T, seen))
    return finished


def unit_rows(
    directions: npt.ArrayLike | Sequence[int], info: LayerInfo
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Neuron numbers or rows as (R, C) float32 of unit length, and what each is called.

    Raises
    ------
    UsageError
        A number or a width is not the layer's, or a row has no direction.
    """
    if hasattr(directions, "detach"):  # a torch tensor, wherever it is
        directions = directions.detach().cpu().numpy()
    given = np.asarray(directions)
    width = info.channels
    if given.size == 0:
        raise UsageError("name at least one neuron or direction")
    if given.ndim == 1 and given.dtype.kind in "iu":
        for number in given.tolist():
            if not 0 <= number < width:
                raise UsageError(f"layer {info.name} has no neuron {number}; it has {width:,}, numbered from 0")
        rows = np.zeros((len(given), width), dtype=np.float32)
        rows[np.arange(len(given)), given] = 1
        return rows, tuple(f"neuron {number}" for number in given.tolist())
    if given.ndim != 2 or given.dtype.kind not in "fiu":
        raise UsageError(
            f"directions are a list of neuron numbers or an (R, {width}) array of numbers, not {given.dtype} of {given.shape}"
        )
    if given.shape[1] != width:
        raise UsageError(
            f"the directions have {counted(given.shape[1], 'component')}, but layer {info.name} has {counted(width, 'neuron')}"
        )
    lengths = np.linalg.norm(given.astype(np.float64), axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if bad.size:
        raise UsageError(f"row {bad[0]} of the directions is no direction: its length is {lengths[bad[0], 0]:g}")
    return (given / lengths).astype(np.float32), tuple(f"direction {row}" for row in range(len(given)))


def _memory_of_an_image(work: Work, model: Model) -> int:
    """Bytes that a pass keeps for its gradients; the first pass, which shows whether the network takes images of the size."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    shown = torch.zeros((1, work.parametrisation.channels, *work.resolution), device=model.device, requires_grad=True)
    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            found = work.embeddings(shown)
    except MonosemeError:
        raise
    except Exception as error:  # whatever a foreign module raises on images of a size that it does not take
        raise UsageError(
            f"{model.spec} does not take images of {work.resolution[0]} x {work.resolution[1]} ({first_line(error)}); "
            f"give resolution, such as {model.input_size[1:]}"
        ) from error
    if not found.requires_grad:
        raise UsageError(
            f"layer {work.to_layer.info.name} gives no gradients to the image, so no image can be found for it"
        )
    weights = {
        each.untyped_storage().data_ptr() for each in model.module.state_dict().values() if isinstance(each, Tensor)
    }
    return sum(size for place, size in kept.items() if place not in weights)


def _joined(parts: Sequence[Tensor], images: int) -> npt.NDArray[np.float32]:
    """(R, n, ...) from what the batches gave."""
    flat: npt.NDArray[np.float32] = torch.cat([part.cpu().float() for part in parts]).numpy()
    joined: npt.NDArray[np.float32] = flat.reshape(-1, images, *flat.shape[1:])
    return joined


_SHOWN = 0.95


def _transparency(seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(R, n, H, W) sums of absolute gradients -> 1 at the strongest twentieth of the places, falling to 0."""
    strong = np.quantile(seen, _SHOWN, axis=(2, 3), keepdims=True)
    made: npt.NDArray[np.float32] = np.clip(seen / np.maximum(strong, 1e-12), 0, 1).astype(np.float32)
    return made
