"""The photographs that come inside scikit-image and scikit-learn: enough to try things on, with nothing to download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..base import MissingExtraError
from ._files import FileSource
from ._source import ImageSource

PREFIX = "samples:"

FOLDERS = {"skimage": ("data",), "sklearn": ("datasets", "images")}

PHOTOGRAPHS = {
    "skimage": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "cell.png",
        "chelsea.png",
        "clock_motion.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "page.png",
        "retina.jpg",
        "rocket.jpg",
        "text.png",
    ),
    "sklearn": ("china.jpg", "flower.jpg"),
}
"""Without the drawings, the crops of other pictures, and the other half of the stereo pair."""


def photographs() -> ImageSource:
    """About 20 photographs, in order of their names; their uris are ``skimage/astronaut.png`` and so on.

    Raises
    ------
    MissingExtraError
        scikit-image is not installed.

    Examples
    --------
    >>> source = photographs()
    >>> source.entry(0).uri, source.load(0).image.size
    ('skimage/astronaut.png', (512, 512))
    """
    paths = {f"{package}/{name}": path for package in PHOTOGRAPHS for name, path in _existing(package)}
    if not any(uri.startswith("skimage/") for uri in paths):
        raise MissingExtraError("the sample photographs", package="scikit-image", extra="demo")
    return _Photographs(paths)


class _Photographs(FileSource):
    """Files of several packages under one name."""

    def __init__(self, paths: dict[str, Path]) -> None:
        uris = sorted(paths)
        super().__init__(PREFIX, Path("/"), [paths[uri].as_posix() for uri in uris], labels=[None] * len(uris))
        self._uris = uris


def _existing(package: str) -> list[tuple[str, Path]]:
    """Name and path of the photographs of a package, found without importing it."""
    spec = importlib.util.find_spec(package)
    roots = (
        [Path(place).joinpath(*FOLDERS[package]) for place in (spec.submodule_search_locations or ())] if spec else []
    )
    candidates = [(name, root / name) for root in roots for name in PHOTOGRAPHS[package]]
    return [(name, path) for name, path in candidates if path.is_file()]
