"""How a run is written: the folder is held, made ready, filled commit by commit and marked finished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..base import ANNOTATIONS, ANNOTATIONS_LOCK, STUDIES, Lock, MonosemeError, UsageError, join_words, writing
from ..images import Batch
from . import _table
from ._manifest import Manifest, differences

LOCK, _DISCARDED = ".lock", ".discarded"
_REMAINS = {_table.ACTIVATIONS, _table.QUARANTINE, "banks", "labels", "judges", ANNOTATIONS, ANNOTATIONS_LOCK}
_REMAINS |= {STUDIES, LOCK, _DISCARDED}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """No two processes write one run."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; choose a folder for the run")
    made = not folder.exists()
    try:
        with Lock(folder / LOCK, f"another process is writing {folder}; wait until it is done"):
            yield
    finally:
        if made and folder.is_dir() and not any(path.name != LOCK for path in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


def prepare(folder: Path, manifest: Manifest, overwrite: bool, *, any_acceleration: bool = False) -> Manifest:
    """A table to go on with: a new one, or the one that is there if it was made with the same; its manifest.

    any_acceleration : whether an unfinished run goes on with what it began with, whatever the manifest names
    """
    try:
        table = _table.open_table(folder)
        there = None if table is None else Manifest.decode(table.schema.metadata, str(folder))
    except MonosemeError:
        if not overwrite:
            raise
        there = None
    if there is not None and any_acceleration:
        manifest = replace(manifest, acceleration=there.acceleration)
    found = [] if there is None else differences(there, manifest, layers=not there.finished)
    if there is None or (found and overwrite):
        _clear(folder)
        _table.create(folder, manifest)
        return manifest
    if found:
        state = "holds a run" if there.finished else "holds an unfinished run"
        raise UsageError(
            f"{folder} {state} made with something else: {join_words(found, 'and')} differ; choose another folder, or replace it "
            "with --overwrite"
        )
    return there


def _clear(folder: Path) -> None:
    """Make room for a new run, but never delete what is not a run. A kill in between leaves what can be cleared again."""
    if not folder.exists():
        return
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in _REMAINS)
    if foreign:
        raise UsageError(f"{folder} is not a run and not empty (it holds {foreign[0]}); choose another folder")
    with writing(folder):
        if (folder / _table.ACTIVATIONS).exists():
            shutil.rmtree(folder / _DISCARDED, ignore_errors=True)
            (folder / _table.ACTIVATIONS).rename(folder / _DISCARDED)  # from here on the old run is gone as a whole
        for name in ("banks", "labels", "judges", _table.QUARANTINE, _DISCARDED):
            shutil.rmtree(folder / name, ignore_errors=True)


def position(folder: Path, batch_size: int) -> tuple[int, int]:
    """(first entry that is not committed, rounded up to a whole batch; number of rows): what lies between was set aside."""
    table = _table.open_table(folder)
    assert table is not None
    rows = table.count_rows()
    if rows == 0:
        return 0, 0
    last = int(table.take([rows - 1], columns=["entry"])["entry"][0].as_py())
    return (last // batch_size + 1) * batch_size, rows


class Pending:
    """Rows that wait for the next commit."""

    def __init__(self, folder: Path, every: int, rows: int) -> None:
        self._folder, self._every, self._next = folder, every, rows
        self._tables: list[Any] = []
        self._bad: list[dict[str, Any]] = []
        self._count = 0

    def add(self, batch: Batch, result: Any) -> None:
        self._bad += batch.bad
        self._count += batch.count
        if batch.facts:
            self._tables.append(result.rows(self._next, batch.facts))
            self._next += len(batch.facts)
        if self._count >= self._every:
            self.commit()

    def commit(self) -> None:
        # What is set aside goes first: were it last, a kill between the two would leave a gap that nothing explains.
        tables, bad = self._tables, self._bad
        self._tables, self._bad, self._count = [], [], 0  # at once: a commit that Ctrl-C hits must not be made twice
        _table.quarantine(self._folder, bad)
        if tables:
            _table.append(self._folder, pa.concat_tables(tables))


@contextmanager
def committing(folder: Path, every: int, rows: int) -> Iterator[Pending]:
    """Commit what is whole also when the block ends by Ctrl-C or by a later image that cannot be embedded."""
    pending = Pending(folder, every, rows)
    try:
        yield pending
    except (KeyboardInterrupt, MonosemeError):
        pending.commit()
        raise
    pending.commit()


def finish(folder: Path, manifest: Manifest) -> None:
    """Mark a run finished, if it holds any image.

    Raises
    ------
    MonosemeError
        Every image was set aside.
    """
    if position(folder, manifest.batch_size)[1] == 0:
        first = _table.quarantined(folder).slice(0, 1).to_pylist()[0]
        raise MonosemeError(
            f"none of the {manifest.images['count']:,} images of {manifest.images['source']} can be used (the first, "
            f"{first['uri']}: {first['reason']}); give images that can be decoded"
        )
    _table.set_manifest(folder, replace(manifest, finished=True))
    _table.tidy(folder)
