"""``monoseme embed``: images and a model become a run."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..base import duration
from ._common import (
    Device,
    ImagesArgument,
    ImageSize,
    Json,
    Layouts,
    PrefixTokens,
    Quiet,
    Resize,
    Weights,
    load,
    progress_for,
    quoted,
    say,
    set_aside_line,
    stopped_at,
)


class Pooling(StrEnum):
    """How positions become one vector."""

    mean = "mean"
    max = "max"
    cls = "cls"


class Dtype(StrEnum):
    """As which activations are kept."""

    float32 = "float32"
    float16 = "float16"


class Acceleration(StrEnum):
    """What computes the forward pass."""

    auto = "auto"
    off = "off"
    compile = "compile"
    openvino = "openvino"


def embed(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Such as torchvision:inception_v3.", show_default=False)
    ],
    images: ImagesArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The run's folder.", show_default=False)],
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            "-l",
            help="Dotted name or glob; may be given again. Default: the last spatial layer.",
            show_default=False,
        ),
    ] = None,
    pooling: Annotated[
        list[Pooling] | None, typer.Option(help="mean (default), max or cls; may be given again.", show_default=False)
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="As which activations are kept.")] = Dtype.float32,
    batch_size: Annotated[int, typer.Option(help="Images a forward pass.")] = 32,
    predictions: Annotated[
        bool, typer.Option("--predictions/--no-predictions", help="Keep the five likeliest classes.")
    ] = True,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Keep a small picture of each image.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option(help="Decoding processes; one a core by default.", show_default=False)
    ] = None,
    commit_every: Annotated[int, typer.Option(help="Images a commit.")] = 1024,
    accelerate: Annotated[
        Acceleration,
        typer.Option(help="What computes the forward pass; must agree with plain PyTorch (off)."),
    ] = Acceleration.auto,
    scaled_decoding: Annotated[
        bool,
        typer.Option("--scaled-decoding", help="Decode large JPEGs at a fraction of their size: faster, nearly equal."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run made with something else, its banks included.")
    ] = False,
    image_size: ImageSize = None,
    resize: Resize = None,
    weights: Weights = None,
    device: Device = "auto",
    layout: Layouts = None,
    prefix_tokens: PrefixTokens = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Embed images with one or more layers of a model. Run it again to go on after it was stopped."""
    loaded = load(model, image_size, weights, device, layout, prefix_tokens, resize)
    from ..runs import embed as embed_images

    begin = time.monotonic()
    try:
        run = embed_images(
            loaded,
            images,
            layer or None,
            out,
            pooling=[each.value for each in pooling or [Pooling.mean]],
            dtype=dtype.value,
            batch_size=batch_size,
            predictions=predictions,
            thumbnails=thumbnails,
            workers=workers,
            commit_every=commit_every,
            accelerate=accelerate.value,
            scaled_decoding=scaled_decoding,
            overwrite=overwrite,
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise stopped_at(out, "images") from None
    facts = run.info()
    seconds = time.monotonic() - begin
    columns = ", ".join(f"{column.layer} ({column.channels:,} neurons, {column.pooling})" for column in run.columns())
    lines = [f"{run.path}: {len(run):,} images x {columns}, in {duration(seconds)}"]
    lines += set_aside_line(run, out)
    layers = "" if len(facts["layers"]) == 1 else f" --layer {quoted(run.columns()[-1].layer)}"
    lines.append(f"next: monoseme disentangle {quoted(out)}{layers}")
    say(lines, {**facts, "seconds": round(seconds, 3)}, as_json)
