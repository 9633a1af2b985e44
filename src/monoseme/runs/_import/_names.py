"""Which image each row is of: names and labels from a column, a file or a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from ...base import UsageError, join_words
from ...images import shown
from .._label_file import IMAGE_COLUMNS
from ._arrays import LayerArray
from ._files import open_file, reading

USUAL = (
    *IMAGE_COLUMNS,
    "file_name",
    "file_names",
    "filenames",
    "files",
    "paths",
    "image_ids",
    "ids",
    "id",
    "names",
    "keys",
)
"""Names of columns that name images when nothing else is said."""

Given = str | PathLike[str] | Iterable[object] | None


def rows_in(layers: Mapping[str, LayerArray]) -> int:
    """N, the number of rows that all layers have.

    Raises
    ------
    UsageError
        One has another number.
    """
    (first, lead), *others = layers.items()
    for name, layer in others:
        if layer.rows != lead.rows:
            raise UsageError(
                f"layer {shown(first)} has {lead.rows:,} rows, but layer {shown(name)} has {layer.rows:,}; layers of a run are of "
                "the same images in the same order"
            )
    return lead.rows


def image_names(layers: Mapping[str, LayerArray], given: Given) -> list[str] | None:
    """The name of each row's image, None where nothing says it.

    Where names come from a column, every layer's files must have such a column (that one, if it was named) with the same names.

    Raises
    ------
    UsageError
        There is no such column or file, or names are missing, there twice, or not the same for all layers.
    """
    (first, lead), *others = layers.items()
    column = _column(lead, given)
    if given is None and column is None:
        return None
    names = _column_of(lead, column) if column is not None else _read(given, lead, "ids")
    where = f"the ids ({shown(column)})" if column else "the ids"
    _check(names, lead, where)
    for name, layer in others if column is not None else ():
        theirs = (_column(layer, None) if given is None else column) or column
        _same(names, _column_of(layer, theirs or ""), first, name)
    return [name or "" for name in names]


def image_labels(layers: Mapping[str, LayerArray], given: Given) -> list[str | None] | None:
    """The label of each row, None where nothing says it.

    Raises
    ------
    UsageError
        There is no such column or file, or it has another number of rows.
    """
    if given is None:
        return None
    lead = next(iter(layers.values()))
    column = _column(lead, given)
    labels = _column_of(lead, column) if column is not None else _read(given, lead, "labels")
    if len(labels) != lead.rows:
        raise UsageError(f"there are {len(labels):,} labels, but {lead.said} has {lead.rows:,} rows; give one a row")
    return [label or None for label in labels]


def _column(layer: LayerArray, given: Given) -> str | None:
    """The column that is meant, of those that the layer's file has."""
    columns = [name for name in layer.files[0].texts() if name]
    if isinstance(given, str):
        return given if given in columns else None
    if given is not None:
        return None
    by_name = {name.rsplit("/", 1)[-1].lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in USUAL if name in by_name), None)


def _column_of(layer: LayerArray, column: str) -> list[str | None]:
    found: list[str | None] = []
    for file in layer.files:
        with reading(file.path):
            if column not in file.texts():
                raise UsageError(
                    f"{shown(file.path)} has no column {shown(column)}, so that the order of its rows cannot be checked; name a "
                    "file of ids with --ids"
                )
            found += file.text(column)
    return found


def _read(given: Given, layer: LayerArray, what: str) -> list[str | None]:
    """Text a row, from a list or from a file."""
    if not isinstance(given, (str, PathLike)):
        return [None if each is None else str(each) for each in given or ()]
    path = Path(given).expanduser()
    if not path.is_file():
        columns = [shown(name) for name in layer.files[0].texts() if name]
        has = f"its columns are {join_words(columns, 'and')}" if columns else "which has no columns of text"
        raise UsageError(f"{what}: {shown(given)} is neither a file nor a column of {shown(layer.spec)} ({has})")
    if path.suffix.lower() in (".csv", ".tsv", ".parquet") and what == "labels":
        raise UsageError(
            f"{shown(path)} is a table; import without labels, then join it with monoseme label RUN {path.name}"
        )
    with reading(path), path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            npy = open_file(path)
            if not npy.texts():
                raise UsageError(f"{shown(path)} holds no text; {what} are text or whole numbers, one a row")
            return npy.text("")
        file.seek(0)
        content = file.read()
    if b"\0" in content:
        raise UsageError(
            f"{shown(path)} is no text; give {what} as a text file with a line a row, or as an .npy of text"
        )
    lines = content.decode("utf-8-sig", "surrogateescape").split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() or None for line in lines]


def _check(names: Sequence[str | None], layer: LayerArray, where: str) -> None:
    if len(names) != layer.rows:
        raise UsageError(
            f"{where} name {len(names):,} images, but {layer.said} has {layer.rows:,} rows; give one a row"
        )
    empty = next((row for row, name in enumerate(names) if not name), None)
    if empty is not None:
        raise UsageError(f"{where} say nothing for row {empty:,}; every row needs the name of its image")
    if len(set(names)) < len(names):
        _, firsts, counts = np.unique(np.array(names, dtype=object).astype(str), return_index=True, return_counts=True)
        row = int(firsts[counts > 1].min())
        again = names.index(names[row], row + 1)
        raise UsageError(
            f"{where} name {shown(names[row])} twice, in rows {row:,} and {again:,}; every image may be there once"
        )


def _same(names: Sequence[str | None], others: Sequence[str | None], first: str, other: str) -> None:
    if len(names) == len(others):
        row = next((row for row, (a, b) in enumerate(zip(names, others, strict=True)) if a != b), None)
        if row is None:
            return
        said = f"row {row:,} is {shown(others[row])} in layer {shown(other)}, but {shown(names[row])} in layer {shown(first)}"
    else:
        said = f"layer {shown(other)} names {len(others):,} images, layer {shown(first)} {len(names):,}"
    raise UsageError(f"{said}; layers of a run are of the same images in the same order")
