"""Data sets in memory: anything with a length whose items are images, such as a torch Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base import UsageError, digest_bytes
from ._columns import IMAGE_COLUMNS, LABEL_COLUMNS, label_text
from ._decode import MAX_PIXELS, BadImage, decode, upright_rgb
from ._source import Entry, ImageSource, Loaded, pixel_digest

if TYPE_CHECKING:
    from PIL import Image


class DatasetSource(ImageSource):
    """The items of a data set: an image, an (image, label) pair or a mapping with an image and perhaps a label.

    Images may be Pillow's, encoded bytes, arrays (H, W), (H, W, 1 | 3 | 4) or tensors (1 | 3 | 4, H, W); of floats in
    [0, 1] or unsigned integers. Labels are read from `targets` where the data set has them, else from the items.

    Raises
    ------
    UsageError
        The object has no length or no items by number.
    """

    in_process = True

    def __init__(self, dataset: Any, *, max_pixels: int = MAX_PIXELS) -> None:
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise UsageError(
                f"cannot read images from a {type(dataset).__name__}; give a folder, a list of files, or a data set with "
                "a length and items by number"
            )
        self.spec = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
        self.max_pixels = max_pixels
        self._dataset = dataset
        self._length = len(dataset)
        if not self._length:
            raise UsageError(f"no images in the {type(dataset).__name__}: its length is 0")
        self._classes = _class_names(dataset)
        targets = getattr(dataset, "targets", None)
        self._targets = targets if targets is not None and _length(targets) == self._length else None
        self._recent: tuple[int, Any] | None = None

    def __len__(self) -> int:
        return self._length

    def entry(self, index: int) -> Entry:
        index = range(self._length)[index]
        return Entry(self._uri(index), self._label(index), self._uri(index))

    def _uri(self, index: int) -> str:
        return f"dataset#{index}"

    def _label(self, index: int) -> str | None:
        if self._targets is not None:
            return label_text(self._targets[index], self._classes)
        try:
            return label_text(_parts(self._item(index))[1], self._classes)
        except BadImage:
            return None

    def load(self, index: int, at_least: int | None = None) -> Loaded:
        index = range(self._length)[index]
        image, _ = _parts(self._item(index))
        if isinstance(image, bytes):
            decoded = decode(image, max_pixels=self.max_pixels, at_least=at_least)
            return Loaded(decoded.image, digest_bytes(image), decoded.width, decoded.height)
        rgb = upright_rgb(_as_pillow(image), max_pixels=self.max_pixels)
        return Loaded(rgb, pixel_digest(rgb), *rgb.size)

    def encoded(self, index: int) -> bytes | None:
        image, _ = _parts(self._item(range(self._length)[index]))
        return image if isinstance(image, bytes) else None

    def _item(self, index: int) -> Any:
        """The item; the last one is kept, since its label and its image are asked for in turn."""
        recent = self._recent
        if recent is not None and recent[0] == index:
            return recent[1]
        try:
            item = self._dataset[index]
        except Exception as error:  # the data set is the user's code: one bad item must not end the run
            said = " ".join(str(error).split())
            raise BadImage(
                f"the data set raised {type(error).__name__}" + (f": {said[:80]}" if said else "")
            ) from error
        self._recent = (index, item)
        return item


def _length(values: Any) -> int:
    try:
        return len(values)
    except TypeError:
        return -1


def _class_names(dataset: Any) -> list[str] | None:
    """The `classes` of a data set or of the one that it is a subset of."""
    for _ in range(8):
        names = getattr(dataset, "classes", None)
        if isinstance(names, (list, tuple)):
            return [str(name) for name in names]
        dataset = getattr(dataset, "dataset", None)
        if dataset is None:
            return None
    return None


def _parts(item: Any) -> tuple[Any, Any]:
    """Image and label of an item."""
    if isinstance(item, dict):
        image = next((item[name] for name in (*IMAGE_COLUMNS, "pixel_values") if name in item), None)
        if image is None:
            raise BadImage(f"the item has no image (keys: {', '.join(map(repr, list(item)[:8]))})")
        if isinstance(image, dict):  # Hugging Face's undecoded images
            image = image.get("bytes")
        return image, next((item[name] for name in LABEL_COLUMNS if name in item), None)
    if isinstance(item, (tuple, list)):
        if not item:
            raise BadImage("the item is empty")
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _as_pillow(value: Any) -> Image.Image:
    from PIL import Image

    if isinstance(value, Image.Image):
        return value
    tensor = hasattr(value, "detach")  # torch's, told without importing torch
    try:
        array = np.asarray(value.detach().cpu().numpy() if tensor else value)
    except Exception as error:
        raise BadImage(f"the item is a {type(value).__name__}, not an image") from error
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3):
        raise BadImage(f"the item is a {type(value).__name__} of shape {array.shape} and {array.dtype}, not an image")
    return Image.fromarray(_as_bytes(_channels_last(array, channels_first=tensor)))


def _channels_last(array: npt.NDArray[Any], channels_first: bool) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3 | 4); where both ends could be channels, `channels_first` decides."""
    if array.ndim == 3:
        fits_first, fits_last = array.shape[0] in (1, 3, 4), array.shape[2] in (1, 3, 4)
        if not fits_first and not fits_last:
            raise BadImage(f"an array of shape {array.shape} has no axis of 1, 3 or 4 channels")
        if fits_first and (channels_first or not fits_last):
            array = array.transpose(1, 2, 0)
        if array.shape[2] == 1:
            array = array[:, :, 0]
    if 0 in array.shape:
        raise BadImage(f"no pixels: an array of shape {array.shape}")
    return array


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Values as 0..255: floats and booleans from 0..1, 16-bit integers from 0..65535, others as they are."""
    kind = array.dtype.kind
    if array.dtype == np.uint16:
        array = (array.astype(np.uint32) + 128) // 257
    elif kind in "bf":
        least, most = float(array.min()), float(array.max())
        if not (least >= -1e-3 and most <= 1 + 1e-3):
            raise BadImage(
                f"its values go from {least:.3g} to {most:.3g}, not from 0 to 1; give the data set without normalisation"
            )
        array = np.rint(np.clip(array.astype(np.float32), 0, 1) * 255)
    elif int(array.min()) < 0 or int(array.max()) > 255:
        raise BadImage(f"its integers go from {array.min()} to {array.max()}, not from 0 to 255")
    return np.ascontiguousarray(array.astype(np.uint8))
