"""From activations to a concept bank: exemplars, split, unit means, top images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from ..banks import ConceptBank, Frame
from ..base import Activations, Reporter, Silent, UsageError, as_activations, did_you_mean
from ._assemble import Part, assemble
from ._exemplars import best_rows
from ._frame import Scaling, fit_frame
from ._published import Published
from ._split import Exemplars, Splitter
from ._starts import Starts, make_starts
from ._trees import Trees, centre_and_gram

WORKING_BYTES = 100_000_000
"""About how much memory the embeddings of the exemplars in work may take."""


def disentangle(
    acts: Activations | npt.ArrayLike,
    method: Literal["published"] | Splitter = "published",
    *,
    directions: Literal["neurons", "svd"] | npt.ArrayLike = "neurons",
    scores: npt.ArrayLike | None = None,
    select: Sequence[int] | None = None,
    top: int = 100,
    scaling: Scaling = "raw",
    max_per_photograph: int | None = None,
    top_images: int = 100,
    seed: int = 0,
    progress: Reporter | None = None,
    **parameters: Any,
) -> ConceptBank:
    """Split directions of a layer into concepts.

    Parameters
    ----------
    acts : Activations or (N, C) array
        Embeddings: ``run.activations(layer)``, an array, a memory map or a tensor.
    method : "published" or Splitter
        How exemplars are split; see `Published` for the method's own `parameters` (distance_threshold, outlier_threshold,
        min_size).
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
    scaling : "raw", "centred", "standardised" or "minmax"
        The frame embeddings are seen in; the bank stores its centre and scale.
    max_per_photograph : int, optional
        The most exemplars cut from one photograph (for runs over patches).
    top_images : int
        How many images of the whole data set to keep for each concept vector.
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
    >>> centres = np.array([[9.0, 9, 0, 0], [9, 0, 9, 0], [0, 0, 0, 9]])
    >>> acts = (centres[np.arange(300) % 3] + rng.normal(size=(300, 4))).astype("float32")
    >>> bank = disentangle(acts, select=[0], top=60, distance_threshold=30.0)
    >>> [(concept.vector > 0.5).tolist() for concept in bank.for_direction(0)]
    [[True, False, True, False], [True, True, False, False]]

    Notes
    -----
    O'Mahony et al., Disentangling Neuron Representations with Concept Vectors, CVPR Workshops 2023.
    """
    acts, progress = as_activations(acts), progress or Silent()
    splitter = _splitter(method, seed, parameters)
    check_counts(top=top, top_images=top_images, max_per_photograph=max_per_photograph)
    frame = fit_frame(acts, scaling)
    starts = make_starts(acts, frame, directions, scores, select)
    rows, activations = best_rows(acts, starts, frame, top, progress, cap=max_per_photograph, stage="finding exemplars")
    splitter = splitter.fitted(_random_sets(acts, frame, top, seed))
    parts = _split_all(acts, frame, starts, rows, splitter, progress, None)
    info = {
        "layer": acts.name,
        "method": splitter.name,
        "parameters": {
            "directions": starts.kind,
            "top": top,
            "scaling": scaling,
            "max_per_photograph": max_per_photograph,
            "seed": seed,
            **asdict(splitter),
        },
        "activations": {
            "images": acts.shape[0],
            "neurons": acts.shape[1],
            "dtype": str(acts.dtype),
            **acts.provenance(),
        },
        "versions": {"monoseme": _version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    return assemble(acts, frame, starts, rows, activations, parts, top_images, plain(info), progress)


def recut(
    bank: ConceptBank, acts: Activations | npt.ArrayLike, *, progress: Reporter | None = None, **parameters: Any
) -> ConceptBank:
    """The same exemplars and trees at other thresholds: no search for exemplars and no clustering anew.

    Parameters
    ----------
    bank : ConceptBank
        Made by ``method="published"``.
    acts : Activations or (N, C) array
        The activations it was made from.
    progress : Reporter, optional
        Where to tell progress.
    **parameters
        distance_threshold, outlier_threshold, min_size; what is not given stays.

    Raises
    ------
    UsageError
        The bank was made by another method, or from other activations.
    """
    acts, progress = as_activations(acts), progress or Silent()
    old = dict(bank.info["parameters"])
    if bank.info["method"] != "published":
        raise UsageError(
            f"the bank was made by the method {bank.info['method']}, whose trees are not cut at a threshold"
        )
    made_from = bank.info["activations"]
    if acts.shape != (made_from["images"], made_from["neurons"]):
        raise UsageError(
            f"the bank was made from {made_from['images']:,} x {made_from['neurons']:,} activations, not {acts.shape[0]:,} x "
            f"{acts.shape[1]:,}; give those it was made from"
        )
    for name, value in acts.provenance().items():
        if name in made_from and made_from[name] != value:
            raise UsageError(
                f"the bank was made from activations with {name} {made_from[name]}, not {value}; give those it was made from"
            )
    fields = {
        name: old[name]
        for name in ("distance_threshold", "outlier_threshold", "min_size", "n_init", "max_iter", "seed")
    }
    frame = bank.frame
    splitter = _splitter("published", old["seed"], {**fields, **parameters})
    top = bank.heights.shape[1] + 1
    splitter = splitter.fitted(_random_sets(acts, frame, top, old["seed"]))
    starts = Starts(old["directions"], bank.directions, bank.starts)
    rows = bank.exemplars["image_id"].to_numpy().reshape(-1, top)
    activations = bank.exemplars["activation"].to_numpy().reshape(-1, top)
    parts = _split_all(acts, frame, starts, rows, splitter, progress, Trees(bank.merges, bank.heights))
    info = {**bank.info, "parameters": {**old, **asdict(splitter)}}
    kept = len(bank.top) // len(bank) if len(bank) else 100
    return assemble(acts, frame, starts, rows, activations, parts, kept, plain(info), progress)


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


def _split_all(
    acts: Activations,
    frame: Frame,
    starts: Starts,
    rows: npt.NDArray[np.int64],
    splitter: Splitter,
    progress: Reporter,
    trees: Trees | None,
) -> list[Part]:
    """Split all directions, a bounded number at a time, and reduce each part to what the bank keeps."""
    top, width = rows.shape[1], acts.shape[1]
    together = max(1, min(512, WORKING_BYTES // (4 * top * width)))
    parts = []
    memory = np.empty((min(together, len(starts)), top, width), dtype=np.float32)
    with progress.task("splitting directions", len(starts), "directions") as task:
        for begin in range(0, len(starts), together):
            some = slice(begin, min(begin + together, len(starts)))
            points = torch.from_numpy(_gather(acts, frame, rows[some], memory[: some.stop - begin]))
            mean, gram = centre_and_gram(points)
            known = None if trees is None else Trees(trees.merges[some], trees.heights[some])
            exemplars = Exemplars(points, mean, gram, starts.numbers[some], known)
            parts.append(Part.of(begin, exemplars, splitter.split(exemplars)))
            task.advance(some.stop - begin)
    return parts


def _gather(
    acts: Activations, frame: Frame, rows: npt.NDArray[np.int64], out: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Row numbers of any shape -> their embeddings (..., C) in the frame, in the memory of `out`."""
    acts.take(rows.reshape(-1), out.reshape(-1, acts.shape[1]))
    return frame(out)


