"""Hugging Face data sets: from the hub, saved on disk, or an object that is already open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base import MissingExtraError, MonosemeError, UsageError, did_you_mean, digest_text
from ._columns import image_column, label_column, label_text
from ._decode import MAX_PIXELS, BadImage
from ._files import file_size, reading_file
from ._names import shown, uri_of
from ._source import EncodedSource, Entry

PREFIX = "hf:"


class HuggingFaceSource(EncodedSource):
    """The rows of an open `datasets.Dataset`; images are taken as encoded bytes, so that digests are of these.

    Parameters
    ----------
    spec
        What the user wrote.
    dataset
        The data set.
    name
        The uris are ``name#row``.
    max_pixels
        The limit for decoding.
    """

    def __init__(self, spec: str, dataset: Any, name: str, *, max_pixels: int = MAX_PIXELS) -> None:
        datasets = _datasets()
        self.spec, self.max_pixels, self._name = spec, max_pixels, uri_of(name)
        if not len(dataset):
            raise MonosemeError(f"no images in {shown(spec)}: the data set has no rows")
        features = dataset.features
        images = [column for column, feature in features.items() if _may_hold_images(datasets, feature)]
        self._column = image_column(images, list(features), shown(spec))
        self._labels = _labels(datasets, dataset)
        self._files = [Path(file["filename"]) for file in dataset.cache_files]
        rows = dataset.with_format(None).select_columns([self._column])
        if isinstance(features[self._column], datasets.Image):
            rows = rows.cast_column(self._column, datasets.Image(decode=False))
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def entry(self, index: int) -> Entry:
        index = range(len(self))[index]
        label = None if self._labels is None else self._labels[index]
        return Entry(self._uri(index), label, self._uri(index))

    def _uri(self, index: int) -> str:
        return f"{self._name}#{index}"

    def digest(self) -> str:
        return digest_text(super().digest(), *(str(file_size(path)) for path in self._files))

    def read(self, index: int) -> bytes:
        index = range(len(self))[index]
        try:
            value = self._rows[index][self._column]
        except Exception as error:  # Arrow has many errors for damaged files
            raise BadImage("its part of the data set is damaged or vanished") from error
        if isinstance(value, dict):
            data, path = value.get("bytes"), value.get("path")
            if data is None and path and "::" not in path:
                with reading_file("no such file, and the data set does not hold its bytes"):
                    return Path(path).read_bytes()
            value = data
        if value is None:
            raise BadImage("the row has no bytes of an image")
        return bytes(value)


def open_hub(spec: str, max_pixels: int) -> HuggingFaceSource:
    """The data set that ``hf:name[:split]`` or ``hf:/path/to/saved/dataset[:split]`` names; code in it is never run.

    Raises
    ------
    MonosemeError
        It cannot be loaded; a `UsageError` if it has several splits and none is named, or has no images.
    """
    name, split, saved = _parsed(spec)
    datasets = _datasets()
    try:
        found = datasets.load_from_disk(name) if saved else _from_hub(datasets, name, split, spec)
    except MonosemeError:
        raise
    except Exception as error:  # of the file system, the network, the hub or the format
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise MonosemeError(f"cannot load the Hugging Face data set {shown(name)}: {what}") from error
    if isinstance(found, dict):
        found = found[_split_of(found, split, spec)]
    elif saved and split and str(found.split) != split:
        raise UsageError(f"{shown(name)} was saved without splits; write {PREFIX}{shown(name)}")
    called = Path(name).resolve().name if saved else name
    return HuggingFaceSource(spec, found, f"{PREFIX}{called}" + (f":{split}" if split else ""), max_pixels=max_pixels)


def is_dataset(value: object) -> bool:
    """Whether an object is of the `datasets` package, told without importing it."""
    modules = {f"datasets.{module}" for module in ("arrow_dataset", "dataset_dict", "iterable_dataset")}
    return any(kind.__module__ in modules for kind in type(value).__mro__)  # a user's module may be called datasets too


def open_dataset(dataset: Any, max_pixels: int) -> HuggingFaceSource:
    """A source over an open `datasets.Dataset`.

    Raises
    ------
    UsageError
        It is streamed, or a dictionary of splits.
    """
    if isinstance(dataset, dict):
        raise UsageError(f"give one split of the data set, such as dataset[{next(iter(dataset), 'train')!r}]")
    if not hasattr(dataset, "__len__"):
        raise UsageError("a streamed Hugging Face data set has no length; load it without streaming")
    return HuggingFaceSource("a Hugging Face data set", dataset, "dataset", max_pixels=max_pixels)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("reading Hugging Face data sets", package="datasets", extra="datasets") from error
    return datasets


def _parsed(spec: str) -> tuple[str, str, bool]:
    """Name, split (empty if none) and whether it is a folder on disk."""
    rest = spec.removeprefix(PREFIX)
    head, _, tail = rest.rpartition(":")
    for name, split in ((rest, ""), (head, tail)):
        if name and Path(name).is_dir():
            return name, split, True
    name, _, split = rest.partition(":")
    if not name:
        raise UsageError(f"{shown(spec)} names no data set; write {PREFIX}name or {PREFIX}name:split")
    if name.startswith(("/", ".", "~")):
        raise UsageError(f"there is no saved data set at {shown(name)}; check the path")
    return name, split, False


def _from_hub(datasets: Any, name: str, split: str, spec: str) -> Any:
    if not split:  # ask before downloading every split
        split = _split_of(datasets.get_dataset_split_names(name), "", spec)
    return datasets.load_dataset(name, split=split)


def _split_of(splits: Iterable[str], wanted: str, spec: str) -> str:
    known = [str(split) for split in splits]
    if wanted in known:
        return wanted
    if not wanted and len(known) == 1:
        return known[0]
    listed = ", ".join(map(shown, known)) or "none"
    if not wanted:
        raise UsageError(
            f"{shown(spec)} has several splits ({listed}); write {shown(spec)}:{known[0] if known else 'train'}"
        )
    raise UsageError(f"{shown(spec)} has no such split{did_you_mean(wanted, known) or f'; there are {listed}'}")


def _may_hold_images(datasets: Any, feature: Any) -> bool:
    if isinstance(feature, datasets.Image):
        return True
    if isinstance(feature, dict):
        return "bytes" in feature and _may_hold_images(datasets, feature["bytes"])
    return isinstance(feature, datasets.Value) and feature.dtype in ("binary", "large_binary")


def _labels(datasets: Any, dataset: Any) -> list[str | None] | None:
    def fits(feature: Any) -> bool:
        if isinstance(feature, datasets.ClassLabel):
            return True
        return isinstance(feature, datasets.Value) and feature.dtype.startswith(
            ("int", "uint", "string", "large_string")
        )

    column = label_column(name for name, feature in dataset.features.items() if fits(feature))
    if column is None:
        return None
    names = getattr(dataset.features[column], "names", None)
    return [label_text(value, names) for value in dataset.with_format(None)[column]]
