"""What a CSV or Parquet file says of images: a column of names, a column of labels. Nothing in it is trusted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ..base import MonosemeError, UsageError, did_you_mean, first_line, join_words
from ..images import shown

IMAGE_COLUMNS = ("image_id", "uri", "path", "file", "filename", "image", "digest")
LABEL_COLUMNS = ("label", "labels", "class", "tags")
_LONGEST = 1000
"""More characters than this are no label but a column that was taken for one."""
_BLOCK = 16 << 20


@dataclass(frozen=True)
class LabelRows:
    """R rows that name images, and the P labels they give.

    column : name of the column that names images
    images : (R,) text, null or empty where a row names none
    rows, labels : (P,) number of the row, and the label
    """

    column: str
    images: pa.Array
    rows: npt.NDArray[np.int64]
    labels: pa.Array


def read_label_file(path: Path, image: str | None, label: str | None, separator: str | None) -> LabelRows:
    """Read the two columns of a CSV file (comma, semicolon or tab; UTF-8) or of a Parquet file.

    Raises
    ------
    UsageError
        There is no such file, or it lacks a column that is asked for.
    MonosemeError
        It cannot be read.
    """
    if not path.is_file():
        near = [each.name for each in path.parent.iterdir() if each.is_file()] if path.parent.is_dir() else []
        raise UsageError(f"there is no file {path}{did_you_mean(path.name, near)}")
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        read = _read_parquet if is_parquet else _read_csv
        column, images, cells = read(path, image, label)
        if not len(images):
            raise MonosemeError(f"{path} has a header but no rows; write a row for each image")
        rows, labels = _labels(cells, separator, path)
        return LabelRows(column, _as_text(images, column, path), rows, labels)
    except PermissionError as error:
        raise MonosemeError(f"{path} may not be read: permission denied") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MonosemeError(
            f"{path} cannot be read as a table ({shown(first_line(error, 160))}); save it as CSV in UTF-8 or as Parquet"
        ) from error


def _read_parquet(path: Path, image: str | None, label: str | None) -> tuple[str, pa.ChunkedArray, pa.ChunkedArray]:
    with pq.ParquetFile(path) as file:
        mine, theirs = _choose(file.schema_arrow.names, image, label, path)
        columns = [file.schema_arrow.names[place] for place in (mine, theirs)]
        table = file.read(columns=columns)
    return columns[0], table[columns[0]], table[columns[1]]


def _read_csv(path: Path, image: str | None, label: str | None) -> tuple[str, pa.ChunkedArray, pa.ChunkedArray]:
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not content.strip():
        raise MonosemeError(f"{path} is empty; write a header such as path,label and a row for each image")
    if b"\0" in content:
        raise MonosemeError(f"{path} is neither text nor Parquet; save it as CSV in UTF-8 or as Parquet")
    delimiter, header = _header(content.decode()[:_BLOCK])  # what is not UTF-8 is refused here
    mine, theirs = _choose(header, image, label, path)
    bad: list[pyarrow.csv.InvalidRow] = []
    numbers = [str(place) for place in range(len(header))]  # names may be there twice, places are not
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=numbers, skip_rows=1),
            pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                invalid_row_handler=lambda row: bad.append(row) or "error",  # type: ignore[func-returns-value]
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(numbers, pa.string()), include_columns=[str(mine), str(theirs)]
            ),
        )
    except pa.ArrowException as error:
        if not bad:
            raise
        raise MonosemeError(
            f"row {bad[0].number or '?'} of {path} has {bad[0].actual_columns} columns, but its header has {len(header)}; "
            f"put cells that hold {delimiter!r} in quotes"
        ) from error
    return header[mine], table[0], table[1]


def _header(text: str) -> tuple[str, list[str]]:
    """The delimiter that makes most columns of the first row, and those columns' names."""
    found = []
    for delimiter in ",;\t":
        try:
            names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        except (csv.Error, StopIteration):
            continue
        found.append((delimiter, [name.strip() for name in names]))
    if not found:
        raise ValueError("its first row is no header")
    return max(found, key=lambda pair: len(pair[1]))


