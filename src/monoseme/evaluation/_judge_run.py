"""The run of a second encoder over the images of a run: made beside it, or named by the user."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import MonosemeError, Reporter, Silent, UsageError
from ..runs import Run, RunActivations, embed, open_run

if TYPE_CHECKING:
    from ..models import Model

FOLDER = "judges"


def judge_run(
    run: Run,
    judge: str | PathLike[str],
    *,
    images: str | None = None,
    progress: Reporter | None = None,
) -> Run:
    """A run of a second encoder over the images of a run.

    Parameters
    ----------
    run : Run
        What is to be judged.
    judge : str or path
        Another run's folder, which is opened as it is; or the spec of a model, whose default layer is embedded into
        ``RUN/judges/`` unless that is done already. A model is loaded only if it is named here.
    images : str, optional
        Where the images are now; by default where they were when the run was made.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Raises
    ------
    UsageError
        There is no such run or model, or the images are no longer where they were.
    MonosemeError
        What `embed` raises.
    """
    if Path(judge).is_dir():
        return open_run(judge)
    spec = str(judge)

    def load() -> Model:
        from ..models import load_model

        return load_model(spec)

    return beside(run, spec, load, images=images, progress=progress)


def beside(
    run: Run,
    spec: str,
    load: Callable[[], Model],
    layers: Sequence[str] | None = None,
    *,
    images: str | None = None,
    progress: Reporter | None = None,
) -> Run:
    """The run of another model over the images of a run, in ``RUN/judges/``: the one that is there, or a new one.

    Raises
    ------
    UsageError
        The images are no longer where they were.
    MonosemeError
        What `embed` raises.
    """
    target = judge_folder(run, spec)
    if images is None and (known := _finished(target, spec, run)) is not None:
        return known
    model = load()
    (progress or Silent()).note(f"embedding the images with {spec} into {target}")
    source = run.manifest.images["source"] if images is None else images
    try:
        return embed(model, source, layers, target, predictions=False, thumbnails=False, progress=progress)
    except UsageError as error:
        if images is not None:
            raise
        raise UsageError(
            f"{error}; if the images of {run.path} have moved, say where they are with --images"
        ) from error


def judge_folder(run: Run, spec: str) -> Path:
    """Where a run keeps the embeddings of its images by another model."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", spec).strip(".-") or "judge"
    return run.path / FOLDER / name[:100]


def judge_activations(judge: Run) -> RunActivations:
    """The activations to judge by: of the last layer that the run holds."""
    return judge.activations(judge.columns()[-1].layer)


def _finished(folder: Path, spec: str, run: Run) -> Run | None:
    """The judge's run where it is there, whole, and of the same images."""
    if not folder.is_dir():
        return None
    try:
        known = open_run(folder)
    except MonosemeError:
        return None
    same = known.manifest.model.get("spec") == spec and (
        known.manifest.images["digest"] == run.manifest.images["digest"]
    )
    return known if same and known.finished else None
