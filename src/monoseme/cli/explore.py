"""``monoseme explore``: a run in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from ._common import Device, ImagesOption, ModelOption, RunFolder, Weights


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
) -> None:
    """Look at layers, neurons and concepts in a browser, and move the line between them. Ctrl-C ends it."""
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
