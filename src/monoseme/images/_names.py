"""Names of images: which files count, how any name becomes a clean and unique uri, and how errors show it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".gif",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".jp2",
        ".j2k",
        ".jpx",
        ".avif",
        ".qoi",
        ".heic",
        ".heif",
    ]
)
"""Lower-case suffixes that are taken for images. HEIC is among them to be told of, not passed over."""

SUFFIXES_IN_WORDS = ".jpg, .png, .webp, .gif, .tif, .bmp, .ppm, .avif and the like"


def kind_of(name: str) -> str:
    """``image``, ``tar``, ``parquet`` or ``other``, by the suffix.

    >>> kind_of("a/B.JPG"), kind_of("shard-00.tar"), kind_of("readme.md")
    ('image', 'tar', 'other')
    """
    suffix = suffix_of(name)
    return "image" if suffix in IMAGE_SUFFIXES else suffix[1:] if suffix in (".tar", ".parquet") else "other"


def suffix_of(name: str) -> str:
    """The last suffix in lower case, with its dot; empty if there is none."""
    return PurePosixPath(name).suffix.lower()


def is_junk(name: str) -> bool:
    """Whether a path has a part that operating systems leave behind or hide.

    >>> is_junk("__MACOSX/._a.jpg"), is_junk("a/.cache/b.jpg"), is_junk("a/b.jpg")
    (True, True, False)
    """
    return any(part == "__MACOSX" or part == "Thumbs.db" or (part[0] == "." and part != "..") for part in _parts(name))


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def uri_of(name: str) -> str:
    """A name as valid UTF-8: bytes that are not are written like ``%FF`` (and then ``%`` itself as ``%25``).

    >>> uri_of("caf\\udce9.jpg"), uri_of("100%.jpg")
    ('caf%E9.jpg', '100%.jpg')
    """
    if name.isascii() or not re.search("[\ud800-\udfff]", name):
        return name
    return re.sub("[\ud800-\udfff]", _escaped, name.replace("%", "%25"))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"%{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"%u{code:04X}"


def unique(uris: Iterable[str]) -> list[str]:
    """The same uris, with ``#2``, ``#3`` behind those that came before.

    >>> unique(["a.jpg", "b.jpg", "a.jpg"])
    ['a.jpg', 'b.jpg', 'a.jpg#2']
    """
    listed = list(uris)
    taken = set(listed)
    if len(taken) == len(listed):
        return listed
    seen: set[str] = set()
    for place, uri in enumerate(listed):
        number, candidate = 2, uri
        while candidate in seen or (candidate != uri and candidate in taken):
            candidate, number = f"{uri}#{number}", number + 1
        seen.add(candidate)
        listed[place] = candidate
    return listed


def first_folder(uri: str) -> str | None:
    """The class of an image that lies in class folders.

    >>> first_folder("cat/close/1.jpg"), first_folder("1.jpg")
    ('cat', None)
    """
    folder, slash, _ = uri.partition("/")
    return folder if slash and folder not in ("", "..") else None


def shared_folders(uris: Sequence[str]) -> str:
    """The leading folders that all share and below which all have yet another: ``photos/`` of ``photos/cat/1.jpg``.

    >>> shared_folders(["photos/cat/1.jpg", "photos/dog/2.jpg"]), shared_folders(["cat/1.jpg", "cat/2.jpg"])
    ('photos/', '')
    """
    shared = ""
    while uris:
        folder = uris[0][len(shared) :].partition("/")[0]
        if not folder or not all(
            uri.startswith(f"{shared}{folder}/") and uri.count("/", len(shared)) > 1 for uri in uris
        ):
            break
        shared += f"{folder}/"
    return shared


def shown(name: object) -> str:
    """A name as errors show it: as it is if every character can be printed, else with escapes.

    >>> print(shown("photos/cat 1.jpg"), shown("a\\nb.jpg"))
    photos/cat 1.jpg 'a\\nb.jpg'
    """
    text = str(name)
    return text if text.isprintable() and text.strip() == text and text else repr(text)
