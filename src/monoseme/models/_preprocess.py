"""What is done to a picture before a model sees it.

Worker processes use this module, so it imports torch only where a tensor is made.
"""

from __future__ import annotations

import inspect
import math
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..base import MonosemeError, UsageError, did_you_mean, digest_text, join_words

if TYPE_CHECKING:
    import torch

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Preprocess:
    """Resize, centre crop, scale, normalise: the value a model sees is ``(pixel * scale - mean) / std``.

    Resizing is Pillow's, with antialiasing. Sizes and offsets follow torchvision to the pixel.

    Examples
    --------
    >>> preprocess = Preprocess(resize=8, crop=(6, 6), interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3)
    >>> pixels = preprocess.pixels(Image.new("RGB", (20, 10), "white"))
    >>> pixels.shape, pixels.dtype
    ((6, 6, 3), dtype('uint8'))
    >>> preprocess.tensor(pixels[None])[0, :, 0, 0].round(decimals=3)
    tensor([2., 2., 2.])
    """

    resize: int | tuple[int, int] | None
    """The short side in pixels, or (height, width) whatever the shape was, or None for no resizing."""
    crop: tuple[int, int] | None
    """(height, width) cut from the centre, padded with black where the picture is smaller; None for no crop."""
    interpolation: str
    """"nearest", "bilinear", "bicubic" or "lanczos"."""
    mean: tuple[float, ...]
    """One number a channel, in units of scaled pixels."""
    std: tuple[float, ...]
    """One number a channel, in units of scaled pixels."""
    scale: float = 1 / 255
    """What 8-bit pixels are multiplied by first."""
    channels: int = 3
    """3 for RGB, 1 for grey."""
    half_pixel: str = "even"
    """Where a crop goes whose margin is odd: "even" rounds half a pixel to even (torchvision, timm), "down" (transformers)."""

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise UsageError(
                f"unknown interpolation {self.interpolation!r}{did_you_mean(self.interpolation, _FILTERS)}"
                f" (known: {join_words(list(_FILTERS), 'and')})"
            )
        if self.channels not in _MODES:
            raise UsageError(f"a preprocessing has 1 channel (grey) or 3 (RGB), not {self.channels}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise UsageError(
                f"mean and std need one number for each of the {self.channels} channels, "
                f"but have {len(self.mean)} and {len(self.std)}"
            )
        if not all(value > 0 for value in (*self.std, self.scale)):
            raise UsageError(f"std and scale must be positive, not {self.std} and {self.scale}")
        sides = (*_sides(self.resize), *_sides(self.crop))
        if not all(side >= 1 for side in sides):
            raise UsageError(f"sizes must be at least 1 pixel, but resize is {self.resize} and crop is {self.crop}")
        if self.half_pixel not in ("even", "down"):
            raise UsageError(f"half_pixel must be 'even' or 'down', not {self.half_pixel!r}")

    @classmethod
    def imagenet(cls, size: int = 224) -> Preprocess:
        """What most ImageNet classifiers were trained with: short side to 8/7 of `size`, centre crop, ImageNet mean and std."""
        return cls(
            resize=round(size * 256 / 224),
            crop=(size, size),
            interpolation="bilinear",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        )

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Preprocess:
        """The preprocessing whose `describe` gave `description`.

        Raises
        ------
        UsageError
            It describes a callable, which no description can bring back.
        """
        if description.get("kind") != "standard":
            raise UsageError("the preprocessing is a callable of the user's; load the model again with it")
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in description.items()
        }
        return cls(**{key: value for key, value in values.items() if key in known})

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """The resized and cropped picture, (H, W, channels), still in 8 bits."""
        mode = _MODES[self.channels]
        if image.mode != mode:
            image = image.convert(mode)
        if self.resize is not None:
            size = resized_size(image.size, self.resize)
            if size != image.size:
                image = image.resize(size, _FILTERS[self.interpolation])
        if self.crop is not None:
            image = _centre_crop(image, self.crop, self.half_pixel)
        return np.asarray(image).reshape(image.height, image.width, self.channels)

    def window(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Which rectangle of a picture of `size` (width, height) becomes the model's input.

        Returns
        -------
        left, top, right, bottom : float
            In pixels of the picture. Where the input is padded, the rectangle reaches beyond the picture.

        Raises
        ------
        UsageError
            The picture has no pixels.

        Examples
        --------
        >>> Preprocess.imagenet(224).window((512, 256))
        (144.0, 16.0, 368.0, 240.0)
        """
        width, height = size
        if width < 1 or height < 1:
            raise UsageError(f"a picture of {width} x {height} pixels shows nothing; leave it out")
        across, down = resized_size(size, self.resize) if self.resize is not None else size
        left, top, right, bottom = 0, 0, across, down
        if self.crop is not None:
            left, top, right, bottom = _crop_box((across, down), self.crop, self.half_pixel)
        return left * width / across, top * height / down, right * width / across, bottom * height / down

    def tensor(self, pixels: npt.NDArray[np.uint8], device: torch.device | str | None = None) -> torch.Tensor:
        """Pictures as `pixels` gives them, (B, H, W, channels) uint8, as the float32 (B, channels, H, W) that the model takes.

        The memory is laid out channels last, in which convolutions run fastest. With `device`, the bytes are moved there
        before they become four times as large.
        """
        import torch

        batch, height, width, channels = pixels.shape
        # torch warns of read-only memory, and a copy of bytes costs little
        source = torch.from_numpy(pixels if pixels.flags.writeable and pixels.flags.c_contiguous else pixels.copy())
        gain, offset = self._gain_and_offset()
        # Rows of width x channels, not pixels of 3 channels: the inner loop gets long enough for vector instructions,
        # which is five times as fast.
        rows = source.reshape(batch * height, width * channels).to(device).float()
        torch.addcmul(
            torch.tensor(offset, device=rows.device).repeat(width),
            rows,
            torch.tensor(gain, device=rows.device).repeat(width),
            out=rows,
        )
        return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def short_side(self) -> int | None:
        """The short side below which decoding at a reduced size would lose what the model sees; None where it always would."""
        return None if self.resize is None else max(_sides(self.resize))

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of what comes out, or None when it depends on the picture."""
        if self.crop is not None:
            return self.crop
        return self.resize if isinstance(self.resize, tuple) else None

    def with_size(self, size: int) -> Preprocess:
        """The same for a short side of `size` pixels, the ratio of resize to crop kept.

        >>> Preprocess.imagenet(224).with_size(112).resize, Preprocess.imagenet(224).with_size(112).crop
        (128, (112, 112))
        """
        if size < 1:
            raise UsageError(f"the image size must be at least 1 pixel, not {size}")
        now = _sides(self.crop) or _sides(self.resize)
        if not now:
            return replace(self, resize=size, crop=(size, size))
        ratio = size / min(now)
        crop = None if self.crop is None else _scaled(self.crop, ratio)
        if isinstance(self.resize, tuple):
            return replace(self, resize=_scaled(self.resize, ratio), crop=crop)
        if self.resize is not None:
            # without a crop the pictures would differ in shape and could not be put into one batch
            return replace(self, resize=round(self.resize * ratio), crop=crop or (size, size))
        return replace(self, resize=size, crop=crop)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values; `from_description` reads them."""
        values = asdict(self)
        return {"kind": "standard", **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}

    def _gain_and_offset(self) -> tuple[list[float], list[float]]:
        gain = [self.scale / std for std in self.std]
        offset = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        return gain, offset


class CallablePreprocess:
    """A user's own function from a PIL image to what the model takes: a (C, H, W) tensor or array.

    Examples
    --------
    >>> preprocess = CallablePreprocess(lambda image: np.asarray(image.resize((4, 4)), np.float32).transpose(2, 0, 1))
    >>> preprocess.pixels(Image.new("RGB", (20, 10))).shape, preprocess.picklable
    ((3, 4, 4), False)
    """

    def __init__(self, function: Callable[[Image.Image], Any]) -> None:
        self.function = function

    def __repr__(self) -> str:
        return f"CallablePreprocess({self.describe()['repr']})"

    def pixels(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """What the function makes of the picture, (C, H, W).

        Raises
        ------
        MonosemeError
            It made something else than a (C, H, W) tensor or array.
        """
        made = self.function(image)
        if hasattr(made, "detach"):  # a torch tensor, told without importing torch
            made = made.detach().cpu().float().numpy()
        if isinstance(made, Image.Image) or not hasattr(made, "__array__"):
            raise MonosemeError(
                f"the preprocessing must give a (C, H, W) tensor or array, but gave a {type(made).__name__}"
            )
        array = np.asarray(made, dtype=np.float32)
        if array.ndim == 4 and len(array) == 1:
            array = array[0]
        if array.ndim != 3:
            raise MonosemeError(
                f"the preprocessing must give a (C, H, W) tensor or array, but gave one of shape {array.shape}"
            )
        return array

    def tensor(self, pixels: npt.NDArray[np.float32], device: torch.device | str | None = None) -> torch.Tensor:
        """A stack of what `pixels` gives, (B, C, H, W), as a float32 tensor in channels-last memory."""
        import torch

        array = np.ascontiguousarray(pixels, dtype=np.float32)
        batch = torch.from_numpy(array if array.flags.writeable else array.copy())
        return batch.to(device).contiguous(memory_format=torch.channels_last)

    def window(self, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """None: what part of the picture the function keeps is not known."""
        return None

    def short_side(self) -> int | None:
        """None: what the function needs is not known."""
        return None

    @property
    def size(self) -> tuple[int, int] | None:
        """None: what comes out is not known before a picture has gone in."""
        return None

    @cached_property
    def picklable(self) -> bool:
        """Whether it can go to worker processes (a lambda or a function of a notebook cannot)."""
        try:
            pickle.dumps(self.function)
        except Exception:  # what a user's object raises on pickling is its own business
            return False
        return True

    def describe(self) -> dict[str, Any]:
        """Plain JSON values: the name, a representation, and a digest of name, representation and source code.

        An equal digest does not prove equal functions: what a closure holds is not seen.
        """
        kind = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        name = f"{kind.__module__}.{cast(Any, kind).__qualname__}"
        # addresses in memory differ from run to run
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.function))
        try:
            source = inspect.getsource(cast(Any, kind))
        except (OSError, TypeError):
            source = ""
        return {"kind": "callable", "name": name, "repr": text[:2000], "digest": digest_text(name, text, source)}


AnyPreprocess = Preprocess | CallablePreprocess


def resized_size(size: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    """(width, height) after resizing, as torchvision computes it: the long side is rounded down.

    >>> resized_size((640, 427), 256)
    (383, 256)
    """
    if isinstance(resize, tuple):
        return resize[1], resize[0]
    width, height = size
    if width <= height:
        return resize, int(resize * height / width)
    return int(resize * width / height), resize


def _centre_crop(image: Image.Image, crop: tuple[int, int], half_pixel: str) -> Image.Image:
    box = _crop_box(image.size, crop, half_pixel)
    return image if box == (0, 0, *image.size) else image.crop(box)  # what lies outside of the picture becomes black


def _crop_box(size: tuple[int, int], crop: tuple[int, int], half_pixel: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the centre crop of a picture of `size`; it reaches beyond a smaller picture."""
    height, width = crop
    place = round if half_pixel == "even" else math.floor
    # a smaller picture is padded first, by half of what it lacks rounded down
    left, top = (
        place((have - want) / 2) if have >= want else -((want - have) // 2)
        for have, want in zip(size, (width, height), strict=True)
    )
    return left, top, left + width, top + height


def _sides(size: int | tuple[int, int] | None) -> tuple[int, ...]:
    return () if size is None else size if isinstance(size, tuple) else (size,)


def _scaled(size: tuple[int, int], ratio: float) -> tuple[int, int]:
    return round(size[0] * ratio), round(size[1] * ratio)
