"""``monoseme explore``: a run in a browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..base import UsageError, counted, duration
from ._common import (
    Device,
    ImagesOption,
    Json,
    ModelOption,
    Quiet,
    RunFolder,
    Stopped,
    Weights,
    progress_for,
    quoted,
    say,
)


def explore(
    run: RunFolder,
    port: Annotated[int, typer.Option(help="Where to listen; 0 for any free port.", min=0, max=65535)] = 8642,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse to write anything into the run.")] = False,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. Other than this machine's own, each visitor needs the printed token."),
    ] = "127.0.0.1",
    model: ModelOption = None,
    weights: Weights = None,
    device: Device = "auto",
    images: ImagesOption = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Serve nothing; write the pages as files for any web host.", show_default=False
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Export: replace a folder that holds anything else.")
    ] = False,
    cuts: Annotated[
        int, typer.Option(help="Export: clusters, at most, that the line parts a neuron's images into.", min=0)
    ] = 24,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at layers, neurons and concepts in a browser, and move the line between them. Ctrl-C ends it."""
    if export is not None:
        _export(run, export, overwrite, cuts, as_json, quiet)
        return
    if overwrite:
        raise UsageError("--overwrite is for --export DIR; the explorer itself overwrites nothing")
    from ..explorer import explore as serve

    if not (
        run / "activations.lance"
    ).is_dir():  # told before an address is printed; importing Lance takes too long here
        from ..runs import open_run

        open_run(run)
    serve(
        run,
        port=port,
        host=host,
        browser=not no_browser,
        read_only=read_only,
        model=model,
        weights=weights,
        device=device,
        images=images,
    )
    print("stopped")


def _export(run: Path, folder: Path, overwrite: bool, cuts: int, as_json: bool, quiet: bool) -> None:
    from ..explorer import export_pages

    begin = time.monotonic()
    try:
        made = export_pages(run, folder, overwrite=overwrite, cuts=cuts, progress=progress_for(quiet, as_json))
    except KeyboardInterrupt:
        raise Stopped(f"stopped; nothing was written to {folder}") from None
    seconds = time.monotonic() - begin
    told = f"{counted(made.pages, 'page')}, {counted(made.images, 'thumbnail')}, {made.size / 1e6:,.1f} MB"
    lines = [
        f"wrote {folder}: {told}, in {duration(seconds)}",
        f"next: open {quoted(folder / 'index.html')}, or copy the folder to any web host",
    ]
    facts = {"folder": str(folder), "pages": made.pages, "thumbnails": made.images, "bytes": made.size}
    say(lines, {**facts, "seconds": round(seconds, 3)}, as_json)
