"""``monoseme apply``: new images are scored on the concepts of a bank."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..base import counted, duration, join_words
from ._common import (
    BankArgument,
    BankOption,
    ImagesArgument,
    Json,
    LayerOption,
    ModelOption,
    Quiet,
    RunOption,
    Stopped,
    progress_for,
    quoted,
    say,
)


def apply(
    bank: BankArgument,
    images: ImagesArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The Parquet file to write.", show_default=False)],
    layer: LayerOption = None,
    name: BankOption = None,
    run: RunOption = None,
    model: ModelOption = None,
    rate: Annotated[float, typer.Option(help="The share of the data set's images in which a concept fires.")] = 0.01,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Decoding processes; 0 decodes in this process.", show_default=False)
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also draw where concepts fire in each image.", show_default=False),
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also cut out the places where concepts fire.", show_default=False),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Concepts of an image that are drawn or cut out at most.")] = 3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score new images on every concept of a bank, and say which concepts fire in each."""
    from ..banks import load_bank
    from ..use import apply_bank

    loaded = load_bank(bank, layer=layer, name=name)
    progress, begin, drawn = progress_for(quiet, as_json), time.monotonic(), None
    try:
        done = apply_bank(
            loaded,
            images,
            out,
            model=model,
            run=run,
            rate=rate,
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; nothing was written to {out}") from None
    if heatmaps is not None or crops is not None:
        from ..visualize import firing_pictures

        try:
            drawn = firing_pictures(
                loaded,
                out,
                heatmaps=heatmaps,
                crops=crops,
                images=images,
                most=most,
                model=model,
                run=run,
                overwrite=overwrite,
                progress=progress,
            )
        except KeyboardInterrupt:
            raise Stopped(f"stopped; the scores are in {out}, but no pictures were written") from None
    seconds = time.monotonic() - begin
    lines = [
        f"{out}: {counted(done.images, 'image')} scored on {counted(len(loaded), 'concept')} of {loaded.layer}, "
        f"in {duration(seconds)}",
        f"a concept fires in {done.fired:.2%} of these images on average, and in {rate:.2%} of those it was found in",
    ]
    if done.set_aside:
        lines.append(f"{counted(done.set_aside, 'image')} could not be used; the column reason says why")
    if drawn is not None:
        where = join_words([str(folder) for folder in (heatmaps, crops) if folder is not None], "and")
        lines.append(f"{counted(drawn.pictures, 'place')} in {counted(drawn.images, 'image')} drawn into {where}")
    lines.append(f"in Python: pyarrow.parquet.read_table({quoted(out)!r}, columns=['uri', 'fired'])")
    facts = {
        "path": str(out),
        "images": done.images,
        "set_aside": done.set_aside,
        "concepts": len(loaded),
        "layer": loaded.layer,
        "rate": rate,
        "fired": done.fired,
        "heatmaps": None if heatmaps is None else str(heatmaps),
        "crops": None if crops is None else str(crops),
        "drawn": None if drawn is None else drawn.pictures,
        "seconds": round(seconds, 3),
    }
    say(lines, facts, as_json)
