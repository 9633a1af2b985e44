"""The dictionary of a layer: near-duplicate concepts as one entry each, with their members; on disk as a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from ..base import UsageError, whole_folder
from ._frame import Frame
from ._nearest import nearest
from ._store import check_format, read_table, reading

FORMAT = 1
ENTRIES = pa.schema(
    [
        pa.field("entry", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("members", pa.int32(), nullable=False),
        pa.field("directions", pa.int32(), nullable=False),
        pa.field("images", pa.int32(), nullable=False),
        pa.field("least_cosine", pa.float64(), nullable=False),
    ]
)
MEMBERS = pa.schema(
    [
        pa.field("entry", pa.int32(), nullable=False),
        pa.field("bank", pa.int32(), nullable=False),
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("cosine", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class LayerDictionary:
    """The concepts of a layer, each once: made by `merge_concepts`.

    Attributes
    ----------
    vectors : (E, C) float32
        Unit rows, in the frame of the banks: the mean of the members' vectors, weighted by their numbers of exemplars.
    entries : pyarrow.Table
        A row an entry, those with most members first: entry (its row in `vectors`), key (hash of the members' keys),
        members, directions and images (how many different ones), least_cosine (of a member with the entry's vector).
    members : pyarrow.Table
        A row for each concept that was merged, by entry, nearest first: entry, bank (its place among the banks given),
        concept, key and direction (in its bank), cosine (with the entry's vector).
    frame : Frame
        That of the banks.
    info : dict
        Layer, parameters and what the banks were made from, as plain JSON values.
    """

    vectors: npt.NDArray[np.float32]
    entries: pa.Table
    members: pa.Table
    frame: Frame = field(default_factory=Frame)
    info: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def layer(self) -> str:
        """The layer the vectors belong to, or "array"."""
        return str(self.info.get("layer", "array"))

    def members_of(self, entry: int) -> pa.Table:
        """The rows of `members` of one entry, nearest first.

        Raises
        ------
        UsageError
            There is no such entry.
        """
        if not 0 <= entry < len(self):
            raise UsageError(f"there is no entry {entry}; the dictionary holds {len(self):,}, numbered from 0")
        begin, end = np.searchsorted(self.members["entry"].to_numpy(), [entry, entry + 1])
        return self.members.slice(int(begin), int(end - begin))

    def nearest(self, vectors: npt.ArrayLike, k: int = 5) -> pa.Table:
        """The k entries of greatest cosine with each vector (R, C) of the frame: query, rank, entry, cosine.

        Raises
        ------
        UsageError
            The vectors have another width, or k is not positive.
        """
        return nearest(self.vectors, vectors, k, "entry")

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the dictionary to a folder, whole or not at all, and return its path; equal ones give equal bytes.

        Raises
        ------
        MonosemeError
            The folder exists and `overwrite` is false, or cannot be written.
        """
        target = Path(path)
        if target.is_dir() and not (target / "dictionary.json").is_file() and any(target.iterdir()):
            raise UsageError(f"{target} is not a dictionary and not empty; choose another folder")
        arrays = {"vectors": self.vectors, "centre": self.frame.centre, "scale": self.frame.scale}
        with whole_folder(target, replace=overwrite) as folder:
            kept = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
            save_file(kept, folder / "vectors.safetensors")
            for name, table in (("entries", self.entries), ("members", self.members)):
                pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
            about = {"format": FORMAT, **self.info}
            text = json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
            (folder / "dictionary.json").write_text(text + "\n", encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"<dictionary of {self.layer}: {len(self):,} entries from {len(self.members):,} concepts>"

    def _repr_html_(self) -> str:
        from ._notebook import dictionary_html

        return dictionary_html(self)


def load_dictionary(path: str | PathLike[str]) -> LayerDictionary:
    """Read a layer dictionary from its folder.

    Raises
    ------
    UsageError
        There is none.
    MonosemeError
        It is damaged or was written by a newer version.
    """
    folder = Path(path)
    if not (folder / "dictionary.json").is_file():
        raise UsageError(f"there is no dictionary in {folder}; make one with merge_concepts(...).save({str(folder)!r})")
    with reading("dictionary", folder, "merge the banks again"):
        info = json.loads((folder / "dictionary.json").read_text(encoding="utf-8"))
        check_format(info.pop("format", None), FORMAT, "dictionary", folder)
        arrays = load_file(folder / "vectors.safetensors")
        loaded = LayerDictionary(
            vectors=arrays["vectors"],
            entries=read_table(folder / "entries.parquet", ENTRIES),
            members=read_table(folder / "members.parquet", MEMBERS),
            frame=Frame(arrays.get("centre"), arrays.get("scale")),
            info=info,
        )
        _check(loaded)
    return loaded


def _check(loaded: LayerDictionary) -> None:
    """What belongs together does: what comes from elsewhere is not trusted."""
    vectors, entries, members = loaded.vectors, loaded.entries, loaded.members
    if vectors.ndim != 2 or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        raise ValueError(f"vectors has shape {vectors.shape}, type {vectors.dtype} or numbers that are not finite")
    counts = np.bincount(np.clip(members["entry"].to_numpy(), 0, len(vectors)), minlength=len(vectors))
    fits = (
        np.array_equal(entries["entry"].to_numpy(), np.arange(len(vectors)))
        and np.array_equal(entries["members"].to_numpy(), counts)
        and bool((np.diff(members["entry"].to_numpy()) >= 0).all())
        and not any(column.null_count for column in (*entries.columns, *members.columns))
        and all(each is None or each.shape == vectors.shape[1:] for each in (loaded.frame.centre, loaded.frame.scale))
    )
    if not fits:
        raise ValueError("its files do not belong together")
