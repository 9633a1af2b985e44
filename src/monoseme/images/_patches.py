"""Patches: random square crops at many scales, the same for a photograph whatever else is in the listing."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base import Reporter, Silent, digest_bytes
from ._decode import BadImage, pillow_judges
from ._options import PatchOptions
from ._source import Entry, ImageSource, Loaded, pixel_digest

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[int, int, int]
"""Left, top and side of a square, in upright pixels."""

TRIES = 10
"""How often a box is drawn again because it is flat or there already."""

THUMBNAIL = 64
"""Flatness is judged on the image reduced to about this short side."""


class PatchSource(ImageSource):
    """Patches of the images of another source; those of one image follow one another.

    Boxes are drawn when the source is opened: from the headers of the images if flat patches are allowed, else from the
    images decoded at reduced scale. An image that cannot be used keeps one entry, which says why when it is loaded.

    Parameters
    ----------
    spec
        What the user wrote.
    source
        The images to cut from.
    options
        How.
    progress
        Is told of each image looked at.
    """

    def __init__(
        self, spec: str, source: ImageSource, options: PatchOptions, *, progress: Reporter | None = None
    ) -> None:
        self.spec, self.in_process = spec, source.in_process
        self._source = source
        self._reasons: dict[int, str] = {}
        self._uris: list[str] = []
        self._groups: list[str] = []
        boxes: list[npt.NDArray[np.int32]] = []
        sizes: list[tuple[int, int]] = []
        with (progress or Silent()).task("choosing patches", len(source), "images") as task:
            for index in range(len(source)):
                entry = source.entry(index)
                try:
                    size, is_flat = _looked_at(source, index, options.flat)
                    chosen = draw_boxes(entry.uri, size, options, is_flat)
                except BadImage as bad:
                    size, chosen = (0, 0), [(0, 0, 0)]
                    self._reasons[index] = str(bad)
                self._uris.append(entry.uri)
                self._groups.append(entry.group)
                boxes.append(np.array(chosen, dtype="<i4"))
                sizes.append(size)
                task.advance()
        self._boxes = np.concatenate(boxes)
        self._sizes = np.array(sizes, dtype="<i4")
        self._ends = np.cumsum([len(chosen) for chosen in boxes], dtype="<i8")
        self._labels = _stems(self._uris)
        self._recent: tuple[tuple[int, Image.Image], ...] = ()

    def __len__(self) -> int:
        return len(self._boxes)

    def entry(self, index: int) -> Entry:
        index = range(len(self))[index]
        owner = self._owner(index)
        uri = self._uris[owner]
        if owner not in self._reasons:
            uri += "@{},{},{}".format(*self._boxes[index])
        return Entry(uri, self._labels[owner], self._groups[owner])

    def load(self, index: int, at_least: int | None = None) -> Loaded:
        """As `ImageSource.load`, but never at reduced scale: the digest of a patch is of its pixels."""
        index = range(len(self))[index]
        owner = self._owner(index)
        if owner in self._reasons:
            raise BadImage(self._reasons[owner])
        left, top, side = self._boxes[index].tolist()
        image = self._decoded(owner)
        with pillow_judges():
            patch = image.crop((left, top, left + side, top + side))
        return Loaded(patch, pixel_digest(patch), side, side)

    def size(self, index: int) -> tuple[int, int]:
        index = range(len(self))[index]
        if (owner := self._owner(index)) in self._reasons:
            raise BadImage(self._reasons[owner])
        side = int(self._boxes[index, 2])
        return side, side

    def digest(self) -> str:
        return digest_bytes(self._source.digest().encode(), self._ends.tobytes(), self._boxes.tobytes())

    def close(self) -> None:
        self._recent = ()
        self._source.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": ()}

    def _owner(self, index: int) -> int:
        return int(np.searchsorted(self._ends, index, side="right"))

    def _decoded(self, owner: int) -> Image.Image:
        """The image that a patch is from; the last two are kept, since patches come image by image."""
        for number, image in self._recent:
            if number == owner:
                return image
        image = self._source.load(owner).image
        if image.size != tuple(self._sizes[owner].tolist()):
            raise BadImage("its size changed since it was listed")
        self._recent = (*self._recent[-1:], (owner, image))
        return image


def draw_boxes(
    uri: str, size: tuple[int, int], options: PatchOptions, is_flat: Callable[[Box], bool] = lambda box: False
) -> list[Box]:
    """Boxes inside an image of a size, drawn from a generator seeded by the image's uri alone.

    The first boxes do not depend on how many follow. Sides are uniform in logarithm between `options.min` and
    `options.max` of the short side. A box that is flat is drawn again a few times; so is one that there is already, and
    left out if that does not help, so that a tiny image gives fewer.

    >>> draw_boxes("a.jpg", (640, 480), PatchOptions(per_image=2, seed=1)) == draw_boxes(
    ...     "a.jpg", (640, 480), PatchOptions(per_image=3, seed=1)
    ... )[:2]
    True
    """
    generator = random.Random(f"{options.seed}:{uri}")  # `random()` of a seeded generator is the same on every Python
    boxes: dict[Box, None] = {}
    for _ in range(options.per_image):
        for _ in range(TRIES):
            box = _draw(generator, size, options)
            if box not in boxes and not is_flat(box):
                break
        boxes[box] = None
    return list(boxes)


def _draw(generator: random.Random, size: tuple[int, int], options: PatchOptions) -> Box:
    short = min(size)
    low, high = math.log(options.min), math.log(options.max)
    side = min(max(round(short * math.exp(low + (high - low) * generator.random())), 1), short)
    left, top = (int(generator.random() * (length - side + 1)) for length in size)
    return left, top, side


def _looked_at(source: ImageSource, index: int, flat: float) -> tuple[tuple[int, int], Callable[[Box], bool]]:
    """Upright size of an image, and a test for flat boxes in it."""
    if flat <= 0:
        return source.size(index), lambda box: False
    loaded = source.load(index, at_least=THUMBNAIL)
    size = loaded.width, loaded.height
    spread = Spread(loaded.image, size)
    return size, lambda box: spread(box) < flat


class Spread:
    """Standard deviation of the values (0 to 255) within a box, over its pixels and averaged over its channels.

    Sums over boxes come from a summed-area table of the image at reduced scale, so that a box costs the same at any size.
    """

    def __init__(self, image: Image.Image, size: tuple[int, int]) -> None:
        small = image.reduce(max(1, min(image.size) // THUMBNAIL))
        pixels = np.asarray(small, dtype=np.float64)
        layers = np.concatenate([pixels, np.square(pixels).sum(axis=2, keepdims=True)], axis=2)
        self._sums = np.pad(layers.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0), (0, 0)))
        self._across, self._down = small.width / size[0], small.height / size[1]

    def __call__(self, box: Box) -> float:
        left, top, side = box
        x, after_x = math.floor(left * self._across), math.ceil((left + side) * self._across)
        y, after_y = math.floor(top * self._down), math.ceil((top + side) * self._down)
        after_x, after_y = min(after_x, self._sums.shape[1] - 1), min(after_y, self._sums.shape[0] - 1)
        sums = self._sums[after_y, after_x] - self._sums[y, after_x] - self._sums[after_y, x] + self._sums[y, x]
        means = sums / ((after_x - x) * (after_y - y))
        return math.sqrt(max(float(means[3] - np.square(means[:3]).sum()) / 3, 0.0))


def _stems(uris: list[str]) -> list[str]:
    """Each uri without its suffix, where that still tells it from the others."""
    stems = [str(PurePosixPath(uri).with_suffix("")) if PurePosixPath(uri).suffix else uri for uri in uris]
    count = Counter(stems)
    return [stem if count[stem] == 1 else uri for stem, uri in zip(stems, uris, strict=True)]
