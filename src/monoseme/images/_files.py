"""Image files on disk: each entry is a file below a root folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ._decode import MAX_PIXELS, BadImage
from ._names import first_folder, unique, uri_of
from ._source import EncodedSource, Entry

MAX_BYTES = 2**31
"""Files above this are not read at all: no image within the pixel limit needs them."""


class FileSource(EncodedSource):
    """Files by name below `root`; the label is the first folder of the name unless labels are given.

    Parameters
    ----------
    spec
        What the user wrote.
    root
        The folder that names are relative to.
    names
        POSIX paths as the operating system gave them, in the order of the listing.
    sizes
        Of the files in bytes, None where there was no such file; looked up if not given.
    labels
        One for each name, if they do not come from folders.
    max_pixels
        The limit for decoding.
    """

    def __init__(
        self,
        spec: str,
        root: Path,
        names: Sequence[str],
        *,
        sizes: Sequence[int | None] | None = None,
        labels: Sequence[str | None] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.spec, self.max_pixels = spec, max_pixels
        self._root = root.absolute()
        self._names = list(names)
        self._uris = unique(uri_of(name) for name in names)
        self._sizes = list(sizes) if sizes is not None else [file_size(root / name) for name in names]
        self._labels = list(labels) if labels is not None else None

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> Entry:
        uri = self._uris[index]
        return Entry(uri, first_folder(uri) if self._labels is None else self._labels[index], uri)

    def byte_size(self, index: int) -> int | None:
        return self._sizes[index]

    def read(self, index: int) -> bytes:
        path = self._root / self._names[index]
        with reading_file("no such file" if self._sizes[index] is None else "vanished since it was listed"):
            status = path.stat()  # opening a pipe would wait forever
            if not stat.S_ISREG(status.st_mode):
                raise BadImage("not a regular file")
            if status.st_size > MAX_BYTES:
                raise BadImage(f"too large: a file of {status.st_size / 1e9:,.1f} GB")
            return path.read_bytes()


@contextmanager
def reading_file(absent: str = "vanished since it was listed") -> Iterator[None]:
    """Turn what the operating system says about a file into `BadImage`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise BadImage(absent) from None
    except PermissionError:
        raise BadImage("permission denied") from None
    except OSError as error:
        raise BadImage((error.strerror or "it cannot be read").lower()) from None
    except ValueError:  # a null character in the name
        raise BadImage("not a possible file name") from None
    except MemoryError:
        raise BadImage("too large: not enough memory to read it") from None


def file_size(path: Path) -> int | None:
    """Size of a file in bytes, None if there is no such file."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def walk(root: Path) -> Iterator[tuple[str, int | None]]:
    """POSIX path relative to `root` and size of every file below it, in no particular order.

    Links to folders are followed, but not into a folder that one is already inside of. A link that leads nowhere counts
    as a file of unknown size, so that it is told of; pipes and devices do not count.
    """
    yield from _walk(root, "", ())


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, int | None]]:
    here = folder.stat()
    identity = (here.st_dev, here.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                if not is_hidden(entry.name):
                    yield from _walk(folder / entry.name, f"{name}/", (*above, identity))
            elif entry.is_file():
                yield name, entry.stat().st_size
            elif entry.is_symlink() and file_size(folder / entry.name) is None:
                yield name, None


def is_hidden(name: str) -> bool:
    """Whether a folder is not to be looked into."""
    return name.startswith(".") or name == "__MACOSX"
