"""What every source of images has in common: a list of entries in a fixed order, each of which can be loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ..base import digest_bytes, digest_text
from ._decode import MAX_PIXELS, decode, upright_size

if TYPE_CHECKING:
    from types import TracebackType

    from PIL import Image


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of an image before it is loaded."""

    uri: str
    """A stable name, unique in the listing: a path relative to the root, ``"train.parquet#17"``, ``"a.jpg@8,0,64"``."""
    label: str | None
    """Its class, where the source tells."""
    group: str
    """The photograph that it is from: its own `uri`, or for a patch the `uri` of its source image."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded image."""

    image: Image.Image
    """RGB, 8 bits, upright, fully loaded."""
    digest: str
    """Of the encoded bytes, or of the pixels where there are none or it is a patch: equal for exact duplicates."""
    width: int
    """Upright width of the image as it is stored; `image` is smaller if it was loaded at reduced scale."""
    height: int
    """Upright height, likewise."""


class ImageSource(ABC):
    """Images in a fixed order. `entry` tells what is known beforehand, `load` decodes.

    A source can be pickled, unless `in_process` is true, so that worker processes load from a copy of it; and threads
    may load from one source at once.
    """

    spec: str
    """What the user wrote."""
    in_process: bool = False
    """Whether the source must be read in the process that opened it."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def entry(self, index: int) -> Entry:
        """Name, label and group of an image."""

    @abstractmethod
    def load(self, index: int, at_least: int | None = None) -> Loaded:
        """Read and decode an image.

        Parameters
        ----------
        index
            Which one, from 0.
        at_least
            A hint that the caller needs no more than this many pixels on the short side; a JPEG may then be
            decoded at reduced scale, which is faster. The result never has fewer because of it.

        Raises
        ------
        BadImage
            It cannot be used; the message is the reason.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Upright (width, height) of an image, from its header if possible.

        Raises
        ------
        BadImage
            It cannot be used; the message is the reason.
        """
        loaded = self.load(index)
        return loaded.width, loaded.height

    def encoded(self, index: int) -> bytes | None:
        """The encoded bytes of an image as they are stored, None where it has none of its own.

        Raises
        ------
        BadImage
            They cannot be had; the message is the reason.
        """
        return None

    def byte_size(self, index: int) -> int | None:
        """Encoded size in bytes, where it is known without reading the image."""
        return None

    def digest(self) -> str:
        """Of the listing: how many, and each name and encoded size in order. It tells whether two listings are the same."""
        state = digest_text(str(len(self)))
        for start in range(0, len(self), 4096):
            rows = range(start, min(start + 4096, len(self)))
            state = digest_text(state, *(f"{self._uri(row)}\0{self.byte_size(row)}" for row in rows))
        return state

    def _uri(self, index: int) -> str:
        return self.entry(index).uri

    def close(self) -> None:
        """Let go of open files. The source can still be used; it opens them again."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{len(self):,} images from {self.spec}>"


class EncodedSource(ImageSource):
    """A source that has encoded bytes for each image."""

    max_pixels: int = MAX_PIXELS

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The encoded bytes of an image; raises `BadImage` if they cannot be had."""

    def encoded(self, index: int) -> bytes:
        return self.read(index)

    def load(self, index: int, at_least: int | None = None) -> Loaded:
        data = self.read(index)
        decoded = decode(data, max_pixels=self.max_pixels, at_least=at_least)
        return Loaded(decoded.image, digest_bytes(data), decoded.width, decoded.height)

    def size(self, index: int) -> tuple[int, int]:
        return upright_size(self.read(index), max_pixels=self.max_pixels)


def pixel_digest(image: Image.Image) -> str:
    """Content digest of an image that has no encoded bytes of its own."""
    return digest_text(image.mode, *map(str, image.size), digest_bytes(image.tobytes()))
