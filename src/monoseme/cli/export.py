"""``monoseme export``: a bank in the format of another tool."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..base import UsageError, counted
from ._common import (
    BankArgument,
    BankOption,
    ImagesOption,
    Json,
    LayerOption,
    ModelOption,
    NeuronsOption,
    Quiet,
    RunOption,
    Stopped,
    numbers,
    progress_for,
    say,
)


class Format(StrEnum):
    """What is written."""

    captum = "captum"
    tcav = "tcav"
    hub = "hub"
    fiftyone = "fiftyone"


def export(
    bank: BankArgument,
    format: Annotated[  # noqa: A002 - the option's name
        Format,
        typer.Option(
            "--format",
            "-f",
            help="captum: CAVs and concepts; tcav: folders of the original TCAV; hub: the bank with a model card, for the "
            "Hugging Face Hub; fiftyone: its exemplars as a data set.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.", show_default=False)],
    neurons: NeuronsOption = None,
    layer: LayerOption = None,
    name: BankOption = None,
    run: RunOption = None,
    images: ImagesOption = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="captum: without images, CAVs alone.")
    ] = True,
    model: ModelOption = None,
    positions: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="captum: how many positions the layer has, such as 7x7; else its model says.",
            show_default=False,
        ),
    ] = None,
    random_sets: Annotated[
        int | None,
        typer.Option(min=0, help="captum: of each concept (1 by default); tcav: in all (10).", show_default=False),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="The most images of a concept, strongest first; all by default.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="For the random sets.")] = 0,
    license: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            metavar="ID", help="hub: what the card says, such as cc-by-4.0; none by default.", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a bank for another tool: Captum, TCAV, the Hugging Face Hub or FiftyOne."""
    from ..banks import load_bank
    from ..use import export_bank

    loaded = load_bank(bank, layer=layer, name=name)
    try:
        export_bank(
            loaded,
            out,
            format.value,
            run=run,
            directions=None if neurons is None else numbers(neurons),
            images=images,
            pictures=pictures,
            model=model,
            positions=None if positions is None else _positions(positions),
            random_sets=random_sets,
            most=most,
            seed=seed,
            license=license,
            overwrite=overwrite,
            progress=progress_for(quiet, as_json),
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; nothing was written to {out}") from None
    files = [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    facts: dict[str, Any] = {
        "path": str(out),
        "format": format.value,
        "layer": loaded.layer,
        "files": len(files),
        "bytes": size,
    }
    lines = [
        f"{out}: {loaded.layer} for {_TOOLS[format]}, {counted(len(files), 'file')}, {size / 1e6:,.1f} MB",
        *_use(format, out),
    ]
    say(lines, facts, as_json)


_TOOLS = {
    Format.captum: "Captum",
    Format.tcav: "the original TCAV",
    Format.hub: "the Hugging Face Hub",
    Format.fiftyone: "FiftyOne",
}


def _use(format: Format, out: Path) -> list[str]:  # noqa: A002
    """How the other tool is given the folder."""
    folder = repr(str(out))
    return {
        Format.captum: [
            f"in Python: tcav = captum.concept.TCAV(network, LAYER, save_path={str(out / 'cavs')!r})",
            f"           tcav.interpret(inputs, monoseme.captum_concepts({folder}), target=CLASS)",
        ],
        Format.tcav: [
            f"in Python: source_dir={folder}; the random sets are found by their names, random500_0 and so on"
        ],
        Format.hub: [
            f"in Python: huggingface_hub.upload_folder(folder_path={folder}, repo_id='OWNER/NAME')",
            f"read again: monoseme.load_bank({folder})",
        ],
        Format.fiftyone: [
            f"in Python: data = fiftyone.Dataset.from_dir({folder}, fiftyone.types.FiftyOneImageClassificationDataset, "
            "label_field='concepts')",
            f"           data.set_values('embedding', list(numpy.load({str(out / 'embeddings.npy')!r})))",
        ],
    }[format]


def _positions(text: str) -> list[int]:
    """The sides of a layer's map.

    >>> _positions("7x7"), _positions("197")
    ([7, 7], [197])
    """
    parts = text.split("x")
    if not all(part.isdecimal() and len(part) < 9 for part in parts):
        raise UsageError(f"--positions takes sides such as 7x7, or one number, not {text!r}")
    return [int(part) for part in parts]
