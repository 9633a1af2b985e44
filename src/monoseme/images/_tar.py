"""Tar files read by offset, without unpacking: plain ones of class folders, and WebDataset shards."""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from ..base import MonosemeError, Reporter, Silent, UsageError
from ._columns import LABEL_COLUMNS, label_text
from ._decode import MAX_PIXELS, BadImage
from ._files import MAX_BYTES, reading_file
from ._names import first_folder, is_junk, kind_of, shared_folders, shown, unique, uri_of
from ._source import EncodedSource, Entry

COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
LABEL_MEMBERS = ("cls", "json", "txt")
"""Extensions of WebDataset members that may hold the label of the image beside them; the first that does counts."""
LONGEST_LABEL = 80
"""A longer text beside an image is a caption, not a label."""


class TarSource(EncodedSource):
    """The images inside one or more tar files. Headers are read once; an image is one seek and one read.

    Parameters
    ----------
    spec
        What the user wrote.
    root
        The folder that names are relative to.
    names
        Of the tar files, in order.
    max_pixels
        The limit for decoding.
    progress
        Is told of each tar file.
    """

    def __init__(
        self,
        spec: str,
        root: Path,
        names: Sequence[str],
        *,
        max_pixels: int = MAX_PIXELS,
        progress: Reporter | None = None,
    ) -> None:
        self.spec, self.max_pixels = spec, max_pixels
        self._tars = [root.absolute() / name for name in names]
        rows: list[tuple[str, str, str | None, int, _Place]] = []
        with (progress or Silent()).task("reading tar headers", len(names), "files") as task:
            for number, name in enumerate(names):
                prefix = f"{uri_of(name)}/" if len(names) > 1 else ""
                index = _Index.read(self._tars[number])
                for member, place in index.images.items():
                    inside = uri_of(member)
                    rows.append((prefix + inside, inside, index.label_beside(member), number, place))
                task.advance()
        if not rows:
            what = shown(names[0]) if len(names) == 1 else f"the {len(names):,} tar files of {shown(spec)}"
            raise MonosemeError(f"no images in {what}: no member's name ends in a known suffix such as .jpg or .png")
        rows.sort(key=lambda row: (row[3], row[0]))
        self._uris = unique(row[0] for row in rows)
        above = len(shared_folders([row[1] for row in rows]))
        self._labels = [row[2] or first_folder(row[1][above:]) for row in rows]
        self._places = [(row[3], *row[4]) for row in rows]

    def __len__(self) -> int:
        return len(self._uris)

    def entry(self, index: int) -> Entry:
        uri = self._uris[index]
        return Entry(uri, self._labels[index], uri)

    def byte_size(self, index: int) -> int:
        return self._places[index][2]

    def read(self, index: int) -> bytes:
        number, offset, size = self._places[index]
        if offset < 0:
            raise BadImage("a link to what is not in the tar file")
        if size > MAX_BYTES:
            raise BadImage(f"too large: a file of {size / 1e9:,.1f} GB")
        with reading_file(), self._tars[number].open("rb") as file:
            # Opened for each read: nothing to share between threads or to pickle, and no limit on the number of shards.
            file.seek(offset)
            data = file.read(size)
        if len(data) < size:
            raise BadImage("truncated: the tar file ends before its image does")
        return data


_Place = tuple[int, int]
"""Offset and size in bytes; offset -1 for a link that leads out of the tar file."""


@dataclass(slots=True)
class _Index:
    """What the headers of a tar file tell."""

    images: dict[str, _Place] = field(default_factory=dict)
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    """By sample key and extension, of the small members that may hold labels."""

    @classmethod
    def read(cls, path: Path) -> _Index:
        index = cls()
        places: dict[str, _Place] = {}
        links: dict[str, str] = {}
        with _whole(path) as tar:
            while (member := tar.next()) is not None:
                cast(Any, tar).members.clear()  # else it keeps about a kilobyte for each
                name = posixpath.normpath(member.name).lstrip("/")
                if is_junk(name):
                    continue
                if member.islnk():
                    links[name] = posixpath.normpath(member.linkname).lstrip("/")
                elif member.issym():
                    links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
                elif member.isreg():
                    places[name] = (member.offset_data, member.size)
                    index._note_label(tar, member, name)
        for name, target in links.items():
            places[name] = places.get(target, (-1, 0))
        index.images = {name: place for name, place in places.items() if kind_of(name) == "image"}
        return index

    def _note_label(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        key, extension = _sample(name)
        if extension in LABEL_MEMBERS and member.size <= 65536:
            file: IO[bytes] | None = tar.extractfile(member)
            label = _label_in(file.read().decode("utf-8", "replace"), extension) if file else None
            if label:
                self.labels[key, extension] = label

    def label_beside(self, member: str) -> str | None:
        key, _ = _sample(member)
        return next((self.labels[key, name] for name in LABEL_MEMBERS if (key, name) in self.labels), None)


@contextmanager
def _whole(path: Path) -> Iterator[tarfile.TarFile]:
    """An open tar file to be read to its end; an error if that is not where it ends, so that no image is lost unnoticed."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
            yield tar
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError(f"no header at byte {tar.offset:,}")
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise _not_readable(path, str(error)) from error
    except OSError as error:
        raise MonosemeError(f"cannot read {shown(path)}: {(error.strerror or str(error)).lower()}") from error


def _not_readable(path: Path, why: str) -> MonosemeError:
    with path.open("rb") as file:
        start = file.read(8)
    for magic, command in COMPRESSED.items():
        if start.startswith(magic):
            return compressed_tar(path, command)
    if not start:
        return MonosemeError(f"no images in {shown(path)}: the file is empty")
    return MonosemeError(f"{shown(path)} is not a whole tar file ({why}); copy or download it again")


def compressed_tar(path: Path, command: str) -> UsageError:
    """Why a compressed tar file is refused, and what to do."""
    return UsageError(
        f"{shown(path)} is compressed, so that single images in it cannot be reached; "
        f"uncompress it first ({command} {shown(path.name)}) and give the .tar"
    )


def _sample(name: str) -> tuple[str, str]:
    """WebDataset's split of a member's name, at the first dot of its last part."""
    folder, _, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return f"{folder}/{stem}", extension.lower()


def _label_in(text: str, extension: str) -> str | None:
    if extension == "json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        keys = [key for key in LABEL_COLUMNS if isinstance(value, dict) and key in value]
        return label_text(value[keys[0]]) if keys else None
    line = text.strip().partition("\n")[0].strip()
    return line if 0 < len(line) <= LONGEST_LABEL else None