def _choose(columns: Sequence[str], image: str | None, label: str | None, path: Path) -> tuple[int, int]:
    """Places of the column of images and of that of labels."""
    mine = _place(columns, image, IMAGE_COLUMNS, "--image", path)
    if mine is None:
        raise UsageError(
            f"no column of {path} is called {join_words(IMAGE_COLUMNS)} (it has {_some(columns)}); name the one that names "
            "images with --image"
        )
    theirs = _place(columns, label, LABEL_COLUMNS, "--label", path)
    if theirs is None and len(columns) == 2:
        theirs = 1 - mine
    if theirs is None:
        raise UsageError(
            f"no column of {path} is called {join_words(LABEL_COLUMNS)} (it has {_some(columns)}); name the one of labels "
            "with --label"
        )
    if mine == theirs:
        raise UsageError(f"the column {shown(columns[mine])} cannot name both images and labels; name the other one")
    return mine, theirs


def _place(columns: Sequence[str], name: str | None, usual: Sequence[str], option: str, path: Path) -> int | None:
    if name is None:
        lowered = [column.strip().lower() for column in columns]
        return next((lowered.index(each) for each in usual if each in lowered), None)
    if name not in columns:
        raise UsageError(
            f"{path} has no column {name!r} for {option}, only {_some(columns)}{did_you_mean(name, columns)}"
        )
    if columns.count(name) > 1:
        raise UsageError(f"{path} has several columns {name!r}; rename all but one")
    return columns.index(name)


def _some(columns: Sequence[str], limit: int = 12) -> str:
    names = [shown(column[:60]) for column in columns[:limit]]
    return join_words(names, "and") + (f" and {len(columns) - limit:,} more" if len(columns) > limit else "")


def _labels(cells: pa.ChunkedArray, separator: str | None, path: Path) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """(P,) row and (P,) label: a list's items, the parts of a cell between separators, or the cell."""
    column = _one(cells)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        rows, labels = pc.list_parent_indices(column), _as_text(pc.list_flatten(column), "labels", path)
    else:
        labels = _as_text(column, "labels", path)
        rows = pa.array(np.arange(len(labels)))
        if separator and pc.any(pc.match_substring(labels, separator)).as_py():
            parts = pc.split_pattern(labels, separator)
            rows, labels = pc.list_parent_indices(parts), pc.list_flatten(parts)
    labels = pc.utf8_trim_whitespace(labels)
    lengths = pc.utf8_length(labels)
    there = pc.fill_null(pc.greater(lengths, 0), False)
    longest = pc.max(lengths).as_py() or 0
    if longest > _LONGEST:
        raise MonosemeError(
            f"a label of {path} has {longest:,} characters, more than the {_LONGEST:,} that are allowed; name the column of "
            "labels with --label"
        )
    if pc.any(pc.match_substring_regex(labels, "[\\r\\n]")).as_py():
        raise MonosemeError(f"a label of {path} goes over several lines; close its quotes")
    return np.asarray(rows.filter(there).to_numpy(), dtype=np.int64), labels.filter(there)


def _as_text(values: pa.Array | pa.ChunkedArray, what: str, path: Path) -> pa.Array:
    """Text or whole numbers as text."""
    column = _one(values)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_null(kind)
        or kind in (pa.string(), pa.large_string(), pa.string_view())
    ):
        raise UsageError(f"the column of {shown(what)} in {path} holds {kind}; it must hold text or whole numbers")
    return column.cast(pa.large_string())


def _one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(values, pa.ChunkedArray):
        return values
    return (
        values.chunk(0)
        if values.num_chunks == 1
        else pa.concat_arrays(values.chunks)
        if values.num_chunks
        else pa.array([], values.type)
    )
