"""From activations to a concept bank: exemplars, split, unit means, top images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from ..banks import ConceptBank
from ..base import Activations, Reporter, Silent, UsageError, as_activations, did_you_mean, join_words
from ._assemble import assemble
from ._bands import band_rows, check_bands
from ._calibrated import Calibrated
from ._exemplars import available, best_rows
from ._features import Described, Features
from ._frame import Scaling, fit_frame
from ._layer import Layer
from ._published import Published
from ._split import Splitter, recorded
from ._stability import Resampling
from ._starts import make_starts
from ._work import split_all

_METHODS: dict[str, type[Calibrated] | type[Published]] = {"calibrated": Calibrated, "published": Published}
Vector = Literal["mean", "centred"]


def disentangle(
    acts: Activations | npt.ArrayLike,
    method: Literal["calibrated", "published"] | Splitter = "calibrated",
    *,
    directions: Literal["neurons", "svd"] | npt.ArrayLike = "neurons",
    scores: npt.ArrayLike | None = None,
    select: Sequence[int] | None = None,
    top: int = 100,
    bands: Sequence[float] = (),
    scaling: Scaling = "raw",
    vector: Vector | None = None,
    holdout: float | None = None,
    bootstrap: int | None = None,
    max_per_photograph: int | None = None,
    top_images: int = 100,
    features: Features | None = None,
    seed: int = 0,
    progress: Reporter | None = None,
    **parameters: Any,
) -> ConceptBank:
    """Split directions of a layer into concepts.

    Parameters
    ----------
    acts : Activations or (N, C) array
        Embeddings: ``run.activations(layer)``, an array, a memory map or a tensor.
    method : "calibrated", "published" or Splitter
        How exemplars are split; see `Calibrated` and `Published` for the methods' own `parameters` (granularity, alpha,
        max_cosine, dimensions, min_size; distance_threshold, outlier_threshold, min_size).
    directions : "neurons", "svd" or (D, C) array
        Where to start. SVD directions are the right singular vectors of the embeddings (of the centred ones with
        ``scaling="centred"``).
    scores : (N, D) array, optional
        Choose the exemplars by these scores of the images instead of by projection on directions.
    select : sequence of int, optional
        Only these neurons (rows of the directions, columns of the scores).
    top : int
        K, the number of exemplars of a direction. It should not exceed about half the images of the rarest thing that you
        want to see as a concept of its own.
    bands : sequence of float in (0, 1)
        Also take K exemplars at these parts of the way from a direction's mean activation up to its top, so that concepts
        that it answers to at half its strength are seen. A concept of the top that shows there as well is there again;
        `merge_concepts` makes the two one.
    scaling : "raw", "centred", "standardised" or "minmax"
        The frame embeddings are seen in; the bank stores its centre and scale.
    vector : "mean" or "centred"
        A concept's vector is the mean of its exemplars, or that less the layer's mean. By default as the paper has it (mean)
        for the published method and centred for others, which finds held-out images far better.
    holdout : float
        Share of the images, chosen by their content, that is kept out of splitting so that `evaluate` can test on it. By
        default 0 for the published method and 0.2 for others.
    bootstrap : int
        How many times to look for each concept again in resampled images; 0 for not at all. By default 0 for the published
        method and 20 for others.
    max_per_photograph : int, optional
        The most exemplars cut from one photograph (for runs over patches).
    top_images : int
        How many images of the whole data set to keep for each concept vector.
    features : Features, optional
        Split exemplars in the space of another description than their embeddings: `Circuit` describes them by the units of a
        lower layer that drove the neuron. Vectors, separations and squared distances are of embeddings all the same; Ward trees
        are then of that space.
    seed : int
        For k-means and for the random sets behind "auto".
    progress : Reporter, optional
        Where to tell progress; silent by default.
    **parameters
        Of the method.

    Returns
    -------
    ConceptBank

    Raises
    ------
    UsageError
        Wrong names, shapes or numbers; fewer images than `top`.
    MonosemeError
        Activations that are not finite.

    Examples
    --------
    Neuron 0 of this made-up layer fires for two unrelated things:

    >>> rng = np.random.default_rng(0)
    >>> centres = np.array([[9.0, 9, 0, 0], [9, 0, 9, 0], [0, 0, 0, 9], [0, 0, 0, 0]])
    >>> acts = (centres[np.arange(400) % 4] + rng.normal(size=(400, 4))).astype("float32")
    >>> bank = disentangle(acts, select=[0], top=60)
    >>> [(concept.vector > 0.3).tolist() for concept in bank.for_direction(0)]
    [[True, True, False, False], [True, False, True, False]]
    >>> bool(bank.divisions["p_value"][0].as_py() < 0.001)
    True

    Notes
    -----
    O'Mahony et al., Disentangling Neuron Representations with Concept Vectors, CVPR Workshops 2023.
    """
    acts, progress = as_activations(acts), progress or Silent()
    splitter = make_splitter(method, seed, parameters)
    published = isinstance(splitter, Published)
    vector = vector or ("mean" if published else "centred")
    if vector not in ("mean", "centred"):
        raise UsageError(
            f"a concept's vector is mean or centred, not {vector!r}{did_you_mean(vector, ['mean', 'centred'])}"
        )
    holdout = (0.0 if published else 0.2) if holdout is None else holdout
    bootstrap = (0 if published else 20) if bootstrap is None else bootstrap
    check_counts(top=top, top_images=top_images, max_per_photograph=max_per_photograph)
    if not isinstance(bootstrap, int | np.integer) or isinstance(bootstrap, bool) or bootstrap < 0:
        raise UsageError(f"bootstrap must be a whole number of at least 0, not {bootstrap!r}")
    levels = check_bands(bands)
    frame = fit_frame(acts, scaling)
    layer = Layer.of(acts, frame, top, seed, holdout, by_content=not published)
    starts = make_starts(acts, frame, directions, scores, select)
    candidates = min(2 * top, max(available(layer, max_per_photograph), top)) if bootstrap else top
    rows, activations = best_rows(
        layer, starts, candidates, progress, cap=max_per_photograph, stage="finding exemplars"
    )
    heights = np.ones(len(starts))
    if levels:
        starts, rows, activations, heights = band_rows(
            layer, starts, rows, activations, levels, progress, cap=max_per_photograph
        )
    described = None if features is None else Described.by(features, layer, starts, rows, progress)
    splitter = splitter.fitted(layer if described is None else described)
    resampling = None
    if bootstrap:
        centre = layer.moments.mean if vector == "centred" else np.zeros(acts.shape[1])
        resampling = Resampling(Resampling.keys_of(layer.images, acts.shape[0]), top, int(bootstrap), centre)
    parts = split_all(layer, starts, rows, splitter, progress, resampling=resampling, described=described)
    info = {
        "layer": acts.name,
        "method": splitter.name,
        "parameters": {
            "directions": starts.kind,
            "top": top,
            "bands": list(levels),
            "scaling": scaling,
            "vector": vector,
            "holdout": holdout,
            "bootstrap": bootstrap,
            "max_per_photograph": max_per_photograph,
            "seed": seed,
            **({} if features is None else {"features": features.recorded()}),
            **recorded(splitter),
        },
        "activations": {
            "images": acts.shape[0],
            "neurons": acts.shape[1],
            "dtype": str(acts.dtype),
            **acts.provenance(),
        },
        "versions": {"monoseme": _version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    bank = assemble(layer, starts, rows[:, :top], activations[:, :top], parts, top_images, plain(info), progress)
    return replace(bank, bands=heights) if levels else bank


def plain(value: Any) -> Any:
    """Parameters as JSON values: NumPy's numbers become Python's.

    Raises
    ------
    UsageError
        A splitter has a field that is no JSON value.
    """
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise UsageError(
        f"a parameter of the method is a {type(value).__name__}, which cannot be kept in the bank; use plain values"
    )


def check_counts(**counts: int | None) -> None:
    """Raise a sentence for a number of exemplars or images below 1."""
    for name, count in counts.items():
        if count is not None and (not isinstance(count, int | np.integer) or count < 1):
            raise UsageError(f"{name} must be a whole number of at least 1, not {count!r}")


def check_method(method: str) -> None:
    """Raise a sentence for a method that does not exist."""
    if method not in _METHODS:
        raise UsageError(
            f"there is no method {method!r}{did_you_mean(method, list(_METHODS))}; use {join_words(list(_METHODS))}, "
            "or give a Splitter"
        )


def make_splitter(method: str | Splitter, seed: int, parameters: dict[str, Any]) -> Splitter:
    """The splitter that a name and parameters mean."""
    if not isinstance(method, str):
        if parameters:
            raise UsageError(f"{next(iter(parameters))} belongs into the splitter that you give as the method")
        return method
    check_method(method)
    kind = _METHODS[method]
    known = [name for name, field in kind.__dataclass_fields__.items() if field.metadata.get("recorded", True)]
    offered = [name for name in known if name != "seed"]
    for name in parameters:
        if name not in known:
            owners = [other for other, fields in _METHODS.items() if name in fields.__dataclass_fields__]
            hint = f"; it belongs to the method {owners[0]}" if owners else did_you_mean(name, offered)
            raise UsageError(f"the method {method} has no parameter {name!r}{hint}")
    return kind(**({"seed": seed} if "seed" in known else {}) | parameters)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("monoseme")
    except PackageNotFoundError:
        return "unknown"
