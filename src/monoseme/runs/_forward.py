"""Batches through the model: activations of the wanted layers and the likeliest classes, checked and ready to store."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import MonosemeError
from ..images import Batch
from ._manifest import LayerColumn
from ._table import FACTS, PREDICTION, layer_field

if TYPE_CHECKING:
    from ..models import Model, Reader

LIKELIEST = 5
MOST_STREAMS = 4


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
    """The model with its taps; give it batches of prepared images, get results in the same order.

    On a CPU several batches are computed at once, each by few threads: threads that share one batch wait for each other
    after every layer, and wait long when a decoding worker has their core. Two batches with a thread each took 0.8 of the
    time of one batch with two threads (EfficientNet-Lite0, 160 px, two cores), at twice the memory for feature maps.

    With an `acceleration` the pass is a graph in another backend, which is compared with plain PyTorch on the first batch.
    """

    def __init__(
        self,
        model: Model,
        columns: Sequence[LayerColumn],
        dtype: str,
        *,
        predictions: bool,
        acceleration: str = "off",
        batch_size: int = 32,
    ) -> None:
        import torch

        from ..models import Tap, Tapped, graphs, keep_freed_memory, require_unchanged

        require_unchanged(model)
        keep_freed_memory()
        model.layers()  # the dry run happens before the model gets twins
        self._dtype, self._acceleration = dtype, acceleration
        self._columns = {Tap(column.layer, column.pooling): column for column in columns}
        taps, threads = list(self._columns), torch.get_num_threads()
        self._reference = Tapped(model, taps, predictions=predictions)
        self._readers: list[Reader] = [self._reference]
        if acceleration == "off":
            wanted = min(threads, MOST_STREAMS) if model.device.type == "cpu" else 1
            while len(self._readers) < wanted and (twin := model.twin()) is not None and self._agree(model, twin):
                self._readers.append(Tapped(twin, taps, predictions=predictions))
            self._threads = max(1, threads // len(self._readers))
        else:
            self._readers = [*graphs(model, taps, batch_size, acceleration, predictions=self._reference.predictions)]
            self._threads = threads
        self.streams = len(self._readers)
        self._free: SimpleQueue[Reader] = SimpleQueue()
        self.disagreement: float | None = None
        """How far the accelerated pass was from the plain one on the first batch, once that has been computed."""

    def _agree(self, model: Model, twin: Model) -> bool:
        """Whether a twin runs by itself: a module whose forward refers back to the original does not."""
        import torch

        from ..models import Tapped

        noise = torch.rand((1, *model.input_size), generator=torch.Generator().manual_seed(0))
        try:
            one, other = (Tapped(each, list(self._columns), predictions=False)(noise).pooled for each in (model, twin))
        except MonosemeError:
            return False
        return all(torch.equal(one[tap], other[tap]) for tap in self._columns)

    def __enter__(self) -> Forward:
        import torch

        with ExitStack() as stack:
            for reader in self._readers:
                self._free.put(stack.enter_context(reader))
            # In torch the number of threads is a setting of each thread; the last one set holds for threads yet to come.
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            self._pool = ThreadPoolExecutor(self.streams, "monoseme-forward", torch.set_num_threads, (self._threads,))
            stack.callback(self._pool.shutdown, cancel_futures=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Result]]:
        """Run the model on each batch, a few at a time.

        Raises
        ------
        MonosemeError
            An activation is not finite, or does not fit float16; what came before has been given out. Or an accelerated pass
            does not agree with the plain one.
        """
        running: deque[tuple[Batch, Future[Result]]] = deque()
        for batch in batches:
            if self._acceleration != "off" and self.disagreement is None and batch.pixels is not None:
                self._compare(batch.pixels)
            running.append((batch, self._pool.submit(self._run, batch)))
            if len(running) > self.streams:
                done, future = running.popleft()
                yield done, future.result()
        while running:
            done, future = running.popleft()
            yield done, future.result()

    def _run(self, batch: Batch) -> Result:
        if batch.pixels is None:
            return Result({}, None)
        reader = self._free.get()
        try:
            output = reader(reader.model.preprocess.tensor(batch.pixels))
        finally:
            self._free.put(reader)
        columns, uris = {}, [fact["uri"] for fact in batch.facts]
        for tap, column in self._columns.items():
            matrix = output.pooled[tap].cpu().numpy()
            kept = as_kept(matrix, column, self._dtype, uris, "check the model's weights and precision")
            columns[column.column] = (layer_field(column, self._dtype), kept)
        return Result(columns, None if output.output is None else _likeliest(output.output))

    def _compare(self, pixels: npt.NDArray[Any]) -> None:
        """Refuse a backend that does not agree with plain PyTorch on the first batch."""
        from ..models import TOLERANCE, NotAccelerated, disagreement

        images = self._reference.model.preprocess.tensor(pixels)
        self.disagreement = disagreement(self._readers[0](images), self._reference(images))
        if not self.disagreement <= TOLERANCE:  # nor when it is not a number
            raise NotAccelerated(
                f"{self._acceleration} differs from plain PyTorch by {self.disagreement:.1e} of the activations of the first "
                f"batch, more than {TOLERANCE:.0e}"
            )


def as_kept(
    matrix: npt.NDArray[np.float32], column: LayerColumn, dtype: str, uris: Sequence[str], remedy: str
) -> npt.NDArray[Any]:
    """(n, C) activations as the table keeps them.

    Raises
    ------
    MonosemeError
        One is not finite (`remedy` says what else to do than leave the image out), or too large for float16.
    """
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise MonosemeError(
            f"the activations of image {uris[int(np.argmin(finite))]} at layer {column.layer} are not finite; {remedy}, or leave "
            "that image out"
        )
    if dtype == "float32":
        return matrix
    with np.errstate(over="ignore"):
        half = matrix.astype(np.float16)
    fits = np.isfinite(half).all(axis=1)
    if not fits.all():
        row = int(np.argmin(fits))
        raise MonosemeError(
            f"image {uris[row]} reaches {np.abs(matrix[row]).max():.3g} at layer {column.layer}, too large for float16; use "
            "--dtype float32"
        )
    return half


def _likeliest(output: Any) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    probabilities, classes = output.softmax(1).topk(min(LIKELIEST, output.shape[1]), dim=1)
    return classes.cpu().numpy().astype(np.int32), probabilities.cpu().numpy().astype(np.float32)


def _lists(field: pa.Field, matrix: npt.NDArray[Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).reshape(-1)), type=field.type)
