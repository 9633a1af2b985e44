"""The label sets of a run: those that were joined to it, each a small Parquet file of image ids and labels."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..base import Labels, MonosemeError, UsageError, check_name, first_line, write_whole

FOLDER = "folder"
"""The labels that embed found: class folders, or what the data set says."""
KEY = b"monoseme"
FORMAT = 1
_SCHEMA = pa.schema([pa.field("image_id", pa.int64(), nullable=False), pa.field("label", pa.string(), nullable=False)])


def joined_sets(run: Path) -> list[str]:
    """Names of the label sets that were joined to a run, sorted."""
    found = [path.stem for path in (run / "labels").glob("*.parquet") if path.name[0] != "."]
    return sorted(name for name in found if name != FOLDER)


def set_path(run: Path, name: str) -> Path:
    """Where a run keeps a joined label set.

    Raises
    ------
    UsageError
        The name has characters that a file name should not have, or is that of the labels that embed found.
    """
    if check_name(name, "a label set") == FOLDER:
        raise UsageError(f"{FOLDER} is the name of the labels that embed found; choose another with --name")
    return run / "labels" / f"{name}.parquet"


def write_set(path: Path, labels: Labels, source: str, listing: str) -> None:
    """Write a label set whole or not at all; equal labels give equal bytes.

    `source` is the name of the file they come from, `listing` the digest of the run's images.
    """
    content = {
        "image_id": labels.image_ids,
        "label": pa.DictionaryArray.from_arrays(labels.codes, pa.array(labels.names, pa.string())).dictionary_decode(),
    }
    about = json.dumps({"format": FORMAT, "source": source, "listing_digest": listing}, sort_keys=True)
    buffer = io.BytesIO()
    pq.write_table(pa.table(content, _SCHEMA.with_metadata({KEY: about})), buffer, compression="zstd")
    write_whole(path, buffer.getvalue())


def read_set(path: Path, count: int, listing: str) -> Labels:
    """Read a label set of a run of `count` images.

    Raises
    ------
    MonosemeError
        It is damaged, of a newer format, or was joined to other images.
    """
    try:
        with pq.ParquetFile(path) as file:
            about = json.loads(file.schema_arrow.metadata[KEY])
            table = file.read(columns=_SCHEMA.names).cast(_SCHEMA)
        if about["format"] != FORMAT:
            raise MonosemeError(
                f"{path} has label format {about['format']}, but this version reads format {FORMAT}; update monoseme"
            )
        if about["listing_digest"] != listing:
            raise MonosemeError(f"{path} was joined to other images; join its labels again with monoseme label")
        image_ids = np.asarray(table["image_id"].to_numpy(), dtype=np.int64)
        if table["label"].null_count or (len(image_ids) and not 0 <= image_ids.min() <= image_ids.max() < count):
            raise ValueError("its image ids are not those of the run")
        labels = table["label"].combine_chunks().dictionary_encode()
        codes = np.asarray(labels.indices.to_numpy(), dtype=np.int64)
        return Labels.from_pairs(count, image_ids, codes, labels.dictionary.to_pylist())
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        raise MonosemeError(
            f"{path} is damaged ({first_line(error, 160)}); join its labels again with monoseme label --overwrite"
        ) from error
