"""Whether a run is whole: every row readable, every number finite, every image there once."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pyarrow as pa

from ..base import MonosemeError, Reporter, Silent, first_line
from . import _table
from ._activations import RunActivations
from ._labels import joined_sets
from ._run import Run, open_run


def verify_run(path: str | PathLike[str], *, progress: Reporter | None = None) -> list[str]:
    """Read all of a run and say what is wrong with it; an empty list means that it is whole.

    Raises
    ------
    MonosemeError
        There is no run, or its table or manifest cannot be read at all.
    """
    run = open_run(path)
    progress = progress or Silent()
    problems = []
    count, listed, aside = len(run), run.manifest.images["count"], len(run.quarantined())
    if not run.manifest.finished:
        problems.append(
            f"it is not finished: {count:,} of {listed:,} images are embedded; run the same {run.manifest.command} command "
            "again"
        )
    elif count + aside != listed:
        problems.append(f"{listed:,} images were listed, but {count:,} are embedded and {aside:,} set aside")
    try:
        facts = run.images(columns=["image_id", "entry", "uri", "digest"])
    except (OSError, ValueError, pa.ArrowException) as error:
        return [*problems, f"its rows cannot be read ({first_line(error, 160)}); embed again with --overwrite"]
    if not np.array_equal(facts["image_id"].to_numpy(), np.arange(count)):
        problems.append("its image ids are not 0, 1, 2, ...")
    if (np.diff(facts["entry"].to_numpy()) <= 0).any():
        problems.append("its images are not in the order of the listing, or some are there twice")
    for column in run.columns():
        if column.column not in run._lance.schema.names:
            problems.append(f"layer {column.layer} ({column.pooling}) is in the manifest, but not in the table")
            continue
        if _table.unfilled(run._lance, [column]):
            problems.append(
                f"layer {column.layer} ({column.pooling}) is not finished; run its {run.manifest.command} command again"
            )
            continue
        problems += _check_layer(RunActivations(run._lance, column, run.manifest.dtype, {}), progress)
    if run.manifest.thumbnails is not None:
        problems += _check_thumbnails(run, progress)
    for name in joined_sets(run.path):
        try:
            run.labels(name)
        except MonosemeError as error:
            problems.append(str(error))
    return problems


def _check_layer(acts: RunActivations, progress: Reporter) -> list[str]:
    with progress.task(f"reading {acts.name}", len(acts), "images") as task:
        try:
            for first, block in acts.blocks():
                bad = ~np.isfinite(block).all(axis=1)
                if bad.any():
                    return [f"layer {acts.name}: the activations of image {first + int(bad.argmax())} are not finite"]
                task.advance(len(block))
        except (OSError, ValueError, pa.ArrowException) as error:
            return [f"layer {acts.name} cannot be read ({first_line(error, 160)}); embed again with --overwrite"]
    return []


def _check_thumbnails(run: Run, progress: Reporter) -> list[str]:
    with progress.task("reading thumbnails", len(run), "images") as task:
        for first in range(0, len(run), 512):
            ids = np.arange(first, min(first + 512, len(run)))
            try:
                run.thumbnails(ids)
            except (OSError, ValueError, TypeError, SyntaxError, MonosemeError, pa.ArrowException) as error:
                return [f"a thumbnail of images {first} to {ids[-1]} cannot be read ({first_line(error, 160)})"]
            task.advance(len(ids))
    return []
