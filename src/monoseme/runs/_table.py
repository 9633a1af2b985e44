"""The table of a run in Lance: every change is one atomic commit, so a kill at any moment leaves whole commits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from ..base import TABLE, MonosemeError, first_line, writing
from ._manifest import LayerColumn, Manifest

if TYPE_CHECKING:
    import lance

ACTIVATIONS, QUARANTINE = TABLE, "quarantine.lance"

PREDICTION = pa.struct([pa.field("class", pa.int32()), pa.field("probability", pa.float32())])
FACTS = [
    pa.field("image_id", pa.int64(), nullable=False),
    pa.field("entry", pa.int64(), nullable=False),
    pa.field("uri", pa.string(), nullable=False),
    pa.field("digest", pa.string(), nullable=False),
    pa.field("label", pa.string()),
    pa.field("photograph", pa.string(), nullable=False),
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("thumbnail", pa.binary()),
    pa.field("predictions", pa.list_(PREDICTION)),
]
BAD = pa.schema(
    [
        pa.field("entry", pa.int64(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


def layer_field(column: LayerColumn, dtype: str) -> pa.Field:
    """The Arrow field of a layer: a fixed-size list of its channels."""
    return pa.field(column.column, pa.list_(pa.float32() if dtype == "float32" else pa.float16(), column.channels))


def schema_of(manifest: Manifest) -> pa.Schema:
    """The table's schema with the manifest in its metadata."""
    return pa.schema(
        [*FACTS, *(layer_field(column, manifest.dtype) for column in manifest.layers)], metadata=manifest.encode()
    )


def create(folder: Path, manifest: Manifest) -> None:
    """An empty table; its first commit holds the schema and the manifest."""
    import lance

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lance.write_dataset(schema_of(manifest).empty_table(), folder / ACTIVATIONS, mode="create")


def open_table(folder: Path) -> lance.LanceDataset | None:
    """The table of a run, or None where no commit was ever finished.

    Raises
    ------
    MonosemeError
        There is a table that cannot be opened.
    """
    import lance

    path = folder / ACTIVATIONS
    if not (path / "_versions").is_dir() or not any((path / "_versions").glob("*.manifest")):
        return None
    try:
        return lance.dataset(path)
    except (OSError, ValueError) as error:
        raise MonosemeError(
            f"the table of {folder} is damaged ({first_line(error, 200)}); embed again with --overwrite"
        ) from error


def append(folder: Path, table: pa.Table) -> None:
    """Add rows in one commit."""
    import lance

    with writing(folder):
        lance.write_dataset(table, folder / ACTIVATIONS, mode="append")


def set_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one commit."""
    import lance

    with writing(folder):
        lance.dataset(folder / ACTIVATIONS).update_schema_metadata(manifest.encode())


def add_columns(folder: Path, columns: Sequence[LayerColumn], dtype: str) -> lance.LanceDataset:
    """Add those of the layer columns that are not there, empty, in one commit; `fill` fills them fragment by fragment."""
    import lance

    with writing(folder):
        table = lance.dataset(folder / ACTIVATIONS)
        new = [layer_field(column, dtype) for column in columns if column.column not in table.schema.names]
        if new:
            table.add_columns(new)
        return table


def unfilled(table: lance.LanceDataset, columns: Sequence[LayerColumn]) -> list[int]:
    """Numbers of the fragments in which one of the columns is not filled yet."""
    missing = " OR ".join(f"`{column.column}` IS NULL" for column in columns)
    return [fragment.fragment_id for fragment in table.get_fragments() if fragment.count_rows(filter=missing)]


def fill(folder: Path, fragment_id: int, values: pa.Table) -> None:
    """Set columns of one fragment, rows matched by image_id, in one commit."""
    import lance

    with writing(folder):
        table = lance.dataset(folder / ACTIVATIONS)
        fragment, fields = table.get_fragment(fragment_id).update_columns(values, "image_id", "image_id")
        operation = lance.LanceOperation.Update(updated_fragments=[fragment], fields_modified=fields)
        lance.LanceDataset.commit(table, operation, read_version=table.version)


def quarantine(folder: Path, bad: Sequence[dict[str, Any]]) -> None:
    """Note images that cannot be used; one that is noted already is not noted twice."""
    import lance

    known = {row["entry"] for row in quarantined(folder).to_pylist()}
    new = [row for row in bad if row["entry"] not in known]
    if new:
        with writing(folder):
            lance.write_dataset(pa.Table.from_pylist(new, schema=BAD), folder / QUARANTINE, mode="append")


def quarantined(folder: Path) -> pa.Table:
    """The images set aside: entry, uri, reason."""
    import lance

    path = folder / QUARANTINE
    if not path.is_dir():
        return BAD.empty_table()
    try:
        bad = lance.dataset(path).to_table()
    except (OSError, ValueError):
        return BAD.empty_table()  # killed before its first commit
    # An image that could not be loaded before a kill and could after it is embedded, hence not set aside.
    table = open_table(folder)
    embedded = [] if table is None else table.to_table(columns=["entry"])["entry"].combine_chunks()
    return bad.filter(pa.compute.invert(pa.compute.is_in(bad["entry"], value_set=pa.array(embedded, pa.int64()))))


def tidy(folder: Path) -> None:
    """Forget the table's older versions; their rows are all in the newest."""
    from datetime import timedelta

    import lance

    with writing(folder):
        lance.dataset(folder / ACTIVATIONS).cleanup_old_versions(older_than=timedelta(0))
