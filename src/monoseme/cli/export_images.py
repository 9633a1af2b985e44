"""``monoseme export-images``: the images of concepts in folders, for TCAV and the like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..base import counted
from ._common import (
    BankOption,
    ImagesOption,
    Json,
    LayerOption,
    NeuronsOption,
    Quiet,
    RunFolder,
    Stopped,
    choice,
    numbers,
    progress_for,
    quoted,
    say,
)


def export_images(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.", show_default=False)],
    neurons: NeuronsOption = None,
    layer: LayerOption = None,
    bank: BankOption = None,
    images: ImagesOption = None,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="The most images of a concept, strongest first; all by default.", show_default=False),
    ] = None,
    dropped: Annotated[
        bool, typer.Option("--dropped/--no-dropped", help="Also the exemplars that belong to no concept.")
    ] = True,
    random_sets: Annotated[int, typer.Option(min=0, help="Sets of as many random images for each concept.")] = 2,
    seed: Annotated[int, typer.Option(help="For the random sets.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy each concept's images, its neuron's dropped ones and as many random ones into folders, as TCAV reads them."""
    from ..runs import open_run

    opened = open_run(run)
    from ..banks import load_bank
    from ..use import MANIFEST
    from ..use import export_images as export

    loaded = load_bank(opened.path, layer=layer, name=bank)
    chosen = None if neurons is None else numbers(neurons)
    try:
        export(
            loaded,
            opened,
            out,
            directions=chosen,
            images=images,
            dropped=dropped,
            random_sets=random_sets,
            most=most,
            seed=seed,
            overwrite=overwrite,
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; nothing was written to {out}") from None
    folders = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["folders"]
    counts = {role: [each for each in folders if each["role"] == role] for role in ("concept", "random", "dropped")}
    exported = list(dict.fromkeys(each["direction"] for each in folders))
    which = f"{loaded.start_name}{'s' if len(exported) > 1 else ''} {_some(exported)} of {loaded.layer}"
    lines = [
        f"{out}: {counted(len(counts['concept']), 'concept')} of {which}"
        + ("" if chosen is not None else " (the most telling; name others with --neurons)"),
        *(f"  {_held(counts[role], role)}" for role in counts if counts[role]),
        f"wrote {out / MANIFEST}, which names every file's image",
        *_in_python(out, counts["concept"][0]["folder"]),
        f"next: monoseme show {quoted(run)} {exported[0]}{choice(layer, bank)}",
    ]
    facts: dict[str, Any] = {
        "path": str(out),
        "layer": loaded.layer,
        "directions": exported,
        "folders": [
            {**{key: value for key, value in each.items() if key != "files"}, "images": len(each["files"])}
            for each in folders
        ],
    }
    say(lines, facts, as_json)


def _some(found: list[int], limit: int = 8) -> str:
    more = len(found) - limit
    return ", ".join(map(str, found[:limit])) + (f" and {more:,} more" if more > 0 else "")


def _held(folders: list[dict[str, Any]], role: str) -> str:
    images = sum(len(each["files"]) for each in folders)
    return f"{role:<8} {counted(images, 'image')} in {counted(len(folders), 'folder')}, such as {folders[0]['folder']}"


def _in_python(out: Path, folder: str) -> list[str]:
    """How Captum reads a folder; the original TCAV needs its name alone."""
    path = f"{out / folder}/"
    return [
        "in Python: from captum.concept._utils.data_iterator import CustomIterableDataset, dataset_to_dataloader",
        f"           captum.concept.Concept(0, {folder!r}, dataset_to_dataloader(CustomIterableDataset(read, {path!r})))",
    ]
