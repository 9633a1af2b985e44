"""The image files behind rows that were embedded elsewhere: found by name, or taken in the order of their listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...base import UsageError, counted, digest_text
from ...images import Batch, ImageSource, Loader, Thumbnails, Work, default_workers, shown
from .._named import find_named

_SLICE = 64
"""Images that are loaded together."""


@dataclass(frozen=True)
class Rows:
    """What is known of each of the N rows.

    uris : its image's
    labels : its label
    source, places : the images at hand, and (N,) the place of each row's image among them; None without images
    """

    uris: list[str]
    labels: list[str | None] | None
    source: ImageSource | None = None
    places: npt.NDArray[np.int64] | None = None

    def batches(self, start: int, thumbnails: Thumbnails | None, workers: int | None) -> Iterator[Batch]:
        """What the table keeps of each row from `start` on, in order, a slice of rows at a time."""
        spans = [range(first, min(first + _SLICE, len(self.uris))) for first in range(start, len(self.uris), _SLICE)]
        if self.source is None or self.places is None:
            for span in spans:
                yield Batch(None, [self._named(row) for row in span], [], len(span))
            return
        slices = [self.places[span].tolist() for span in spans]
        wanted = 0 if self.source.in_process else default_workers() if workers is None else workers
        with Loader(Work(self.source, None, thumbnails), slices, min(wanted, len(slices))) as loader:
            for span, places, batch in zip(spans, slices, loader, strict=True):
                rows = dict(zip(places, span, strict=True))
                facts = [{**fact, **self._in_row(rows[fact["entry"]], fact["label"])} for fact in batch.facts]
                yield Batch(None, facts, [{**bad, "entry": rows[bad["entry"]]} for bad in batch.bad], batch.count)

    def _in_row(self, row: int, label: str | None) -> dict[str, object]:
        return {"entry": row, "label": label if self.labels is None else self.labels[row]}

    def _named(self, row: int) -> dict[str, object]:
        uri = self.uris[row]
        facts = {"uri": uri, "digest": digest_text("no image", uri), "photograph": uri, "width": 0, "height": 0}
        return {**facts, **self._in_row(row, None), "thumbnail": None}


def rows_of(
    names: Sequence[str] | None,
    labels: list[str | None] | None,
    count: int,
    source: ImageSource | None,
    in_order: bool,
) -> Rows:
    """The rows with their images.

    Raises
    ------
    UsageError
        A row names no image, or two name one; or nothing says which image a row is of.
    """
    if source is None:
        if in_order:
            raise UsageError("rows are in the order of which images? name them with --images")
        return Rows(list(names) if names is not None else [f"row-{row}" for row in range(count)], labels)
    uris = [source.entry(place).uri for place in range(len(source))]
    if in_order:
        if len(uris) != count:
            raise UsageError(
                f"{shown(source.spec)} lists {counted(len(uris), 'image')}, but the embeddings have {counted(count, 'row')}; "
                "name each row's image with --ids"
            )
        return Rows(uris, labels, source, np.arange(count))
    if names is None:
        raise UsageError(
            "nothing says which image each row is of; name them with --ids, or say --in-order where rows are in the order of the "
            "images' names"
        )
    places = _places(names, uris, source.spec)
    return Rows([uris[place] for place in places], labels, source, places)


def _places(names: Sequence[str], uris: list[str], spec: str) -> npt.NDArray[np.int64]:
    """(N,) the place of each row's image: by its name in full, by the end of its path, or without its suffix."""
    asked = pa.array(names, pa.large_string())
    found = find_named(asked, pa.array(uris, pa.large_string()), "the ids")
    if len(lost := np.flatnonzero(found < 0)):
        found[lost] = find_named(asked.take(pa.array(lost)), pa.array(_stems(uris), pa.large_string()), "the ids")
    lost = np.flatnonzero(found < 0)
    if len(lost):
        raise UsageError(
            f"{len(lost):,} of {counted(len(names), 'row')} name no image of {shown(spec)} (the first, row {lost[0]:,}: "
            f"{shown(names[lost[0]])}; there is {shown(uris[0])}); correct --ids, or import without images"
        )
    values, counts = np.unique(found, return_counts=True)
    if len(values) < len(found):
        place = int(values[counts > 1][0])
        one, other = np.flatnonzero(found == place)[:2]
        raise UsageError(
            f"rows {one:,} and {other:,} name the same image of {shown(spec)}, {shown(uris[place])} ({shown(names[one])} and "
            f"{shown(names[other])}); every image may be there once"
        )
    return found


def _stems(uris: list[str]) -> list[str]:
    """Paths without their suffix, where no other path is the same without it."""
    stems = [str(PurePosixPath(uri).with_suffix("")) for uri in uris]
    values, counts = np.unique(np.array(stems, dtype=object).astype(str), return_counts=True)
    several = set(values[counts > 1].tolist())
    return [uri if stem in several else stem for uri, stem in zip(uris, stems, strict=True)]


Images = str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None
