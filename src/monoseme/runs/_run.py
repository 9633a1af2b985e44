"""An embedded data set on disk: images, thumbnails, predictions and the activations of one or more layers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from ..base import Labels, MonosemeError, UsageError, did_you_mean, join_words
from . import _labels, _table
from ._activations import RunActivations
from ._manifest import LayerColumn, Manifest


class Run:
    """A run: a folder that stands alone. Open it with `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        table = _table.open_table(self.path)
        if table is None:
            raise UsageError(
                f"{self.path} is not a run: it holds no {_table.ACTIVATIONS}; make one with monoseme embed or monoseme import"
            )
        self._lance = table
        self.manifest = Manifest.decode(table.schema.metadata, str(self.path))
        self._whole: dict[str, bool] = {}
        names = set(table.schema.names)
        missing = [f.name for f in _table.FACTS if f.name not in names]
        if missing:
            raise MonosemeError(f"the table of {self.path} lacks the column {missing[0]}; embed again with --overwrite")
        for column in self.manifest.layers:
            field = _table.layer_field(column, self.manifest.dtype)
            if column.column in names and table.schema.field(column.column).type != field.type:
                raise MonosemeError(
                    f"the manifest of {self.path} says that layer {column.layer} is {field.type}, but the table holds "
                    f"{table.schema.field(column.column).type}; embed again with --overwrite"
                )

    def __fspath__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return int(self._lance.count_rows())

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose activations are whole."""
        return tuple(dict.fromkeys(column.layer for column in self.columns() if not self._pending(column)))

    @property
    def finished(self) -> bool:
        """Whether every image is embedded (or set aside) for every layer that was asked for."""
        return self.manifest.finished and not any(self._pending(column) for column in self.columns())

    def columns(self) -> tuple[LayerColumn, ...]:
        """Every layer and pooling in the table, whole or not."""
        return self.manifest.layers

    def activations(self, layer: str | None = None, pooling: str | None = None) -> RunActivations:
        """The lazy (N, C) activations of a layer.

        Parameters
        ----------
        layer : str, optional
            Needed only where the run holds several.
        pooling : str, optional
            "mean", "max" or "cls"; where the layer has several, mean by default.

        Raises
        ------
        UsageError
            There is no such layer, or there are several to choose from.
        MonosemeError
            The run, or the layer, is not finished.
        """
        column = self._choose(layer, pooling)
        if not self.manifest.finished:
            raise MonosemeError(
                f"{self.path} is not finished: {len(self):,} of {self.manifest.images['count']:,} images are embedded; "
                f"run the same {self.manifest.command} command again to go on"
            )
        if self._pending(column):
            raise MonosemeError(
                f"layer {column.layer} of {self.path} is not finished; run its {self.manifest.command} command "
                "again to go on"
            )
        provenance = {
            "model": self.manifest.model.get("spec"),
            "weights_digest": self.manifest.model.get("weights_digest"),
            "listing_digest": self.manifest.images["digest"],
        }
        return RunActivations(self._lance, column, self.manifest.dtype, provenance, self.path.absolute())

    def images(self, image_ids: npt.ArrayLike | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Facts of images: image_id, uri, digest, label, photograph, width, height, predictions (thumbnails when named).

        Parameters
        ----------
        image_ids : (n,) int, optional
            Which images, in this order; all by default.
        columns : sequence of str, optional
            Which facts.
        """
        names = list(columns) if columns is not None else [f.name for f in _table.FACTS if f.name != "thumbnail"]
        unknown = [name for name in names if name not in self._lance.schema.names]
        if unknown:
            known = [f.name for f in _table.FACTS]
            raise UsageError(
                f"images have no {unknown[0]!r}, only {join_words(known, 'and')}{did_you_mean(unknown[0], known)}"
            )
        if image_ids is None:
            return self._lance.to_table(columns=names)
        ids = np.asarray(image_ids, dtype=np.int64).reshape(-1)
        if len(ids) and not (ids.min() >= 0 and ids.max() < len(self)):
            raise UsageError(
                f"there is no image {ids[(ids < 0) | (ids >= len(self))][0]}; the run holds {len(self):,}, numbered from 0"
            )
        unique, where = np.unique(ids, return_inverse=True)
        found = self._lance.take(unique, columns=names)
        return found.take(pa.array(where))

    def thumbnails(self, image_ids: npt.ArrayLike) -> list[Image.Image]:
        """Small pictures of images, in order.

        Raises
        ------
        MonosemeError
            The run was made with ``thumbnails=False``.
        """
        if self.manifest.thumbnails is None:
            why = "made with --no-thumbnails" if self.manifest.images["source"] else "imported without images"
            raise MonosemeError(f"{self.path} holds no thumbnails (it was {why})")
        encoded = self.images(image_ids, ["thumbnail"])["thumbnail"].to_pylist()
        pictures = []
        for content in encoded:
            picture = Image.open(io.BytesIO(content), formats=["JPEG"])
            if max(picture.size) > 4096:  # never written by embed; a run from elsewhere is not trusted
                raise MonosemeError(
                    f"a thumbnail of {self.path} is {picture.width} x {picture.height} pixels large; the run is not sound"
                )
            pictures.append(picture.convert("RGB"))
        return pictures

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Names of the sets of labels: "folder" where embed found any, then those that were joined later, sorted."""
        found = bool(self._lance.count_rows(filter="label IS NOT NULL"))
        return (*((_labels.FOLDER,) if found else ()), *_labels.joined_sets(self.path))

    def labels(self, name: str | None = None) -> Labels:
        """A set of labels: none, one or several for each of the N images.

        Parameters
        ----------
        name : str, optional
            Which set, of `label_sets`; by default the only one that was joined, else "folder".

        Raises
        ------
        UsageError
            There is no such set, or there are several to choose from.
        MonosemeError
            The set is damaged.
        """
        known = self.label_sets
        joined = [each for each in known if each != _labels.FOLDER]
        if name is None and not known:
            raise UsageError(f"{self.path} has no labels; join some with monoseme label")
        if name is None and len(joined) > 1 and len(joined) == len(known):
            raise UsageError(f"{self.path} holds several label sets; name one of {join_words(joined)}")
        wanted = name if name is not None else joined[0] if len(joined) == 1 else _labels.FOLDER
        if wanted not in known:
            has = f"only {join_words(known, 'and')}" if known else "nor any other; join some with monoseme label"
            raise UsageError(f"{self.path} has no label set {wanted!r}, {has}{did_you_mean(wanted, known)}")
        if wanted == _labels.FOLDER:
            return Labels.of(self.images(columns=["label"])["label"].to_pylist())
        return _labels.read_set(_labels.set_path(self.path, wanted), len(self), self.manifest.images["digest"])

    def shown_labels(self, name: str | None = None) -> Labels:
        """The labels to show beside images: those named, else as `labels` chooses, else the first set; none if there is none."""
        known = self.label_sets
        if name is not None or not known:
            return self.labels(name) if name is not None else Labels.none(len(self))
        joined = [each for each in known if each != _labels.FOLDER]
        return self.labels(joined[0] if len(joined) == len(known) else None)

    def quarantined(self) -> pa.Table:
        """Images that could not be used: entry, uri, reason."""
        return _table.quarantined(self.path)

    @property
    def stale(self) -> bool:
        """Whether another process has committed something since this was opened or refreshed."""
        return bool(self._lance.latest_version != self._lance.version)

    def refresh(self) -> None:
        """See what another process has committed since."""
        self._open()

    def info(self) -> dict[str, Any]:
        """What is in the run, as plain JSON values."""
        manifest = self.manifest
        return {
            "path": str(self.path),
            "finished": self.finished,
            "images": len(self),
            "listed": manifest.images["count"],
            "set_aside": len(self.quarantined()),
            "source": manifest.images["source"],
            "model": manifest.model.get("spec"),
            "input_size": manifest.model.get("input_size") or [],
            "weights_digest": manifest.model.get("weights_digest"),
            "imported": manifest.imported_files,
            "dtype": manifest.dtype,
            "thumbnails": manifest.thumbnails is not None,
            "predictions": manifest.predictions,
            "labels": self._label_count(),
            "label_sets": list(self.label_sets),
            "layers": [
                {
                    "layer": column.layer,
                    "pooling": column.pooling,
                    "neurons": column.channels,
                    "layout": column.layout,
                    "whole": manifest.finished and not self._pending(column),
                }
                for column in self.columns()
            ],
        }

    def __repr__(self) -> str:
        state = "" if self.finished else ", not finished"
        return f"<run {self.path}: {len(self):,} images, layers {', '.join(c.layer for c in self.columns())}{state}>"

    def _repr_html_(self) -> str:
        from ._notebook import run_html

        return run_html(self)

    def _choose(self, layer: str | None, pooling: str | None) -> LayerColumn:
        known = self.columns()
        names = list(dict.fromkeys(column.layer for column in known))
        if layer is not None and layer not in names:
            raise UsageError(
                f"{self.path} holds no layer {layer!r}; it has {join_words(names, 'and')}{did_you_mean(layer, names)}"
            )
        fitting = [c for c in known if layer in (None, c.layer) and pooling in (None, c.pooling)]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            have = [c.pooling for c in known if layer in (None, c.layer)]
            raise UsageError(
                f"{self.path} holds no {pooling} pooling of {layer or 'its layers'}, only {join_words(have, 'and')}"
            )
        if len({c.layer for c in fitting}) > 1:
            raise UsageError(f"{self.path} holds several layers; name one of {join_words(names)}")
        mean = [c for c in fitting if c.pooling == "mean"]
        return mean[0] if mean else fitting[0]

    def _pending(self, column: LayerColumn) -> bool:
        if column.column not in self._whole:  # found by reading, hence remembered
            there = column.column in self._lance.schema.names
            self._whole[column.column] = there and not _table.unfilled(self._lance, [column])
        return not self._whole[column.column]

    def _label_count(self) -> int:
        labels = self._lance.to_table(columns=["label"])["label"]
        return len(labels.drop_null().unique())


def open_run(path: str | PathLike[str]) -> Run:
    """Open a run for reading.

    Raises
    ------
    UsageError
        There is no run at that path.
    MonosemeError
        The run is damaged or of a newer format.
    """
    folder = Path(path)
    if folder.is_file():
        raise UsageError(f"{folder} is a file, but a run is a folder")
    if not folder.is_dir():
        siblings = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise UsageError(f"there is no folder {folder}{did_you_mean(folder.name, siblings)}")
    return Run(folder)
