"""``monoseme causal``: what a model's predictions lose without each concept, and gain with more of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..base import counted, duration
from ._common import (
    BankOption,
    ImagesOption,
    Json,
    LayerOption,
    ModelOption,
    Quiet,
    RunFolder,
    Stopped,
    next_show,
    numbers,
    progress_for,
    say,
)


def causal(
    run: RunFolder,
    layer: LayerOption = None,
    bank: BankOption = None,
    concepts: Annotated[
        list[str] | None,
        typer.Option("--concept", help="Which, such as 0,35,100-199; all by default.", show_default=False),
    ] = None,
    per_set: Annotated[
        int, typer.Option(min=1, help="The most images of a concept, of its siblings, and at random.")
    ] = 12,
    directions: Annotated[int, typer.Option(min=1, help="Random directions of each kind to compare with.")] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that the model takes at once.")] = 32,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The folder to write to, in place of the bank's own.", show_default=False),
    ] = None,
    model: ModelOption = None,
    images: ImagesOption = None,
    seed: Annotated[int, typer.Option(help="For everything random.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try each concept on the model: take it out of its images, add it to others, and see what predictions do."""
    chosen = None if concepts is None else numbers(concepts, "--concept")
    from ..runs import open_run

    opened = open_run(run)
    from ..banks import bank_folder, choose_bank, load_bank

    found = choose_bank(opened.path, layer, bank)
    target = bank_folder(opened.path, *found)
    loaded = load_bank(target)
    from ..evaluation import causal as tried

    begin = time.monotonic()
    try:
        result = tried(
            loaded,
            opened,
            model,
            images=images,
            concepts=chosen,
            per_set=per_set,
            directions=directions,
            batch_size=batch_size,
            seed=seed,
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; nothing was written, {run} and its banks are as they were") from None
    path = result.save(target if out is None else out)
    seconds = time.monotonic() - begin
    idle = [row["concept"] for row in result.concepts.to_pylist() if row["verdict"] == "does nothing"]
    lines = [
        f"{target}: {counted(len(result.concepts), 'concept')} of {loaded.layer} tried on "
        f"{counted(result.info['images'], 'image')}, in {duration(seconds)}",
        *result.lines(),
    ]
    if idle:
        some = ", ".join(map(str, idle[:10])) + (f" and {len(idle) - 10:,} more" if len(idle) > 10 else "")
        lines.append(f"separate in embedding space, but does nothing to predictions: concept {some}")
    lines.append(f"wrote {path} and three tables beside it; reports and the explorer show them")
    if len(loaded.directions):
        lines.append(next_show(run, loaded, found[1]))
    facts = {
        "path": str(path),
        **result.info,
        "tried": result.concepts.to_pylist(),
        "seconds": round(seconds, 3),
    }
    say(lines, facts, as_json)
