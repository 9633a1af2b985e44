"""The array of a layer: found in one file or in several that follow each other, its positions pooled as it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...base import UsageError, did_you_mean, digest_bytes, join_words
from ...images import shown
from ._files import FLOATS, ArrayFile, open_file, reading

Layout = Literal["NCHW", "NHWC", "NLC"]
_AXES = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}
_CHANNELS = {"NCHW": 1, "NHWC": 3, "NLC": 2}
_USUAL = {3: "NLC", 4: "NCHW"}
BLOCK_BYTES = 32 << 20
"""About how much of a layer is read at once."""


class LayerArray:
    """The (N, C) activations of a layer in files.

    rows, channels : N and C
    dtype : "float16" or "float32", as which the numbers are kept without loss (float64 is rounded)
    layout, pooling : of the positions; "NC" and "mean" where there are none
    """

    def __init__(
        self, files: Sequence[ArrayFile], key: str | None, pooling: str | None, layout: str | None, spec: str
    ) -> None:
        self.files = list(files)
        self.spec = spec
        self.key = _chosen_key(self.files[0], key)
        shapes, kinds = zip(*(_array_of(file, self.key) for file in self.files), strict=True)
        if different := [place for place, shape in enumerate(shapes) if shape[1:] != shapes[0][1:]]:
            first, other = self.files[0].path, self.files[different[0]].path
            raise UsageError(
                f"rows of {shown(other.name)} have shape {shapes[different[0]][1:]}, those of {shown(first.name)} "
                f"{shapes[0][1:]}; all parts of a layer need the same"
            )
        self._ends = np.cumsum([shape[0] for shape in shapes])
        self.rows = int(self._ends[-1])
        self.layout = _layout(shapes[0], pooling, layout, self.said)
        self.pooling = (pooling if self.layout != "NC" else None) or "mean"
        self.channels = shapes[0][_CHANNELS.get(self.layout, 1)]
        if not self.rows or not self.channels or 0 in shapes[0][1:]:
            raise UsageError(f"{self.said} has shape {(self.rows, *shapes[0][1:])}: there are no embeddings in it")
        self.dtype = "float16" if set(kinds) == {"float16"} else "float32"
        self.block = max(1, min(2048, BLOCK_BYTES // (4 * math.prod(shapes[0][1:]))))
        """Rows to read at once."""
        self._held: tuple[int, npt.NDArray[np.float32]] = (-1, np.empty((0, self.channels), np.float32))

    @property
    def said(self) -> str:
        """The array's name in sentences."""
        where = shown(self.spec) if self.spec else "the array"
        return f"{shown(self.key)} of {where}" if self.key else where

    def take(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Ascending rows (n, C), pooled; read by whole blocks, of which the last is kept."""
        wanted = np.asarray(rows, dtype=np.int64)
        parts = []
        for number in np.unique(wanted // self.block).tolist():
            if self._held[0] != number:
                self._held = (-1, self._held[1][:0])  # let go before the next is read
                self._held = (number, self._read(number * self.block, min((number + 1) * self.block, self.rows)))
            parts.append(self._held[1][wanted[wanted // self.block == number] - number * self.block])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        parts = []
        for number, file in enumerate(self.files):
            begin = int(self._ends[number - 1]) if number else 0
            low, high = max(start, begin), min(stop, int(self._ends[number]))
            if low < high:
                with reading(file.path):
                    parts.append(self._pooled(file.read(self.key, low - begin, high - begin)))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def describe(self) -> dict[str, Any]:
        """Where the numbers come from, as plain JSON values."""
        digests = [file.digest() for file in self.files]
        return {
            "file": Path(self.spec).name or "an array",
            "key": self.key,
            "digest": digests[0] if len(digests) == 1 else digest_bytes(*map(str.encode, digests)),
        }

    def _pooled(self, piece: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told of with its image's name
            values = np.asarray(piece, dtype=np.float32)
            if self.layout == "NC":
                return values
            axes = _AXES[self.layout]
            return np.asarray(values.max(axes) if self.pooling == "max" else values.mean(axes))


class GivenArray(ArrayFile):
    """An array in memory, or mapped."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        super().__init__(Path("array"))
        self._array = array

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        return {"": (self._array.shape, self._array.dtype.name)}

    def read(self, key: str, start: int, stop: int) -> npt.NDArray[Any]:
        return self._array[start:stop]

    def digest(self) -> str:
        first, last = self._array[:64], self._array[-64:]
        return digest_bytes(str(self._array.shape).encode(), first.tobytes(), last.tobytes())


def open_layer(source: object, key: str | None, pooling: str | None, layout: str | None) -> LayerArray:
    """The array that a path, a folder, a pattern or an array in memory means.

    Raises
    ------
    UsageError
        There is none, there are several to choose from, or its shape or type will not do.
    MonosemeError
        A file is damaged.
    """
    if isinstance(source, (str, PathLike)):
        paths = _paths(Path(source).expanduser())
        with reading(Path(source)):
            return LayerArray([open_file(path) for path in paths], key, pooling, layout, str(source))
    if hasattr(source, "detach"):  # a torch tensor, told without importing torch
        source = source.detach().cpu()
    try:
        array = np.asarray(source)
    except (TypeError, ValueError) as error:
        raise UsageError(f"embeddings are a file or an array, not a {type(source).__name__}") from error
    return LayerArray([GivenArray(array)], key, pooling, layout, "")


def _paths(path: Path) -> list[Path]:
    """A file, or those of a folder or pattern in the order of the numbers in their names."""
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [each for each in path.iterdir() if each.is_file() and each.name[0] != "."]
        found = [each for each in found if each.suffix.lower() in (".npy", ".safetensors", ".parquet", ".h5", ".hdf5")]
        if not found:
            raise UsageError(f"{shown(path)} holds no .npy, .safetensors, .parquet or .h5 file")
    elif re.search(r"[*?\[]", path.name):
        found = [each for each in path.parent.glob(path.name) if each.is_file()]
        if not found:
            raise UsageError(f"nothing matches {shown(path)}; quote the pattern on a command line")
    else:
        return [path]  # told of when it is opened
    return sorted(found, key=lambda each: [(len(part), part) if part.isdigit() else (0, part) for part in _parts(each)])


def _parts(path: Path) -> list[str]:
    return re.split(r"(\d+)", path.name)


def _chosen_key(file: ArrayFile, key: str | None) -> str:
    arrays = {name: shape for name, (shape, kind) in file.arrays().items() if kind in FLOATS}
    if key is not None and key in file.arrays():
        return key
    where = shown(file.path)
    listed = join_words([f"{shown(name)} {_times(shape)}" for name, shape in list(arrays.items())[:12]], "and")
    if key is not None:
        has = f"only {listed}" if any(arrays) else "which has no keys"
        raise UsageError(f"{where} has no array {shown(key)}, {has}{did_you_mean(key, arrays)}")
    likely = [name for name, shape in arrays.items() if len(shape) > 1]
    if len(likely) == 1:
        return likely[0]
    if likely:
        raise UsageError(f"{where} holds several arrays ({listed}); name one with --layer NAME=KEY")
    if len(arrays) == 1:
        return next(iter(arrays))
    others = file.arrays()
    if "" in others:
        return ""  # of a type that is refused with its name
    has = f"only {join_words([f'{shown(name)} of {kind}' for name, (_, kind) in list(others.items())[:8]], 'and')}"
    raise UsageError(
        f"{where} holds no array of floating-point numbers with a row an image, {has if others else 'nothing'}"
    )


def _times(shape: Sequence[int]) -> str:
    return "(" + " x ".join(map(str, shape)) + ")"


def _array_of(file: ArrayFile, key: str) -> tuple[tuple[int, ...], str]:
    found = file.arrays().get(key)
    if found is None:
        raise UsageError(f"{shown(file.path)} has no array {shown(key)}, which the first part has")
    shape, kind = found
    if kind not in FLOATS:
        raise UsageError(
            f"{shown(file.path)} holds {kind}, but embeddings are floating-point numbers; convert them to float32"
        )
    return shape, kind


def _layout(shape: tuple[int, ...], pooling: str | None, layout: str | None, said: str) -> str:
    """The layout of positions, or "NC" without any."""
    if len(shape) == 2:
        if pooling is not None:
            raise UsageError(f"{said} has shape {shape}: there are no positions to pool; leave out --pooling")
        return "NC"
    if len(shape) not in _USUAL:
        raise UsageError(f"{said} has shape {shape}; embeddings are images x neurons, maps or tokens")
    found = layout or _USUAL[len(shape)]
    if found not in _AXES or len(_AXES[found]) + 2 != len(shape):
        raise UsageError(f"{said} has shape {shape}, which cannot be {found}; maps are NCHW or NHWC, tokens NLC")
    if pooling not in ("mean", "max"):
        what = "maps" if len(shape) == 4 else "tokens"
        raise UsageError(
            f"{said} has shape {shape}: {what} ({found}), of which each image needs one vector; pool them with --pooling mean "
            "or --pooling max"
        )
    return found
