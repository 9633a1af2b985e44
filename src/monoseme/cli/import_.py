"""``monoseme import``: embeddings that were made elsewhere become a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..base import UsageError, duration
from ._common import Json, Quiet, progress_for, quoted, say, set_aside_line, stopped_at
from .embed import Dtype


class Pooling(StrEnum):
    """How positions become one vector."""

    mean = "mean"
    max = "max"


class Layout(StrEnum):
    """What the axes of maps and tokens are."""

    NCHW = "NCHW"
    NHWC = "NHWC"
    NLC = "NLC"


def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="npy, safetensors, Parquet or HDF5; or a folder or quoted pattern of files that follow each other.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The run's folder.", show_default=False)],
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            "-l",
            metavar="NAME[=KEY]",
            help="The layer's name and, where the file holds several arrays, its key. Once for each of several files, or "
            "several times for one.",
            show_default=False,
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|COLUMN",
            help="The name of each row's image: a column of the file, a text file with a line a row, or an npy of text. "
            "Default: a column called image_id, path, filename or the like.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="FILE|COLUMN", help="A label a row, likewise.", show_default=False)
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="IMAGES",
            help="The images, as embed takes them: each row's is found by its name. For thumbnails and exact copies.",
            show_default=False,
        ),
    ] = None,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Rows are in the order in which embed would list the images.")
    ] = False,
    pooling: Annotated[
        Pooling | None, typer.Option(help="How maps or tokens become one vector an image.", show_default=False)
    ] = None,
    layout: Annotated[
        Layout | None, typer.Option(help="Of maps and tokens; NCHW and NLC by default.", show_default=False)
    ] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="As which activations are kept; as they are by default.", show_default=False)
    ] = None,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Keep a small picture of each image.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Decoding processes; one a core by default.", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run made with something else, its banks included.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a run of embeddings that were computed elsewhere. Run it again to go on after it was stopped."""
    from ..runs import import_run

    begin = time.monotonic()
    try:
        run = import_run(
            _embeddings(files, layer or ()),
            out,
            ids=ids,
            labels=labels,
            images=images,
            in_order=in_order,
            pooling=None if pooling is None else pooling.value,
            layout=None if layout is None else layout.value,
            dtype=None if dtype is None else dtype.value,
            thumbnails=thumbnails,
            workers=workers,
            overwrite=overwrite,
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise stopped_at(out, "rows") from None
    facts = run.info()
    seconds = time.monotonic() - begin
    columns = ", ".join(f"{column.layer} ({column.channels:,} neurons, {facts['dtype']})" for column in run.columns())
    lines = [f"{run.path}: {len(run):,} images x {columns}, in {duration(seconds)}", *set_aside_line(run, out)]
    layers = "" if len(facts["layers"]) == 1 else f" --layer {quoted(run.columns()[-1].layer)}"
    lines.append(f"next: monoseme disentangle {quoted(out)}{layers}")
    say(lines, {**facts, "seconds": round(seconds, 3)}, as_json)


def _embeddings(
    files: Sequence[str], layers: Sequence[str]
) -> str | tuple[str, str] | dict[str, str | tuple[str, str]]:
    """What `import_run` takes, from the files and layers of a command line."""
    if not layers:
        if len(files) > 1:
            raise UsageError("several files are several layers; name each with --layer, in the order of the files")
        return files[0]
    if len(files) > 1 and len(files) != len(layers):
        raise UsageError(f"{len(files)} files need as many names, but --layer is given {len(layers)} times")
    found: dict[str, str | tuple[str, str]] = {}
    for number, given in enumerate(layers):
        name, equals, key = given.partition("=")
        if name in found:
            raise UsageError(f"--layer names {name} twice; layers need names of their own")
        file = files[number] if len(files) > 1 else files[0]
        found[name] = (file, key) if equals else file
    if len(layers) > len(files) and not all("=" in given for given in layers):
        raise UsageError("several layers of one file need their keys; write --layer NAME=KEY for each")
    return found
