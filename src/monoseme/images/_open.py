"""From what the user wrote to a source of images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..base import Reporter, UsageError
from . import _huggingface, _options, _samples
from ._decode import MAX_PIXELS, BadImage
from ._files import FileSource
from ._find import WILDCARDS, Found, by_pattern, exists, in_folder, missing
from ._lists import LIST_SUFFIXES, open_list
from ._names import kind_of, shown
from ._objects import DatasetSource
from ._options import PatchOptions
from ._parquet import ParquetSource
from ._patches import PatchSource
from ._source import ImageSource
from ._tar import TarSource, compressed_tar

UNCOMPRESS = {".gz": "gunzip", ".tgz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}


def open_images(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | ImageSource | object,
    *,
    seed: int = 0,
    patches_per_image: int | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Reporter | None = None,
) -> ImageSource:
    """Open images, in a fixed order, from nearly anything that holds them.

    ============================================  ====================================================================
    source                                        images
    ============================================  ====================================================================
    ``"photos/"``                                 every image below the folder; the label is the first folder below it
    ``"photos/**/*.jpg"``, ``"photos/{a,b}/*"``   those that match
    ``"list.txt"``, ``.csv``, ``.tsv``            those listed: a path a line and, after a tab, a label; or a table
                                                  with columns ``path`` and ``label``
    ``"photo.jpg"``                               one
    ``"shards-{000..009}.tar"``, ``"shards/"``    those in tar files: of class folders, or WebDataset shards
    ``"train.parquet"``, ``"parquets/"``          the rows of Parquet files
    ``"hf:name:split"``, ``"hf:/saved/dataset"``  the rows of a Hugging Face data set
    ``"samples:"``                                `photographs`
    ``"patches:SPEC?per_image=64&seed=0"``        random crops of any of these; further options: ``min`` and ``max``
                                                  (side, as a part of the short side) and ``flat`` (least standard
                                                  deviation)
    a list of paths                               these, in this order
    a Dataset (torch, Hugging Face, or alike)     its items: an image, (image, label), or a mapping with both
    ============================================  ====================================================================

    Parameters
    ----------
    source
        See above. An `ImageSource` is returned as it is.
    seed
        Of patches, where the spec does not say.
    patches_per_image
        When given, cut this many patches from each image of any source.
    max_pixels
        Images that declare more are refused when they are loaded.
    progress
        Is told of slow listings (tar headers, patches).

    Raises
    ------
    UsageError
        There is no such thing, or the spec is wrong.
    MonosemeError
        There is nothing in it, or it cannot be read.

    Examples
    --------
    >>> source = open_images("patches:samples:?per_image=3&seed=1")
    >>> len(source), source.entry(0).label, source.entry(0).group
    (60, 'skimage/astronaut', 'skimage/astronaut.png')
    >>> source.load(0).image.mode
    'RGB'
    """
    options = PatchOptions(seed=seed) if patches_per_image is None else PatchOptions(patches_per_image, seed=seed)
    if isinstance(source, str) and source.startswith(_options.PREFIX):
        inner, options = _options.parsed(source, options)
        if inner.startswith(_options.PREFIX):
            raise UsageError(f"{shown(source)} asks for patches of patches; write {_options.PREFIX} once")
        return PatchSource(source, _opened(inner, max_pixels, progress), options, progress=progress)
    opened = _opened(source, max_pixels, progress)
    return opened if patches_per_image is None else PatchSource(opened.spec, opened, options, progress=progress)


def _opened(source: object, max_pixels: int, progress: Reporter | None) -> ImageSource:
    if isinstance(source, ImageSource):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _from_text(os.fspath(source), max_pixels, progress)
    if isinstance(source, (list, tuple)) and all(isinstance(item, (str, os.PathLike)) for item in source):
        return _from_paths([os.fspath(item) for item in source], max_pixels, progress)
    if _huggingface.is_dataset(source):
        return _huggingface.open_dataset(source, max_pixels)
    return DatasetSource(source, max_pixels=max_pixels)


def _from_text(spec: str, max_pixels: int, progress: Reporter | None) -> ImageSource:
    if not spec.strip():
        raise UsageError("no images are named; give a folder, a file or a pattern")
    if spec == _samples.PREFIX:
        return _samples.photographs()
    if spec.startswith(_huggingface.PREFIX):
        return _huggingface.open_hub(spec, max_pixels)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", spec):
        raise UsageError(f"{shown(spec)} is not on this machine; download it and give its path")
    path = Path(spec).expanduser()
    if not exists(path):
        if WILDCARDS.search(spec):
            return _from_found(spec, by_pattern(spec), max_pixels, progress)
        raise missing(path)
    if path.is_dir():
        return _from_found(spec, in_folder(path), max_pixels, progress)
    return _from_file(spec, path, max_pixels, progress)


def _from_found(spec: str, found: Found, max_pixels: int, progress: Reporter | None) -> ImageSource:
    """Images if there are any, else tar files, else Parquet files."""
    if images := found.files.get("image"):
        names, sizes = zip(*images, strict=True)
        return FileSource(spec, found.root, names, sizes=sizes, max_pixels=max_pixels)
    for kind in ("tar", "parquet"):
        if files := found.files.get(kind):
            return _from_archives(kind, spec, found.root, [name for name, _ in files], max_pixels, progress)
    raise found.nothing(spec)


def _from_archives(
    kind: str, spec: str, root: Path, names: Sequence[str], max_pixels: int, progress: Reporter | None
) -> ImageSource:
    if kind == "tar":
        return TarSource(spec, root, names, max_pixels=max_pixels, progress=progress)
    return ParquetSource(spec, root, names, max_pixels=max_pixels)


def _from_file(spec: str, path: Path, max_pixels: int, progress: Reporter | None) -> ImageSource:
    kind, suffixes = kind_of(path.name), [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in LIST_SUFFIXES:
        return open_list(spec, path, max_pixels)
    if kind in ("tar", "parquet"):
        return _from_archives(kind, spec, path.parent, [path.name], max_pixels, progress)
    if suffixes[-1:] == [".tgz"] or (suffixes[-2:-1] == [".tar"] and suffixes[-1] in UNCOMPRESS):
        raise compressed_tar(path, UNCOMPRESS[suffixes[-1]])
    source = FileSource(spec, path.parent, [path.name], max_pixels=max_pixels)
    if kind != "image":
        try:
            source.size(0)
        except BadImage as bad:
            raise UsageError(
                f"{shown(path)} cannot be used as images ({bad}); give an image, a folder, a list (.txt, .csv, .tsv), "
                "a .tar or a .parquet"
            ) from bad
    return source


def _from_paths(paths: list[str], max_pixels: int, progress: Reporter | None) -> ImageSource:
    """Files named one by one: images in the order given, or the tar or Parquet files of one data set."""
    if not paths:
        raise UsageError("no images are named: the list of paths is empty")
    files = [Path(path).expanduser().absolute() for path in paths]
    if folder := next((path for path in files if path.is_dir()), None):
        raise UsageError(f"{shown(folder)} is a folder, and a list of paths must name files; give the folder by itself")
    if not any(map(exists, files)):
        raise missing(Path(paths[0]))
    root = Path(os.path.commonpath([path.parent for path in files]))
    names = [path.relative_to(root).as_posix() for path in files]
    spec = f"{len(paths):,} files in {root}"
    for kind in ("tar", "parquet"):
        if all(kind_of(name) == kind for name in names):
            return _from_archives(kind, spec, root, names, max_pixels, progress)
    return FileSource(spec, root, names, max_pixels=max_pixels)
