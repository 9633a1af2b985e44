"""The activations protocol: an (N, C) matrix of embeddings read in row blocks, from an array or from a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import UsageError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

BLOCK_ROWS = 2048
"""Rows a block when nothing else is asked for. Fixed, so that sums over blocks do not depend on the machine."""


@dataclass(frozen=True)
class Images:
    """What splitting needs to know of the N images behind the rows.

    digests : (N,) bytes, content digest of each image in hex, or None when unknown.
    groups : (N,) number of the photograph each row was cut from, or None when every row is its own photograph.
    """

    digests: npt.NDArray[np.bytes_] | None = None
    groups: IntArray | None = None

    @cached_property
    def first_copies(self) -> BoolArray | None:
        """(N,) False for every image that repeats an earlier one; None when all are different or nothing is known."""
        if self.digests is None:
            return None
        earliest = np.unique(self.digests, return_index=True)[1]
        if len(earliest) == len(self.digests):
            return None
        first: BoolArray = np.zeros(len(self.digests), dtype=np.bool_)
        first[earliest] = True
        return first


class Activations(ABC):
    """A lazy (N, C) matrix: row i is the embedding of image i at a layer.

    Index it with row numbers to get those rows, or walk over it with `blocks`.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    name: str = "array"
    """The layer, or "array"."""
    run: Path | None = None
    """Folder of the run that holds them, where one does."""

    @abstractmethod
    def __getitem__(self, rows: npt.ArrayLike | slice) -> FloatArray:
        """Rows by number, in the order given, repeats allowed: (n, C)."""

    def take(self, rows: IntArray, out: npt.NDArray[np.float32]) -> None:
        """Read rows (n,) into `out` (n, C), whose memory is the caller's to use again."""
        out[...] = self[rows]

    @abstractmethod
    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """(number of the first row, block) from the first row to the last; each block has `rows` rows but the last."""

    def images(self) -> Images:
        """Digests and photographs of the images, where known."""
        return Images()

    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from, as plain JSON values, to be kept in what is made from them."""
        return {}

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("the activations must be read, so an array of them is always a copy")
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"<activations of {self.name}: {self.shape[0]:,} images x {self.shape[1]:,} neurons, {self.dtype}>"


class ArrayActivations(Activations):
    """Activations held in an array or a memory map.

    >>> acts = ArrayActivations(np.eye(3, dtype=np.float32))
    >>> acts.shape, acts[[2, 0]].tolist()
    ((3, 3), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    """

    def __init__(self, array: npt.NDArray[Any], name: str = "array", images: Images | None = None) -> None:
        if array.ndim != 2 or 0 in array.shape:
            raise UsageError(
                f"activations must be a matrix of images x neurons with at least one of each, not of shape {array.shape}; "
                "average feature maps over space first"
            )
        if array.dtype.kind != "f":
            raise UsageError(
                f"activations must be floating point, not {array.dtype}; convert them with .astype('float32')"
            )
        self._array = array
        self._images = images if images is not None else Images()
        self.shape = (array.shape[0], array.shape[1])
        self.dtype = array.dtype
        self.name = name

    def __getitem__(self, rows: npt.ArrayLike | slice) -> FloatArray:
        if isinstance(rows, slice):
            return self._array[rows]
        numbers = np.asarray(rows)
        chosen: FloatArray = self._array[numbers if numbers.size else numbers.astype(np.int64)]
        return chosen

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        for start in range(0, self.shape[0], rows):
            yield start, self._array[start : start + rows]

    def take(self, rows: IntArray, out: npt.NDArray[np.float32]) -> None:
        if self.dtype == np.float32:
            np.take(self._array, rows, axis=0, out=out, mode="clip")  # "raise" would copy through a buffer
        else:
            out[...] = self._array[rows]

    def images(self) -> Images:
        return self._images


def as_activations(source: object) -> Activations:
    """Whatever holds an (N, C) matrix as `Activations`: an array, a memory map, a torch tensor, or activations of a run.

    Raises
    ------
    UsageError
        It is not a floating-point matrix.
    """
    if isinstance(source, Activations):
        return source
    if hasattr(source, "detach"):  # a torch tensor, told without importing torch
        tensor = source.detach().cpu()
        source = (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    if isinstance(source, str) or hasattr(source, "activations"):
        raise UsageError("activations are asked for, not a run; give run.activations(layer)")
    try:
        array = source if isinstance(source, np.ndarray) else np.asarray(source)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"cannot read activations from a {type(source).__name__}; give an (N, C) array or run.activations(layer)"
        ) from error
    return ArrayActivations(array)
