import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monoseme.images import ImageSource

Encode = Callable[..., bytes]
Tar = Callable[[Path, dict[str, bytes]], Path]


def _encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this build of Pillow cannot write {kind}")
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def encode() -> Encode:
    """An image as the bytes of a file."""
    return _encode


@pytest.fixture(scope="session")
def noise() -> Callable[..., Image.Image]:
    """A random RGB image: (seed, width, height)."""

    def make(seed: int = 0, width: int = 24, height: int = 16) -> Image.Image:
        values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(values)

    return make


@pytest.fixture(scope="session")
def png(noise: Callable[..., Image.Image]) -> Callable[..., bytes]:
    """The bytes of a random PNG: (seed, width, height)."""
    return lambda *seed_and_size: _encode(noise(*seed_and_size))


@pytest.fixture(scope="session")
def fill() -> Callable[[Path, dict[str, bytes]], Path]:
    """Write files below a folder, by their POSIX names."""

    def write(root: Path, files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    return write


@pytest.fixture(scope="session")
def pack() -> Tar:
    """Write a tar file with members in the order given."""

    def write(path: Path, members: dict[str, bytes]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return path

    return write


@pytest.fixture(scope="session")
def uris() -> Callable[[ImageSource], list[str]]:
    """The uris of a source in order."""
    return lambda source: [source.entry(index).uri for index in range(len(source))]


@pytest.fixture(scope="session")
def labels() -> Callable[[ImageSource], list[str | None]]:
    """The labels of a source in order."""
    return lambda source: [source.entry(index).label for index in range(len(source))]
