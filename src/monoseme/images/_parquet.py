"""Parquet files: rows read a window at a time, never a whole file."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import MonosemeError, digest_text
from ._columns import image_column, label_column, label_text
from ._decode import MAX_PIXELS, BadImage
from ._files import file_size
from ._names import shown, uri_of
from ._source import EncodedSource, Entry

WINDOW_BYTES = 64 << 20
"""About how many bytes of images are held for each of the two windows."""


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group: where it begins in the listing, and how many of its rows fit a window."""

    start: int
    file: int
    first_row: int
    number: int
    window_rows: int


class ParquetSource(EncodedSource):
    """The rows of one or more Parquet files with a column of encoded images.

    Parameters
    ----------
    spec
        What the user wrote.
    root
        The folder that names are relative to.
    names
        Of the files, in order.
    max_pixels
        The limit for decoding.
    """

    def __init__(self, spec: str, root: Path, names: Sequence[str], *, max_pixels: int = MAX_PIXELS) -> None:
        self.spec, self.max_pixels = spec, max_pixels
        self._paths = [root.absolute() / name for name in names]
        self._names = [uri_of(name) for name in names]
        self._columns: list[str] = []
        self._groups: list[_Group] = []
        self._labels: list[str | None] = []
        for number, path in enumerate(self._paths):
            self._list_file(number, path)
        if not self._labels:
            raise MonosemeError(f"no images in {shown(spec)}: the Parquet files have no rows")
        self._starts = [group.start for group in self._groups]
        self._forget()

    def _list_file(self, number: int, path: Path) -> None:
        with _opened(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            column = image_column([f.name for f in schema if _holds_bytes(f.type)], schema.names, shown(path))
            self._columns.append(column)
            first_row, start = 0, len(self._labels)
            for group in range(metadata.num_row_groups):
                rows = metadata.row_group(group).num_rows
                window_rows = max(
                    1, int(WINDOW_BYTES * rows / max(_column_bytes(metadata.row_group(group), column), 1))
                )
                if rows:
                    self._groups.append(_Group(start + first_row, number, first_row, group, min(rows, window_rows)))
                first_row += rows
            self._labels += _labels(file, schema) or [None] * first_row

    def __len__(self) -> int:
        return len(self._labels)

    def entry(self, index: int) -> Entry:
        index = range(len(self))[index]
        group = self._group(index)
        uri = f"{self._names[group.file]}#{group.first_row + index - group.start}"
        return Entry(uri, self._labels[index], uri)

    def digest(self) -> str:
        return digest_text(super().digest(), *(str(file_size(path)) for path in self._paths))

    def read(self, index: int) -> bytes:
        index = range(len(self))[index]
        group = self._group(index)
        with self._lock:
            try:
                value = self._window(group).row(index - group.start)
            except Exception as error:  # Arrow has many errors for damaged pages
                self._windows.pop(group.start, None)
                raise BadImage("its part of the Parquet file is damaged or vanished") from error
        if isinstance(value, dict):
            value = value.get("bytes")
        if value is None:
            raise BadImage("the row has no bytes of an image")
        return bytes(value)

    def _group(self, index: int) -> _Group:
        return self._groups[bisect_right(self._starts, index) - 1]

    def _window(self, group: _Group) -> _Window:
        """The window on a row group; two are kept, so that neighbours across a border do not chase each other out."""
        window = self._windows.get(group.start)
        if window is None:
            window = _Window(self._paths[group.file], self._columns[group.file], group)
            self._windows[group.start] = window
        self._windows.move_to_end(group.start)
        while len(self._windows) > 2:
            self._windows.popitem(last=False)
        return window

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._windows: OrderedDict[int, _Window] = OrderedDict()

    def close(self) -> None:
        self._windows.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_windows")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


class _Window:
    """Consecutive rows of a row group; it moves forward as rows are asked for, and starts again for earlier ones."""

    def __init__(self, path: Path, column: str, group: _Group) -> None:
        self._path, self._column, self._group = path, column, group
        self._restart()

    def _restart(self) -> None:
        self._batches = self._read()
        self._batch: Any = None
        self._first = self._after = 0

    def _read(self) -> Iterator[Any]:
        with _opened(self._path) as file:
            yield from file.iter_batches(
                self._group.window_rows, row_groups=[self._group.number], columns=[self._column], use_threads=False
            )

    def row(self, row: int) -> Any:
        """The value in a row of the group."""
        if row < self._first:
            self._restart()
        while row >= self._after:
            self._batch = next(self._batches)
            self._first, self._after = self._after, self._after + self._batch.num_rows
        return self._batch.column(0)[row - self._first].as_py()


def _opened(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        why = "permission denied" if isinstance(error, PermissionError) else "it is not a whole Parquet file"
        raise MonosemeError(f"cannot read {shown(path)}: {why}; check it or download it again") from error


def _holds_bytes(kind: Any) -> bool:
    """Whether an Arrow type is bytes, or Hugging Face's struct of bytes and path."""
    import pyarrow.types as types

    if types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _column_bytes(row_group: Any, column: str) -> int:
    """Uncompressed size of a column (with its children) in a row group."""
    chunks = (row_group.column(place) for place in range(row_group.num_columns))
    return sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] == column.split(".")[0])


def _labels(file: Any, schema: Any) -> list[str | None] | None:
    import pyarrow.types as types

    def fits(kind: Any) -> bool:
        if types.is_dictionary(kind):
            return fits(kind.value_type)
        return bool(types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind))

    column = label_column(field.name for field in schema if fits(field.type))
    if column is None:
        return None
    names = _class_names(schema, column)
    interned: dict[Any, str | None] = {None: None}
    values = file.read(columns=[column]).column(0).to_pylist()
    return [interned.setdefault(value, label_text(value, names)) for value in values]


def _class_names(schema: Any, column: str) -> list[str] | None:
    """The names of integer classes, from the metadata that Hugging Face puts into the schema."""
    try:
        feature = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]
        return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, ValueError):
        return None
