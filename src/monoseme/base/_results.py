"""Results on disk: facts as JSON beside their tables as Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._files import write_whole, writing

if TYPE_CHECKING:
    import pyarrow as pa


def write_result(
    folder: str | PathLike[str], name: str, facts: Mapping[str, Any], tables: Mapping[str, pa.Table]
) -> Path:
    """Write tables, then the JSON of that name: where it is, the tables beside it are of the same result.

    Raises
    ------
    MonosemeError
        The folder cannot be written.
    """
    import pyarrow.parquet as pq

    target = Path(folder)
    with writing(target):
        (target / name).unlink(missing_ok=True)
    for file, table in tables.items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        write_whole(target / file, buffer.getvalue())
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(target / name, (text + "\n").encode())
    return target / name