def _random_sets(acts: Activations, frame: Frame, top: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """The embeddings (K, C) of random sets of different images in the frame, one after the other without end."""
    eligible = acts.images().first_copies
    pool = np.arange(acts.shape[0]) if eligible is None else np.flatnonzero(eligible)
    random = np.random.default_rng(seed)
    size = min(top, len(pool))
    while True:
        rows = random.choice(pool, size=size, replace=False)
        yield _gather(acts, frame, rows, np.empty((size, acts.shape[1]), dtype=np.float32))


def check_method(method: str) -> None:
    """Raise a sentence for a method that does not exist."""
    if method != "published":
        raise UsageError(
            f"there is no method {method!r}{did_you_mean(method, ['published'])}; use published, or give a Splitter"
        )


def _splitter(method: str | Splitter, seed: int, parameters: dict[str, Any]) -> Splitter:
    if not isinstance(method, str):
        if parameters:
            raise UsageError(f"{next(iter(parameters))} belongs into the splitter that you give as the method")
        return method
    check_method(method)
    known = [name for name in Published.__dataclass_fields__ if name != "seed"]
    for name in parameters:
        if name not in known and name != "seed":
            raise UsageError(f"the method published has no parameter {name!r}{did_you_mean(name, known)}")
    return Published(**{"seed": seed, **parameters})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("monoseme")
    except PackageNotFoundError:
        return "unknown"
