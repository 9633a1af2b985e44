"""Embeddings in a column of Parquet: lists of numbers, read in order a few pages at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...base import UsageError
from ...images import shown
from ._files import ArrayFile

_BATCH_BYTES = 16 << 20
_BUFFER = 1 << 20


class ParquetArrays(ArrayFile):
    """Columns of lists, as deep as may be, whose lengths are the same in every row.

    Rows are meant to be read in order: the reader stays where it is, and what comes next is read on from there. A slice from
    elsewhere starts again at its row group.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._place: tuple[str, int] | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._held = pa.chunked_array([], pa.null())

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        with self._opened() as file:
            rows = file.metadata.num_rows
            found = {}
            for field in file.schema_arrow:
                if _is_list(field.type) and pa.types.is_floating(_innermost(field.type)):
                    inner = self._inner(file, field.name) if rows else (0,)
                    kind = {"halffloat": "float16", "float": "float32", "double": "float64"}
                    found[field.name] = ((rows, *inner), kind[str(_innermost(field.type))])
            return found

    def texts(self) -> list[str]:
        with self._opened() as file:
            return [field.name for field in file.schema_arrow if _is_text(field.type)]

    def text(self, key: str) -> list[str | None]:
        with self._opened() as file:
            column = file.read(columns=[key])[key]
            if pa.types.is_dictionary(column.type):
                column = pc.cast(column, column.type.value_type)
            texts: list[str | None] = column.cast(pa.large_string()).to_pylist()
            return texts

    def read(self, key: str, start: int, stop: int) -> npt.NDArray[Any]:
        if self._place != (key, start):
            self._seek(key, start)
        while len(self._held) < stop - start and (batch := next(self._batches, None)) is not None:
            self._held = pa.chunked_array([*self._held.chunks, batch.column(0)], batch.column(0).type)
        piece, self._held = self._held.slice(0, stop - start), self._held.slice(stop - start)
        self._place = (key, stop)
        return self._dense(piece, key, start)

    def _seek(self, key: str, start: int) -> None:
        with self._opened() as file:
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            ends = np.cumsum(sizes)
            group = int(np.searchsorted(ends, start, side="right"))
            inner = self._inner(file, key)
        opened = self._opened()
        batch = max(1, _BATCH_BYTES // (4 * max(math.prod(inner), 1)))
        groups = range(group, len(sizes))
        self._batches = opened.iter_batches(batch, row_groups=list(groups), columns=[key], use_threads=False)
        skip = start - (int(ends[group - 1]) if group else 0)
        self._held = pa.chunked_array([], opened.schema_arrow.field(key).type)
        while skip > len(self._held) and (found := next(self._batches, None)) is not None:
            skip -= len(self._held)
            self._held = pa.chunked_array([found.column(0)])
        self._held = self._held.slice(skip)

    def _opened(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path, buffer_size=_BUFFER, pre_buffer=False)

    def _inner(self, file: pq.ParquetFile, key: str) -> tuple[int, ...]:
        """The shape of each row's lists, as its first row has it."""
        if key not in self._shapes:
            group = next(each for each in range(file.num_row_groups) if file.metadata.row_group(each).num_rows)
            first = next(file.iter_batches(1, row_groups=[group], columns=[key])).column(0)
            shape: list[int] = []
            while _is_list(first.type):
                if first[0].as_py() is None:
                    raise UsageError(f"row 0 of {shown(self.path)} has no {shown(key)}; leave that row out")
                shape.append(len(first[0]))
                first = first[0].values if shape[-1] else pa.array([], first.type.value_type)
                if not shape[-1]:
                    break
            self._shapes[key] = tuple(shape)
        return self._shapes[key]

    def _dense(self, column: pa.ChunkedArray, key: str, start: int) -> npt.NDArray[Any]:
        """(n, ...) of a column of lists, each level of which must have the lengths of the first row."""
        inner, values = self._shapes[key], _one(column)
        rows, per = len(values), 1
        for size in inner:
            lengths = pc.list_value_length(values) if not pa.types.is_fixed_size_list(values.type) else None
            wrong = values.is_null() if lengths is None else pc.fill_null(pc.not_equal(lengths, size), True)
            if pc.any(wrong).as_py():
                place = int(np.argmax(wrong.to_numpy(zero_copy_only=False)))
                said = "no" if values[place].as_py() is None else f"{len(values[place]):,}"
                raise UsageError(
                    f"row {start + place // per:,} of {shown(self.path)} has {said} numbers in {shown(key)}, but the first row has "
                    f"{size:,}; every row needs as many"
                )
            values, per = values.flatten(), per * size
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(rows, *inner)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _innermost(kind: pa.DataType) -> pa.DataType:
    while _is_list(kind):
        kind = kind.value_type
    return kind


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_integer(value))
