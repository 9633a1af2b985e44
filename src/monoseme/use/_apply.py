"""A bank applied to new images: scores and firing concepts of each, streamed into a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ..banks import ConceptBank
from ..base import MonosemeError, Reporter, Silent, UsageError, whole_file
from ..images import ImageSource, open_images
from ..runs import Embedded, Run, model_of, open_run, stream
from ._asked import layer_of, pooling_of
from ._firing import RATE, firing_levels

if TYPE_CHECKING:
    from ..models import Model

FORMAT = 1
ROW_GROUP = 1024
_FACTS = [
    pa.field("entry", pa.int64(), nullable=False),
    pa.field("uri", pa.string(), nullable=False),
    pa.field("digest", pa.string()),
    pa.field("reason", pa.string()),
]


@dataclass(frozen=True)
class Applied:
    """What was written. Made by `apply_bank`.

    path : the Parquet file
    images : how many images have scores
    set_aside : how many could not be used
    levels : (M,) float32, from which projection on each concept fires
    rate : the share of the data set's images that reach it
    fired : the share of new images in which a concept fires, mean over concepts
    """

    path: Path
    images: int
    set_aside: int
    levels: npt.NDArray[np.float32]
    rate: float
    fired: float

    def __repr__(self) -> str:
        return f"<scores of {self.images:,} images on {len(self.levels):,} concepts in {self.path}>"


def apply_bank(
    bank: ConceptBank,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object,
    out: str | PathLike[str],
    *,
    model: Model | str | None = None,
    run: Run | str | PathLike[str] | None = None,
    rate: float = RATE,
    batch_size: int = 32,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Reporter | None = None,
) -> Applied:
    """Score new images on every concept of a bank and write the scores to a Parquet file.

    Images go through the model as `embed` sends them, as far as the layer; no embedding is kept. A concept fires in an image
    whose projection reaches what a share `rate` of the data set's images reaches. The file is there when all is done, or not
    at all.

    Parameters
    ----------
    bank : ConceptBank
        From a run.
    images
        As `embed` takes them.
    out : path
        The file: a row for each listed image with entry, uri, digest, reason (why it could not be used, else null), scores (M
        projections, as `ConceptBank.project` gives them) and fired (numbers of the concepts that fire). Its metadata under
        ``monoseme`` say in JSON what was applied, with the level of each concept.
    model : Model or str, optional
        The run's model, where its record is not enough to load it.
    run : Run or path, optional
        The run that the bank was made from, where the bank does not lie in it.
    rate : float
        The share of the data set's images in which a concept fires.
    batch_size, workers : int
        As for `embed`.
    overwrite : bool
        Replace a file that is there.
    progress : Reporter, optional
        Told of images.

    Raises
    ------
    UsageError
        The bank's run or model is not at hand, the images are not there, or a value is out of range.
    MonosemeError
        No image can be used, an activation is not finite, or the file cannot be written.
    """
    target, made_from = Path(out), run_behind(bank, run)
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name the file to write, such as {target / 'scores.parquet'}")
    if batch_size < 1:
        raise UsageError(f"a batch holds at least one image, not {batch_size}")
    if len(bank) == 0:
        raise UsageError("the bank holds no concepts; split the layer with other parameters")
    network = model_of(made_from, model)
    info = layer_of(bank, network, None)
    pooling = pooling_of(bank, info, None, network.spec)
    with open_images(images) as source, whole_file(target, replace=overwrite) as aside:
        levels = firing_levels(bank, made_from.activations(bank.layer, pooling), rate, progress=progress)
        writer = _Writer(aside, bank, levels, _about(bank, network, source, pooling, levels, rate))
        with writer, (progress or Silent()).task("scoring", len(source), "images") as task:
            for batch in stream(network, source, info.name, pooling, batch_size=batch_size, workers=workers):
                writer.add(batch)
                task.advance(len(batch.facts) + len(batch.bad))
        if writer.images == 0:
            raise MonosemeError(
                f"none of the {len(source):,} images of {source.spec} can be used; {writer.first_reason}"
            )
    fired = writer.fired / (writer.images * len(bank))
    return Applied(target, writer.images, writer.set_aside, levels, rate, fired)


class _Writer:
    """Rows in groups."""

    def __init__(self, path: Path, bank: ConceptBank, levels: npt.NDArray[np.float32], about: dict[str, Any]) -> None:
        self._bank, self._levels = bank, levels
        fields = [
            *_FACTS,
            pa.field("scores", pa.list_(pa.float32(), len(bank))),
            pa.field("fired", pa.list_(pa.int32())),
        ]
        self._schema = pa.schema(fields, metadata={"monoseme": json.dumps(about, allow_nan=False)})
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = self.images = self.set_aside = self.fired = 0
        self.first_reason = ""

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
        self._writer.close()

    def add(self, batch: Embedded) -> None:
        """The images of a batch and those of it that cannot be used."""
        scores = self._bank.project(batch.embeddings)
        fires = scores >= self._levels
        facts = [{"reason": None, **fact} for fact in batch.facts] + [{"digest": None, **bad} for bad in batch.bad]
        none = np.arange(len(facts)) >= len(scores)
        padded = np.concatenate([scores, np.zeros((len(batch.bad), len(self._bank)), np.float32)])
        ends = np.concatenate([[0], np.cumsum(fires.sum(1)), np.full(len(batch.bad), fires.sum())]).astype(np.int32)
        lists = pa.FixedSizeListArray.from_arrays(
            pa.array(padded.reshape(-1)), type=self._schema.field("scores").type, mask=pa.array(none)
        )
        fired = pa.ListArray.from_arrays(
            pa.array(ends), pa.array(np.nonzero(fires)[1].astype(np.int32)), mask=pa.array(none)
        )
        columns = [pa.array([fact[field.name] for fact in facts], field.type) for field in _FACTS]
        table = pa.table([*columns, lists, fired], schema=self._schema)
        self._waiting.append(table.sort_by("entry") if batch.bad else table)
        self._rows += len(facts)
        self.images += len(scores)
        self.set_aside += len(batch.bad)
        self.fired += int(fires.sum())
        if batch.bad and not self.first_reason:
            self.first_reason = f"the first, {batch.bad[0]['uri']}: {batch.bad[0]['reason']}"
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=self._rows)
        self._waiting, self._rows = [], 0


def run_behind(bank: ConceptBank, run: Run | str | PathLike[str] | None) -> Run:
    """The run that a bank was made from: the one named, or that in which it lies.

    Raises
    ------
    UsageError
        It lies in none, or was not made from the one named.
    """
    if run is None and bank.run is None:
        raise UsageError(
            "the bank does not lie in a run, whose images say when concepts fire; name the run it was made from"
        )
    opened = run if isinstance(run, Run) else open_run(bank.run if run is None else run)  # type: ignore[arg-type]
    if not bank.is_of(len(opened), opened.manifest.images["digest"]):
        raise UsageError(f"the bank was not made from {opened.path}; name the run that it was made from")
    return opened


def _about(
    bank: ConceptBank,
    model: Model,
    source: ImageSource,
    pooling: str,
    levels: npt.NDArray[np.float32],
    rate: float,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "layer": bank.layer,
        "pooling": pooling,
        "model": model.spec,
        "weights_digest": model.weights_digest,
        "images": source.spec,
        "rate": rate,
        "levels": [float(level) for level in levels],
        "keys": bank.concepts["key"].to_pylist(),
    }
