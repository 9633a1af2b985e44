"""``monoseme apply``: new images are scored on the concepts of a bank."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..base import counted, duration
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score new images on every concept of a bank, and say which concepts fire in each."""
    from ..banks import load_bank
    from ..use import apply_bank

    loaded = load_bank(bank, layer=layer, name=name)
    begin = time.monotonic()
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
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; nothing was written to {out}") from None
    seconds = time.monotonic() - begin
    lines = [
        f"{out}: {counted(done.images, 'image')} scored on {counted(len(loaded), 'concept')} of {loaded.layer}, "
        f"in {duration(seconds)}",
        f"a concept fires in {done.fired:.2%} of these images on average, and in {rate:.2%} of those it was found in",
    ]
    if done.set_aside:
        lines.append(f"{counted(done.set_aside, 'image')} could not be used; the column reason says why")
    lines.append(f"in Python: pyarrow.parquet.read_table({quoted(out)!r}, columns=['uri', 'fired'])")
    facts = {
        "path": str(out),
        "images": done.images,
        "set_aside": done.set_aside,
        "concepts": len(loaded),
        "layer": loaded.layer,
        "rate": rate,
        "fired": done.fired,
        "seconds": round(seconds, 3),
    }
    say(lines, facts, as_json)
