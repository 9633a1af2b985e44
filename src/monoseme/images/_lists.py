"""List files: a path a line with an optional label (.txt), or a table with a header (.csv, .tsv)."""

from __future__ import annotations

import csv
import posixpath
from pathlib import Path

from ..base import MonosemeError, UsageError, did_you_mean
from ._columns import LABEL_COLUMNS
from ._files import FileSource, file_size
from ._names import shown, uri_of

LIST_SUFFIXES = (".txt", ".csv", ".tsv")
PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "img")


def open_list(spec: str, path: Path, max_pixels: int) -> FileSource:
    """The images that a list file names, in its order; relative paths start at the folder of the list.

    Raises
    ------
    MonosemeError
        The list cannot be read or names no image that exists.
    """
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise MonosemeError(f"cannot read the list {shown(path)}: {(error.strerror or str(error)).lower()}") from error
    if "\0" in text:
        raise UsageError(f"{shown(path)} is not a list of images: it is not text; a list has a path a line")
    rows = _plain_rows(text) if path.suffix.lower() == ".txt" else _table_rows(text, path)
    if not rows:
        raise MonosemeError(f"no images in {shown(path)}: the list is empty; write a path a line")
    root = path.parent
    names = [_normal(name, root) for name, _ in rows]
    sizes = [file_size(root / name) for name in names]
    if all(size is None for size in sizes):
        raise MonosemeError(
            f"no images in {shown(path)}: none of the {len(rows):,} files that it names exists (the first is "
            f"{shown(rows[0][0])}); paths are relative to the folder of the list"
        )
    return FileSource(
        spec, root, names, sizes=sizes, labels=[uri_of(label) or None for _, label in rows], max_pixels=max_pixels
    )


def _plain_rows(text: str) -> list[tuple[str, str]]:
    rows = []
    for line in text.split("\n"):
        name, _, label = line.strip().partition("\t")
        if name and not name.startswith("#"):
            rows.append((name.strip(), label.strip()))
    return rows


def _table_rows(text: str, path: Path) -> list[tuple[str, str]]:
    table = csv.DictReader(text.splitlines(keepends=True), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        columns = {name.strip().lower(): name for name in table.fieldnames or ()}
        path_column = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
        label_column = next((columns[name] for name in LABEL_COLUMNS if name in columns), None)
        if columns and path_column is None:
            raise UsageError(
                f"{shown(path)} has no column named path (it has {', '.join(map(shown, columns))})"
                f"{did_you_mean('path', columns) or '; name the column of file names path'}"
            )
        rows = [(row.get(path_column or "") or "", row.get(label_column or "") or "") for row in table]
    except csv.Error as error:
        raise UsageError(f"{shown(path)} cannot be read as a table: {error}; check its quotes") from error
    return [(name.strip(), label.strip()) for name, label in rows if name.strip()]


def _normal(name: str, root: Path) -> str:
    """A name as written in a list as a POSIX path, relative to `root` if it is below it."""
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    return posixpath.normpath(path.as_posix())
