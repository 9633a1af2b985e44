"""The activations of a run, read from its table as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import BLOCK_ROWS, Activations, Images
from ._manifest import LayerColumn

if TYPE_CHECKING:
    import lance


class RunActivations(Activations):
    """One layer of a run as a lazy (N, C) matrix; row i is image_id i."""

    def __init__(
        self,
        table: lance.LanceDataset,
        column: LayerColumn,
        dtype: str,
        provenance: dict[str, Any],
        run: Path | None = None,
    ) -> None:
        self._table, self._column = table, column.column
        self.shape = (table.count_rows(), column.channels)
        self.dtype = np.dtype(dtype)
        self.name = column.layer
        self.run = run
        self._provenance = {**provenance, "pooling": column.pooling}
        self._images: Images | None = None

    def __getitem__(self, rows: npt.ArrayLike | slice) -> npt.NDArray[np.floating[Any]]:
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        if not isinstance(chosen, slice) and chosen.size == 0:
            return np.empty((*chosen.shape, self.shape[1]), dtype=self.dtype)
        numbers = np.arange(len(self))[chosen]
        unique, where = np.unique(numbers, return_inverse=True)  # a row that is asked for twice is read once
        return self._matrix(self._table.take(unique, columns=[self._column]))[where.reshape(numbers.shape)]

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, npt.NDArray[np.floating[Any]]]]:
        # Lance breaks its batches where fragments end; blocks must not depend on that, for sums run over them in order.
        held: list[npt.NDArray[np.floating[Any]]] = []
        count = first = 0
        for batch in self._table.to_batches(columns=[self._column], batch_size=rows):
            piece = self._matrix(batch)
            while count + len(piece) >= rows:
                cut = rows - count
                yield first, np.concatenate([*held, piece[:cut]]) if held else piece[:cut]
                first, count, held, piece = first + rows, 0, [], piece[cut:]
            if len(piece):
                held.append(piece)
                count += len(piece)
        if held:
            yield first, np.concatenate(held)

    def images(self) -> Images:
        if self._images is None:
            self._images = self._read_images()
        return self._images

    def _read_images(self) -> Images:
        facts = self._table.to_table(columns=["digest", "photograph"])
        digests = np.asarray(facts["digest"].to_numpy(), dtype=np.bytes_)
        photographs = facts["photograph"].combine_chunks().dictionary_encode()
        repeats = len(photographs.dictionary) < len(facts)
        groups = np.asarray(photographs.indices.to_numpy(), dtype=np.int64) if repeats else None
        return Images(digests, groups)

    def provenance(self) -> dict[str, Any]:
        return self._provenance

    def _matrix(self, rows: pa.Table | pa.RecordBatch) -> npt.NDArray[np.floating[Any]]:
        column = rows.column(self._column)
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, self.shape[1]) for chunk in chunks]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
