"""``monoseme visualize``: pictures of neurons and of a layer, as files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..base import MonosemeError, UsageError, counted, duration, join_words
from ._common import (
    BankOption,
    Device,
    ImagesOption,
    Json,
    LayerOption,
    ModelOption,
    Quiet,
    Stopped,
    Weights,
    choice,
    numbers,
    progress_for,
    quoted,
    say,
)


def visualize(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A folder made by monoseme embed.", show_default=False)
    ] = None,
    neuron: Annotated[
        list[str] | None,
        typer.Option(
            "--neuron", "-n", help="Which: 35, or 0,35,100-199. Default: the most telling one.", show_default=False
        ),
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(
            help="Which picture; may be given again. Default: all that need only the run. --list names them.",
            show_default=False,
        ),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the pictures there are, and leave.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.")] = Path("pictures"),
    suffix: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    layer: LayerOption = None,
    bank: BankOption = None,
    projection: Annotated[str, typer.Option(help="For maps: tsne, pca, or umap (needs the extra).")] = "tsne",
    model: ModelOption = None,
    weights: Weights = None,
    device: Device = "auto",
    images: ImagesOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a neuron's concepts, tree, distances, map and vectors, or a layer's histogram and map, as PNG, SVG or PDF."""
    from ..visualize import FORMATS, PICTURES, Pictures, kind_of, needs_only_the_run, save_figure

    if list_all:
        table = [
            {"name": name, "of": kind.of, "needs": kind.needs, "shows": kind.meaning} for name, kind in PICTURES.items()
        ]
        say(
            [f"{row['name']:<12} {row['of']:<7} {row['shows']} (needs the {row['needs']})" for row in table],
            {"pictures": table},
            as_json,
        )
        return
    if run is None:
        raise UsageError("name the run whose neurons are to be drawn; --list needs none")
    if suffix not in FORMATS:
        raise UsageError(f"--format takes {join_words(FORMATS)}, not {suffix!r}")
    kinds = {name: kind_of(name) for name in what or ()}
    from ..banks import load_bank
    from ..runs import open_run

    opened = open_run(run)
    loaded = load_bank(opened.path, layer=layer, name=bank)
    begin = time.monotonic()
    progress = progress_for(quiet, as_json)
    pictures = Pictures(
        loaded,
        opened,
        model=model,
        weights=weights,
        device=device,
        images=images,
        projection=projection,  # type: ignore[arg-type]  # checked there
        progress=progress,
    )
    chosen = numbers(neuron or (), "--neuron")
    if not chosen and (what is None or any(kind.of == "neuron" for kind in kinds.values())):
        chosen = loaded.most_split(1) or [int(loaded.directions[0])]
    for number in chosen:
        loaded.position(number)  # refused before anything is drawn
    names = list(kinds) if what else [*needs_only_the_run("neuron"), *needs_only_the_run("layer")]
    jobs: list[tuple[str, int | None]] = [
        (name, each) for each in chosen for name in names if PICTURES[name].of == "neuron"
    ]
    jobs += [(name, None) for name in names if PICTURES[name].of == "layer" and (what or not neuron)]
    written: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    try:
        with progress.task("drawing", len(jobs), "pictures") as task:
            for name, each in jobs:
                try:
                    figure = pictures.draw(name, each)
                except MonosemeError as error:
                    if what:
                        raise
                    skipped[name] = str(error)
                    continue
                path = out / f"{_stem(name, each)}.{suffix}"
                save_figure(figure, path)
                written.append({"what": name, "neuron": each, "path": str(path)})
                task.advance()
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {counted(len(written), 'picture')} of {len(jobs)} are in {out}") from None
    lines = [f"  {row['path']}" for row in written]
    lines += [f"  left out    {name}: {reason}" for name, reason in skipped.items()]
    lines.append(f"{counted(len(written), 'picture')} of {loaded.layer} in {duration(time.monotonic() - begin)}")
    lines.append(f"next: monoseme report {quoted(run)}{choice(layer, bank)} --out report.html")
    say(lines, {"pictures": written, "left_out": skipped}, as_json)
    if not written:
        raise MonosemeError("no picture could be drawn; the lines above say why")


def _stem(what: str, neuron: int | None) -> str:
    return what if neuron is None else f"{neuron:05d}-{what}"
