"""What people say of concepts: names, tags, notes, and which they reject, as lines of a file that is only ever appended to.

A line holds all that is said of one concept under its key, and the last line of a key wins. So a bank that is made anew finds
what was said of the concepts that it has found again.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

from ..base import ANNOTATIONS, MonosemeError, UsageError, printable

NAME, TAG, TAGS, NOTE = 120, 40, 20, 4000
"""The most letters of a name, of a tag and of a note, and the most tags of a concept."""
LARGEST = 64 << 20
"""Bytes of a file that is still read: 100,000 lines and more."""
_KEY = re.compile(r"[0-9a-f]{16}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_LINE = 64 << 10


@dataclass(frozen=True)
class Annotation:
    """What a person says of a concept. Made by `annotate`, read by `load_annotations`.

    key : of the concept
    name : what it is called; empty where it has no name
    tags : in the order they were given
    note : anything else, lines included
    rejected : whether it is no concept worth having
    layer, direction : where the concept was found, for those whose key is in no bank any more
    time : when it was said, as ``2026-01-31T12:00:00Z``
    """

    key: str
    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    rejected: bool = False
    layer: str = ""
    direction: int | None = None
    time: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is said, or what was said was taken back."""
        return not (self.name or self.tags or self.note or self.rejected)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"tags": list(self.tags)}


@dataclass(frozen=True, eq=False)
class Annotations(Mapping[str, Annotation]):
    """What people say of concepts, by key, in the order it was said.

    damaged : lines of the file that could not be read
    """

    said: Mapping[str, Annotation] = field(default_factory=dict)
    damaged: int = 0

    def __getitem__(self, key: str) -> Annotation:
        return self.said[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.said)

    def __len__(self) -> int:
        return len(self.said)

    def of(self, keys: Iterable[str]) -> Annotations:
        """Those of some concepts."""
        return Annotations({key: self.said[key] for key in sorted(set(keys) & self.said.keys())}, self.damaged)

    def __repr__(self) -> str:
        names = sum(bool(each.name) for each in self.values())
        tags = sum(bool(each.tags) for each in self.values())
        rejected = sum(each.rejected for each in self.values())
        return f"<{len(self)} annotations: {names} named, {tags} tagged, {rejected} rejected>"


def load_annotations(run: str | PathLike[str]) -> Annotations:
    """What people say of the concepts of a run, or of a bank that was saved elsewhere.

    Parameters
    ----------
    run : Run or path
        The run, its folder, or the folder of a bank on its own.

    Returns
    -------
    Annotations
        A mapping from keys, as in the column ``key`` of ``bank.concepts``, to `Annotation`. Lines that are damaged, or hold what
        `annotate` would refuse, are left out and counted in ``damaged``; a last line that was cut short is no damage.

    Raises
    ------
    UsageError
        There is no such folder.
    MonosemeError
        The file may not be read, or is too large.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    return parsed(read(folder / ANNOTATIONS))


def read(file: Path) -> bytes:
    """The content of a file of annotations, nothing where there is none."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise MonosemeError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(content) > LARGEST:
        raise MonosemeError(f"{file} is larger than {LARGEST >> 20} MiB; delete the lines that later ones replace")
    return content


def parsed(content: bytes) -> Annotations:
    """The annotations that lines hold; nothing in them is trusted."""
    *lines, last = content.split(b"\n")
    said: dict[str, Annotation] = {}
    damaged = 0
    for line in lines:
        found = annotation_of(line)
        damaged += found is None and bool(line.strip())
        _say(said, found)
    _say(said, annotation_of(last))
    return Annotations({key: each for key, each in said.items() if not each.empty}, damaged)


def annotation_of(line: bytes) -> Annotation | None:
    """The annotation that a line holds, None where it is damaged or was cut short."""
    if len(line) > _LINE:
        return None
    try:
        known = json.loads(line)
        tags, direction = known.get("tags", []), known.get("direction")
        if not isinstance(tags, list) or not (direction is None or (type(direction) is int and 0 <= direction < 2**53)):
            return None
        layer, time = known.get("layer", ""), known.get("time", "")
        if not isinstance(layer, str) or len(layer) > 600 or not isinstance(time, str):
            return None
        return checked(
            Annotation(
                key=known["key"],
                name=known.get("name", ""),
                tags=tuple(tags),
                note=known.get("note", ""),
                rejected=known.get("rejected", False),
                layer=layer,
                direction=direction,
                time=time if _TIME.fullmatch(time) else "",
            )
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
        return None


def line_of(annotation: Annotation) -> bytes:
    """The line that holds an annotation."""
    return json.dumps(annotation.to_json(), ensure_ascii=False).encode() + b"\n"


def checked(given: Annotation) -> Annotation:
    """The same with its text tidied: composed letters, single spaces, no tag twice.

    Raises
    ------
    UsageError
        Something is of another type, is too long, or holds letters that cannot be seen.

    >>> checked(Annotation("0" * 16, "  snow \\t leopard", ("cats", "cats")))
    Annotation(key='0000000000000000', name='snow leopard', tags=('cats',), note='', rejected=False, ...)
    """
    if not isinstance(given.key, str) or not _KEY.fullmatch(given.key):
        raise UsageError(
            "a concept's key is 16 digits and letters from a to f; it is in the column key of bank.concepts"
        )
    if not isinstance(given.rejected, bool):
        raise UsageError(f"rejected is true or false, not {given.rejected!r:.60}")
    tags = tuple(dict.fromkeys(tag for each in given.tags if (tag := _text(each, "a tag", TAG))))
    if len(tags) > TAGS:
        raise UsageError(f"a concept has at most {TAGS} tags, not {len(tags)}; say the rest in its note")
    if any("," in tag for tag in tags):
        raise UsageError("a tag holds no comma; give several tags instead")
    name, note = _text(given.name, "a name", NAME), _text(given.note, "a note", NOTE, lines=True)
    return replace(given, name=name, tags=tags, note=note)


def _text(given: object, what: str, most: int, *, lines: bool = False) -> str:
    if not isinstance(given, str):
        raise UsageError(f"{what} is text, not {given!r:.60}")
    if len(given) > 4 * most + 100:  # before any work is done on it
        raise UsageError(f"{what} has at most {most:,} letters, not {len(given):,}")
    text = unicodedata.normalize("NFC", given)
    rows = text.splitlines() if lines else [text]
    text = "\n".join(" ".join(row.split()) if not lines else row.rstrip().replace("\t", "    ") for row in rows).strip()
    if len(text) > most:
        raise UsageError(f"{what} has at most {most:,} letters, not {len(text):,}")
    for letter in text:
        if letter != "\n" and not letter.isprintable():
            raise UsageError(
                f"{what} holds the letter U+{ord(letter):04X}, which cannot be seen or turns text around; leave it out: "
                f"{printable(text, 60)}"
            )
    return text


def _say(said: dict[str, Annotation], found: Annotation | None) -> None:
    if found is not None:
        said.pop(found.key, None)  # so that the order is that of the last word
        said[found.key] = found
