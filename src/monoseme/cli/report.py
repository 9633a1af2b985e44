"""``monoseme report``: a run and its bank as one HTML file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..base import duration
from ._common import (
    BankOption,
    Device,
    ImagesOption,
    Json,
    LayerOption,
    ModelOption,
    Quiet,
    RunFolder,
    Stopped,
    Weights,
    numbers,
    progress_for,
    say,
)


def report(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("report.html"),
    neurons: Annotated[int, typer.Option(help="How many of the most telling neurons get a section.")] = 20,
    neuron: Annotated[
        list[str] | None,
        typer.Option("--neuron", "-n", help="These in their place: 35, or 0,35,100-199.", show_default=False),
    ] = None,
    layer: LayerOption = None,
    bank: BankOption = None,
    columns: Annotated[int, typer.Option(help="Images of each concept.")] = 12,
    quality: Annotated[int, typer.Option(help="Of the pictures, 1 to 100; the file's size follows it.")] = 60,
    heatmaps: Annotated[
        bool,
        typer.Option("--heatmaps", help="Also show where in its exemplars each concept is; needs model and images."),
    ] = False,
    model: ModelOption = None,
    weights: Weights = None,
    device: Device = "auto",
    images: ImagesOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML file that can be handed on: facts, histogram, a table of all neurons, and the chosen ones in detail."""
    from ..reporting import report as write
    from ..runs import model_of, open_run

    begin = time.monotonic()
    chosen = numbers(neuron or (), "--neuron")
    opened = open_run(run)
    try:
        path = write(
            opened,
            out,
            bank=bank,
            layer=layer,
            neurons=chosen or neurons,
            columns=columns,
            quality=quality,
            heatmaps=heatmaps,
            model=model_of(opened, model, weights=weights, device=device) if heatmaps else None,
            images=images,
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {out} was not written") from None
    size, seconds = path.stat().st_size, time.monotonic() - begin
    lines = [
        f"wrote {path}: {size / 1e6:.1f} MB, in {duration(seconds)}",
        "next: open it in a browser; it needs no network and no other file",
    ]
    say(lines, {"report": str(path), "bytes": size, "seconds": round(seconds, 3)}, as_json)
