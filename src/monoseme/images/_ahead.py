"""Decoding ahead of the model: images are read, prepared and thumbnailed in worker processes while the model computes.

Workers are fresh processes, not forks (threads of torch and Lance do not survive a fork), and loky starts them without
importing the user's script, so that a script needs no guard around it. They import neither torch nor Lance and run at low
priority: the model's threads come first, decoding takes what is left, and no core idles.
"""

from __future__ import annotations

import io
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ._decode import BadImage
from ._source import ImageSource

if TYPE_CHECKING:
    from PIL import Image


class Prepares(Protocol):
    """The part of a model's preprocessing that works on one image."""

    def pixels(self, image: Image.Image) -> npt.NDArray[Any]:
        """The image at the model's size."""


@dataclass(frozen=True)
class Thumbnails:
    """Longest side in pixels and JPEG quality."""

    size: int = 160
    quality: int = 80

    def make(self, image: Image.Image) -> bytes:
        """A JPEG of the image; nothing of the original file (camera, place, time) is carried over."""
        from PIL import Image

        small = image.copy() if max(image.size) <= self.size else None
        if small is None:
            scale = self.size / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        small.info = {}  # a JPEG's comment would be written again
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=self.quality)
        return buffer.getvalue()


@dataclass(frozen=True)
class Batch:
    """Images of one slice of the listing.

    pixels : (n, ...) prepared images, None when none of the slice can be used or no pixels are asked for
    facts : what the table keeps of each, in the same order
    bad : entry, uri and reason of each that cannot be used
    count : how many entries the slice has
    """

    pixels: npt.NDArray[Any] | None
    facts: list[dict[str, Any]]
    bad: list[dict[str, Any]]
    count: int


@dataclass(frozen=True)
class Work:
    """What a worker needs; without `prepare` no pixels are kept.

    at_least : pixels that the short side must keep where JPEGs may be decoded at a reduced size, None where they may not
    """

    source: ImageSource
    prepare: Prepares | None
    thumbnails: Thumbnails | None
    at_least: int | None = None

    def load(self, entries: Sequence[int]) -> Batch:
        """Load a slice of the listing."""
        pixels, facts, bad = [], [], []
        for index in entries:
            entry = self.source.entry(index)
            try:
                loaded = self.source.load(index, self.at_least)
                prepared = None if self.prepare is None else self.prepare.pixels(loaded.image)
                thumbnail = None if self.thumbnails is None else self.thumbnails.make(loaded.image)
            except BadImage as error:
                bad.append({"entry": index, "uri": entry.uri, "reason": str(error)})
                continue
            if prepared is not None:
                pixels.append(prepared)
            facts.append(
                {
                    "entry": index,
                    "uri": entry.uri,
                    "digest": loaded.digest,
                    "label": entry.label,
                    "photograph": entry.group,
                    "width": loaded.width,
                    "height": loaded.height,
                    "thumbnail": thumbnail,
                }
            )
        return Batch(np.stack(pixels) if pixels else None, facts, bad, len(entries))


class Loader:
    """Batches in order, prepared ahead by `workers` processes (0: by a thread of this process).

    A worker that is killed by what it decodes does not end the run: its slice is tried again image by image, and the image
    that kills its worker is set aside.
    """

    def __init__(self, work: Work, slices: Sequence[Sequence[int]], workers: int) -> None:
        self._work, self._slices, self._workers = work, slices, workers
        self._pool: Executor | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def __iter__(self) -> Iterator[Batch]:
        ahead = 2 * max(self._workers, 1) + 1
        waiting: deque[tuple[Sequence[int], Future[Batch]]] = deque()
        rest = iter(self._slices)
        while True:
            while len(waiting) < ahead and (entries := next(rest, None)) is not None:
                waiting.append((entries, self._submit(entries)))
            if not waiting:
                return
            entries, future = waiting.popleft()
            try:
                batch = future.result()
            except BrokenProcessPool:
                self._close()
                batch = self._one_by_one(entries)
                again = [entries for entries, _ in waiting]
                waiting = deque((entries, self._submit(entries)) for entries in again)
            yield batch

    def _submit(self, entries: Sequence[int]) -> Future[Batch]:
        if self._workers == 0:
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="monoseme-load")
            return self._pool.submit(self._work.load, entries)
        from loky import ProcessPoolExecutor

        self._pool = self._pool or ProcessPoolExecutor(self._workers, initializer=_begin, initargs=(self._work,))
        return self._pool.submit(_load, entries)

    def _one_by_one(self, entries: Sequence[int]) -> Batch:
        parts = []
        for index in entries:
            try:
                parts.append(self._submit([index]).result())
            except BrokenProcessPool:
                self._close()
                uri = self._work.source.entry(index).uri
                reason = "the decoder crashed on it, or memory ran out"
                parts.append(Batch(None, [], [{"entry": index, "uri": uri, "reason": reason}], 1))
        pixels = [part.pixels for part in parts if part.pixels is not None]
        return Batch(
            np.concatenate(pixels) if pixels else None,
            [fact for part in parts for fact in part.facts],
            [bad for part in parts for bad in part.bad],
            len(entries),
        )

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(**({"kill_workers": True} if self._workers else {"cancel_futures": True}))
        self._pool = None


def default_workers() -> int:
    """Worker processes for this machine: one a core, at most 16, for they only take what the model leaves."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, 16))


_work: Work | None = None


def _begin(work: Work) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with suppress(OSError, AttributeError):
        os.nice(5)


def _load(entries: Sequence[int]) -> Batch:
    assert _work is not None
    return _work.load(entries)
