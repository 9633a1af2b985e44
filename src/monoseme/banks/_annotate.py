"""Saying something of a concept: a line is appended while no other process writes, synced, and a line that a crash cut short
is taken away first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from ..base import ANNOTATIONS, ANNOTATIONS_LOCK, TABLE, Lock, MonosemeError, UsageError, sync, writing
from ._annotations import LARGEST, Annotation, Annotations, annotation_of, checked, line_of, parsed, read
from ._bank import ConceptBank

WAIT = 10.0
"""Seconds that a writer waits for others, each of which needs some milliseconds."""


def annotate(
    run: str | PathLike[str],
    bank: ConceptBank,
    concept: int,
    *,
    name: str | None = None,
    tags: Iterable[str] | None = None,
    note: str | None = None,
    rejected: bool | None = None,
) -> Annotation:
    """Name a concept, tag it, note something, or reject it; kept in the run under the concept's key.

    What is not given stays as it is; an empty name or note and an empty list of tags take back what was said. Writers of other
    processes are waited for, and what is said is on the disk when this returns.

    Parameters
    ----------
    run : Run or path
        The run that the bank was made from.
    bank : ConceptBank
        The bank.
    concept : int
        Its number.
    name : str, optional
        At most 120 letters.
    tags : iterable of str, optional
        All its tags: at most 20 of at most 40 letters, without commas.
    note : str, optional
        At most 4,000 letters; may have several lines.
    rejected : bool, optional
        Whether it is no concept worth having.

    Returns
    -------
    Annotation
        All that is said of the concept now.

    Raises
    ------
    UsageError
        There is no such run or concept, a text is too long or holds letters that cannot be
        seen.
    MonosemeError
        The run cannot be written.

    Examples
    --------
    ::

        ms.annotate("runs/iv3", bank, 12, name="snow leopards", tags=["animals"])
        ms.load_annotations("runs/iv3")[bank[12].key].name
    """
    folder = Path(run)
    if not (folder / TABLE).is_dir():
        raise UsageError(f"{folder} is not a run; give the run that the bank was made from")
    found = bank[concept]
    given = {"name": name, "tags": tags, "note": note, "rejected": rejected}
    if isinstance(tags, str):
        raise UsageError(f"tags are a list of texts, such as [{tags!r:.60}]")
    changes: dict[str, Any] = {what: each for what, each in given.items() if each is not None}
    if tags is not None:
        changes["tags"] = tuple(tags)

    def changed(said: Annotations) -> list[Annotation]:
        before = said.get(found.key, Annotation(found.key))
        return [checked(replace(before, **changes, layer=bank.layer, direction=found.direction, time=_now()))]

    return append(folder, changed)[0]


def append(folder: Path, change: Callable[[Annotations], list[Annotation]]) -> list[Annotation]:
    """Append the lines that `change` makes of what is said now, while no other process writes; they are what is returned.

    Raises
    ------
    MonosemeError
        The folder cannot be written, another process does not stop writing, or the file is full.
    """
    file = folder / ANNOTATIONS
    busy = f"another process is writing {file}; try again when it is done"
    with writing(file), Lock(folder / ANNOTATIONS_LOCK, busy, wait=WAIT):
        content = read(file)
        last = content.rpartition(b"\n")[2]
        if annotation_of(last) is not None:  # whole, but for its end
            start, lines = len(content), [b"\n"]
        else:
            start, lines = len(content) - len(last), []
        made = change(parsed(content[:start]))
        if not made:
            return []
        lines += [line_of(each) for each in made]
        if start + sum(map(len, lines)) > LARGEST:
            raise MonosemeError(f"{file} is full ({LARGEST >> 20} MiB); delete the lines that later ones replace")
        new = not file.exists()
        with file.open("w+b" if new else "r+b") as opened:
            opened.truncate(start)
            opened.seek(start)
            opened.write(b"".join(lines))
            opened.flush()
            os.fsync(opened.fileno())
        if new:
            sync(folder)
    return made


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
