"""One batch through the model: activations of the wanted layers and the likeliest classes, checked and ready to store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import MonosemeError
from ._loading import Batch
from ._manifest import LayerColumn, Manifest
from ._table import FACTS, PREDICTION, layer_field

if TYPE_CHECKING:
    from ..models import Model

LIKELIEST = 5


@dataclass(frozen=True)
class Result:
    """What the table keeps of a batch: a matrix (n, C) for each column, and classes with probabilities (n, 5)."""

    columns: dict[str, tuple[pa.Field, npt.NDArray[Any]]]
    predictions: tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]] | None

    def rows(self, first_id: int, facts: Sequence[dict[str, Any]]) -> pa.Table:
        """Rows of the table, numbered from `first_id`."""
        count = len(facts)
        arrays = [
            pa.array(np.arange(first_id, first_id + count)),
            *(pa.array([fact[f.name] for fact in facts], f.type) for f in FACTS[1:-1]),
        ]
        arrays.append(self._predictions(count))
        arrays += [_lists(field, matrix) for field, matrix in self.columns.values()]
        return pa.table(arrays, schema=pa.schema([*FACTS, *(field for field, _ in self.columns.values())]))

    def layers(self, image_ids: Sequence[int]) -> pa.Table:
        """The layers alone, with the image ids they belong to."""
        fields = [field for field, _ in self.columns.values()]
        arrays = [pa.array(image_ids, pa.int64()), *(_lists(field, matrix) for field, matrix in self.columns.values())]
        return pa.table(arrays, schema=pa.schema([FACTS[0], *fields]))

    def _predictions(self, count: int) -> pa.Array:
        if self.predictions is None:
            return pa.nulls(count, pa.list_(PREDICTION))
        classes, probabilities = self.predictions
        per = classes.shape[1]
        pairs = pa.StructArray.from_arrays(
            [pa.array(classes.ravel()), pa.array(probabilities.ravel())], fields=list(PREDICTION)
        )
        return pa.ListArray.from_arrays(np.arange(0, count * per + 1, per, dtype=np.int32), pairs)


class Forward:
    """The model with its taps; call it with a batch of prepared images."""

    def __init__(self, model: Model, manifest: Manifest, columns: Sequence[LayerColumn]) -> None:
        from ..models import Tap, Tapped, keep_freed_memory

        keep_freed_memory()
        self._model, self._dtype = model, manifest.dtype
        self._columns = {Tap(column.layer, column.pooling): column for column in columns}
        self._tapped = Tapped(model, list(self._columns), predictions=manifest.predictions)

    def __enter__(self) -> Forward:
        self._tapped.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tapped.__exit__(kind, error, trace)

    def __call__(self, batch: Batch) -> Result:
        """Run the model.

        Raises
        ------
        MonosemeError
            An activation is not finite, or does not fit float16.
        """
        if batch.pixels is None:
            return Result({}, None)
        output = self._tapped(self._model.preprocess.tensor(batch.pixels))
        columns = {}
        for tap, column in self._columns.items():
            matrix = output.pooled[tap].cpu().numpy()
            columns[column.column] = (layer_field(column, self._dtype), self._checked(matrix, column, batch))
        return Result(columns, None if output.output is None else _likeliest(output.output))

    def _checked(self, matrix: npt.NDArray[np.float32], column: LayerColumn, batch: Batch) -> npt.NDArray[Any]:
        finite = np.isfinite(matrix).all(axis=1)
        if not finite.all():
            uri = batch.facts[int(np.argmin(finite))]["uri"]
            raise MonosemeError(
                f"the activations of image {uri} at layer {column.layer} are not finite; check the model's weights and precision, "
                "or leave that image out"
            )
        if self._dtype == "float32":
            return matrix
        with np.errstate(over="ignore"):
            half = matrix.astype(np.float16)
        fits = np.isfinite(half).all(axis=1)
        if not fits.all():
            row = int(np.argmin(fits))
            raise MonosemeError(
                f"image {batch.facts[row]['uri']} reaches {np.abs(matrix[row]).max():.3g} at layer {column.layer}, "
                "too large for float16; use --dtype float32"
            )
        return half


def _likeliest(output: Any) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    probabilities, classes = output.softmax(1).topk(min(LIKELIEST, output.shape[1]), dim=1)
    return classes.cpu().numpy().astype(np.int32), probabilities.cpu().numpy().astype(np.float32)


def _lists(field: pa.Field, matrix: npt.NDArray[Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).reshape(-1)), type=field.type)
