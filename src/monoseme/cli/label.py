"""``monoseme label``: labels from a file are joined to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base import counted
from ._common import Json, RunFolder, quoted, say


def label(
    run: RunFolder,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV (UTF-8) or Parquet: an image and its label a row.", show_default=False
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Of the label set; the file's by default.", show_default=False)
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Which column names images: by image_id, uri or digest.", show_default=False
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option("--label", metavar="COLUMN", help="Which column holds the labels.", show_default=False),
    ] = None,
    separator: Annotated[str, typer.Option(help="Between several labels in a cell; '' for none.")] = ";",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a label set of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Join labels from a CSV or Parquet file to the images of a run, several an image if need be."""
    from ..runs import join_labels

    joined = join_labels(
        run, file, name=name, image=image, label=label_column, separator=separator, overwrite=overwrite
    )
    labels = joined.labels
    labelled = int(labels.labelled.sum())
    lines = [
        f"{joined.path}: {counted(len(labels.names), 'label')} on {labelled:,} of {counted(len(labels), 'image')}, "
        f"from {counted(joined.rows, 'row')}"
    ]
    if joined.unmatched:
        lines.append(f"{joined.unmatched:,} of the rows name no image of the run (the first: {joined.example})")
    lines.append(f"in Python: ms.open_run({str(run)!r}).labels({joined.name!r})")
    lines.append(f"next: monoseme info {quoted(run)}")
    facts = {
        "label_set": joined.name,
        "path": str(joined.path),
        "labels": len(labels.names),
        "images": len(labels),
        "labelled": labelled,
        "rows": joined.rows,
        "unmatched": joined.unmatched,
        "example": joined.example,
    }
    say(lines, facts, as_json)
