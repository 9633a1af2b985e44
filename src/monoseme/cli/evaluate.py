"""``monoseme evaluate``: what a bank is worth, in figures with their baselines."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from ..base import duration
from ._common import BankOption, Json, LayerOption, Quiet, RunFolder, Stopped, next_show, progress_for, say


def evaluate(
    run: RunFolder,
    layer: LayerOption = None,
    bank: BankOption = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Which label set, where the run has several; none for none.", show_default=False
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|RUN",
            help="A second encoder: a model, which embeds the images into RUN/judges, or a run of the same images.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="Where the images are now, for the judge, if they have moved.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="For everything random.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a bank: every figure with its baselines and a 95 % confidence interval. Kept in the bank's folder."""
    from ..runs import open_run

    opened = open_run(run)
    from ..banks import bank_folder, choose_bank, load_bank

    found = choose_bank(opened.path, layer, bank)
    target = bank_folder(opened.path, *found)
    loaded = load_bank(target)
    known = None if labels == "none" else opened.labels(labels) if labels or opened.label_sets else None
    acts = opened.activations(loaded.layer, loaded.pooling)
    from ..evaluation import evaluate as figures_of
    from ..evaluation import judge_activations, judge_run

    progress = progress_for(quiet, as_json)
    begin = time.monotonic()
    try:
        other = None if judge is None else judge_run(opened, judge, images=images, progress=progress)
        judging = None if other is None else judge_activations(other)
        result = figures_of(loaded, acts, labels=known, judge=judging, seed=seed, progress=progress)
    except KeyboardInterrupt:
        kept = "" if judge is None else "; what the judge has embedded is kept for the next time"
        raise Stopped(f"stopped; nothing was written, {run} and its banks are as they were{kept}") from None
    path = result.save(target)
    seconds = time.monotonic() - begin
    ranked = result.info["ranked"]
    lines = [
        f"{target}: {len(loaded):,} concepts from {len(loaded.directions):,} directions of {loaded.layer}, "
        f"in {duration(seconds)}",
        f"ranked: {ranked['images']:,} {ranked['of']}",
        *_about(result.info),
        "",
        *result.lines(),
        "",
        *result.info["notes"],
        f"wrote {path} and {path.with_suffix('.parquet').name}",
    ]
    if len(loaded.directions):
        lines.append(next_show(run, loaded, found[1]))
    say(lines, {"bank": str(target), **result.to_json(), "seconds": round(seconds, 3)}, as_json)


def _about(info: Any) -> list[str]:
    """What the labels and the judge are."""
    lines = []
    if labels := info.get("labels"):
        lines.append(f"labels: {labels['names']:,} on {labels['images']:,} of {info['images']:,} images")
    if judge := info.get("judge"):
        lines.append(
            f"judge: {judge['name']}, {judge['layer']}, knows {judge['matched']:,} of {judge['images']:,} images; "
            f"how independent: {judge['independence']}"
        )
    return lines
