"""Files of arrays, told by their first bytes and read a slice of rows at a time: npy, safetensors, HDF5, Parquet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...base import MissingExtraError, MonosemeError, UsageError, did_you_mean, digest_bytes, first_line
from ...images import shown

if TYPE_CHECKING:
    import h5py

_ENDS = 1 << 20
_TENSORS = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}
FLOATS = {"float16", "float32", "float64", "bfloat16"}


class ArrayFile(ABC):
    """A file with one or more arrays of numbers, and maybe columns of text; what is read is a copy."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and number type of every array, by key; the only key of a file without keys is empty."""

    @abstractmethod
    def read(self, key: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows of an array, as float16, float32 or float64."""

    def texts(self) -> list[str]:
        """Keys of what may name images: columns of text or whole numbers."""
        return []

    def text(self, key: str) -> list[str | None]:
        """Such a column."""
        raise NotImplementedError(key)

    def digest(self) -> str:
        """Of the file's size and of its first and last mebibyte: whether it is the file that was read before."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            head = file.read(_ENDS)
            file.seek(max(size - _ENDS, 0))
            return digest_bytes(str(size).encode(), head, file.read(_ENDS))


class NpyFile(ArrayFile):
    """One array of NumPy, mapped anew for each slice, so that pages that were read do not add up."""

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        mapped = self._mapped()
        return {"": (mapped.shape, mapped.dtype.name if mapped.dtype.kind != "U" else "text")}

    def read(self, key: str, start: int, stop: int) -> npt.NDArray[Any]:
        piece = self._mapped()[start:stop]
        return np.array(piece, dtype=piece.dtype.newbyteorder("="))

    def texts(self) -> list[str]:
        return [""] if self._mapped().dtype.kind in "UiuS" else []

    def text(self, key: str) -> list[str | None]:
        return _as_texts(np.array(self._mapped()))

    def _mapped(self) -> npt.NDArray[Any]:
        with self.path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        if dtype.hasobject:
            raise UsageError(
                f"{shown(self.path)} holds Python objects, which only unpickling could read; save it as numbers of one shape"
            )
        if 0 in shape:
            return np.empty(shape, dtype)  # what has no bytes cannot be mapped
        mapped: npt.NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped


class SafetensorsFile(ArrayFile):
    """Tensors by name."""

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        with self._opened() as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
            return {
                key: (tuple(each.get_shape()), _TENSORS.get(each.get_dtype(), each.get_dtype().lower()))
                for key, each in slices.items()
            }

    def read(self, key: str, start: int, stop: int) -> npt.NDArray[Any]:
        with self._opened() as file:
            piece = file.get_slice(key)[start:stop]
            return np.array((piece.float() if "bfloat16" in str(piece.dtype) else piece).numpy())

    def _opened(self) -> Any:
        from safetensors import safe_open

        return safe_open(self.path, framework="pt")  # NumPy has no bfloat16


class Hdf5File(ArrayFile):
    """Data sets by path; what leads to another file is not followed."""

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        with self._opened() as file:
            return {
                key: (each.shape, each.dtype.name) for key, each in self._datasets(file) if each.dtype.kind in "fiu"
            }

    def read(self, key: str, start: int, stop: int) -> npt.NDArray[Any]:
        with self._opened() as file:
            piece = file[key][start:stop]
            return np.asarray(piece, dtype=piece.dtype.newbyteorder("="))

    def texts(self) -> list[str]:
        import h5py

        with self._opened() as file:
            return [
                key
                for key, each in self._datasets(file)
                if len(each.shape) == 1
                and (each.dtype.kind in "iuS" or h5py.check_string_dtype(each.dtype) is not None)
            ]

    def text(self, key: str) -> list[str | None]:
        import h5py

        with self._opened() as file:
            found = file[key]
            return _as_texts(found.asstr()[:] if h5py.check_string_dtype(found.dtype) is not None else found[:])

    @contextmanager
    def _opened(self) -> Iterator[h5py.File]:
        try:
            import h5py
        except ImportError:
            raise MissingExtraError("reading HDF5", package="h5py", extra="hdf5") from None
        with h5py.File(self.path, "r") as file:
            yield file

    def _datasets(self, file: h5py.File) -> list[tuple[str, h5py.Dataset]]:
        import h5py

        found: list[tuple[str, h5py.Dataset]] = []

        def visit(name: str, each: object) -> None:  # links to other files are not visited
            if isinstance(each, h5py.Dataset) and each.shape and not each.external and not each.is_virtual:
                found.append((name, each))

        file.visititems(visit)
        return found


def _as_texts(values: npt.NDArray[Any]) -> list[str | None]:
    if values.ndim != 1:
        raise UsageError(f"names of images must be one column, not of shape {values.shape}")
    return [
        each.decode("utf-8", "surrogateescape") if isinstance(each, bytes) else str(each) for each in values.tolist()
    ]


def open_file(path: Path) -> ArrayFile:
    """A file of arrays.

    Raises
    ------
    UsageError
        There is no such file, or it is of no kind that is read here.
    """
    from ._parquet import ParquetArrays

    if not path.is_file():
        near = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UsageError(f"there is no file {shown(path)}{did_you_mean(path.name, near)}")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise UsageError(f"{shown(path)} is empty; it holds no embeddings")
    if head.startswith(b"\x93NUMPY"):
        return NpyFile(path)
    if head.startswith(b"PAR1"):
        return ParquetArrays(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return Hdf5File(path)
    if head[8:9] == b"{":
        return SafetensorsFile(path)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        kind = "an archive of NumPy or a file of torch" if head.startswith(b"PK") else "a pickle"
        raise UsageError(f"{shown(path)} is {kind}, which is not read here; save the array as .npy or .safetensors")
    raise UsageError(f"{shown(path)} is no npy, safetensors, Parquet or HDF5 file; save the array as one of these")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file of arrays is read into a sentence."""
    try:
        yield
    except MonosemeError:
        raise
    except PermissionError as error:
        raise MonosemeError(f"{shown(path)} may not be read: permission denied") from error
    except MemoryError:
        raise
    except Exception as error:  # each library has errors of its own for damaged files
        raise MonosemeError(f"{shown(path)} is damaged ({shown(first_line(error, 160))}); write it again") from error
