"""Labels joined later: the rows of a file find their images by number, by content or by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..base import Labels, MonosemeError, UsageError, check_name
from ..images import shown
from ._label_file import read_label_file
from ._labels import set_path, write_set
from ._named import IntArray, find_named
from ._run import Run, open_run


@dataclass(frozen=True)
class JoinedLabels:
    """What became of the rows of a file.

    name : the label set's name
    path : its file in the run
    labels : the labels themselves
    rows : number of rows in the file
    unmatched : how many of them name no image of the run
    example : what the first of these says, None where there is none
    """

    name: str
    path: Path
    labels: Labels
    rows: int
    unmatched: int
    example: str | None


def join_labels(
    run: Run | str | PathLike[str],
    file: str | PathLike[str],
    *,
    name: str | None = None,
    image: str | None = None,
    label: str | None = None,
    separator: str | None = ";",
    overwrite: bool = False,
) -> JoinedLabels:
    """Add labels from a CSV or Parquet file to a run, as a label set of their own.

    Rows find their images by a column `image_id`, or by text that is a uri, a photograph (for patches: all that were cut
    from it) or a content digest of the run. A path that is none of these finds the one image whose uri ends with it, or
    else the image with the longest uri that it ends with; both at borders of folders.

    Parameters
    ----------
    run : Run or path
        A finished run.
    file : path
        CSV in UTF-8 (comma, semicolon or tab) or Parquet, a row for an image and label. An image may be in several rows.
    name : str, optional
        Of the label set; by default that of the file.
    image : str, optional
        The column that names images; by default the first of image_id, uri, path, file, filename, image, digest.
    label : str, optional
        The column of labels: text, whole numbers, or (in Parquet) lists of these; by default the first of label, labels,
        class, tags, or the only other column.
    separator : str or None
        What stands between several labels in a cell; None or "" where cells are never to be parted.
    overwrite : bool
        Replace a label set of that name.

    Returns
    -------
    JoinedLabels
        name, path and labels of the set; rows of the file, how many are unmatched (name no image), and an example of these.

    Raises
    ------
    UsageError
        There is no such file or column, a name may mean several images, no row names an image, or there is a label set of
        that name.
    MonosemeError
        The file cannot be read, the run is not finished, or cannot be written.

    Examples
    --------
    With labels in ``animals.csv``, a row an image, the run then has a label set ``animals``::

        join_labels("runs/iv3", "animals.csv").labels
    """
    opened, path = run if isinstance(run, Run) else open_run(run), Path(file)
    name = _stem(path) if name is None else name
    target = set_path(opened.path, name)
    if target.exists() and not overwrite:
        raise UsageError(
            f"the run has a label set {name!r} already; choose another name with --name, or replace it with --overwrite"
        )
    if not opened.manifest.finished:
        raise MonosemeError(
            f"{opened.path} is not finished; run its {opened.manifest.command} command again before labels are joined"
        )
    given = read_label_file(path, image, label, separator)
    names = given.images.dictionary_encode()
    texts, owners = _known(opened, by_number=given.column.lower() == "image_id")
    found = find_named(names.dictionary, texts, path, by_number=given.column.lower() == "image_id")

    of_row = np.asarray(pc.fill_null(names.indices, -1).to_numpy(), dtype=np.int64)
    text_of_row = np.append(found, -1)[of_row]  # a row without a name takes the last, which is none
    lost = np.flatnonzero(text_of_row < 0)
    if len(lost) == len(text_of_row):
        there = shown(texts[0].as_py()) if len(texts) else "nothing"
        raise UsageError(
            f"no row of {path} names an image of {opened.path}: the column {shown(given.column)} says "
            f"{_said(given.images, lost)}, the run {there}; name another column with --image"
        )
    text_of_label = text_of_row[given.rows]
    matched = text_of_label >= 0
    if not matched.any():
        raise UsageError(f"no image of {opened.path} gets a label from {path}; name another column with --label")
    image_ids, repeats = _images_of(text_of_label[matched], owners, len(texts))
    labels = given.labels.filter(pa.array(matched)).dictionary_encode()
    codes = np.repeat(np.asarray(labels.indices.to_numpy(), dtype=np.int64), repeats)
    joined = Labels.from_pairs(len(opened), image_ids, codes, labels.dictionary.to_pylist())
    write_set(target, joined, path.name, opened.manifest.images["digest"])
    example = _said(given.images, lost) if len(lost) else None
    return JoinedLabels(name, target, joined, len(of_row), len(lost), example)


def _stem(path: Path) -> str:
    """A file's name as the name of a label set."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")[:100]
    if not name:
        raise UsageError(f"the name of {path} cannot be that of a label set; choose one with --name")
    return check_name(name, "a label set")


def _known(run: Run, *, by_number: bool) -> tuple[pa.Array, tuple[IntArray, IntArray]]:
    """(T,) all texts by which images are known, and (text, image) pairs in order of the text."""
    count = len(run)
    if by_number:
        texts = pa.array(np.arange(count)).cast(pa.large_string())
        return texts, (np.arange(count), np.arange(count))
    facts = run.images(columns=["uri", "photograph", "digest"])
    chunks = [chunk.cast(pa.large_string()) for column in facts.columns for chunk in column.chunks]
    texts = pa.chunked_array(chunks, pa.large_string()).combine_chunks().dictionary_encode()
    codes = np.asarray(texts.indices.to_numpy(), dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    return texts.dictionary, (codes[order], np.tile(np.arange(count), len(facts.columns))[order])


def _images_of(texts: IntArray, owners: tuple[IntArray, IntArray], count: int) -> tuple[IntArray, IntArray]:
    """The images of each text one after the other, and (n,) how many each has."""
    starts = np.searchsorted(owners[0], np.arange(count + 1))
    repeats = np.diff(starts)[texts]
    within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return owners[1][np.repeat(starts[texts], repeats) + within], repeats


def _said(images: pa.Array, rows: IntArray) -> str:
    """What the first of some rows says, short."""
    first = next((text for text in images.take(pa.array(rows[:1000])).to_pylist() if text), "")
    return shown(first if len(first) <= 100 else first[:99] + "…")
