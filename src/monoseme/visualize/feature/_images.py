"""Finished feature images: pixels with what they reached, as pictures and as a folder."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...base import UsageError, counted, whole_folder
from ._config import FeatureConfig

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureImages:
    """Images that drive R directions of a layer, n for each. Made by `feature_images`.

    Examples
    --------
    >>> pixels = np.full((1, 2, 8, 8, 3), 0.5, dtype=np.float32)
    >>> made = FeatureImages(pixels, None, np.ones((1, 2)), np.ones((4, 1, 2)), ("neuron 7",), FeatureConfig(images=2), {})
    >>> made.picture(0, 1).size, len(made)
    ((8, 8), 1)
    """

    pixels: Array
    """(R, n, H, W, channels) in [0, 1]."""
    transparency: Array | None
    """(R, n, H, W) in [0, 1] for MaCo, else None: how much the objective depended on each place, 1 for the most (shown), 0 for
    nothing (see-through)."""
    activation: Array
    """(R, n) the layer's output along the direction, averaged over positions (or at the centre), of the finished image as it
    is: without moving or turning."""
    history: Array
    """(steps, R, n) the objective in each step, of the image as it was changed for that step; NaN after an early stop."""
    names: tuple[str, ...]
    """What each direction is called: "neuron 35", "direction 0"."""
    config: FeatureConfig
    """How they were made."""
    info: dict[str, Any]
    """Model, layer and seed, as plain JSON values."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        rows, images, height, width, _ = self.pixels.shape
        made = counted(rows * images, "image")
        return f"<{made} of {width} x {height} for {counted(rows, 'direction')} of {self.info.get('layer', 'a layer')}>"

    def picture(self, row: int, image: int = 0, *, background: str | Sequence[float] | None = None) -> Image.Image:
        """One image in 8 bits.

        Parameters
        ----------
        row, image : int
            Row of the directions, number of its image.
        background : str or numbers in [0, 1], optional
            What shows through where the image is transparent: a colour's name or a value for each channel. Without it
            transparency is not applied.

        Raises
        ------
        UsageError
            There is no such image, or it has two channels or more than three, which no picture has.
        """
        rows, images, *_, channels = self.pixels.shape
        if not (0 <= row < rows and 0 <= image < images):
            raise UsageError(
                f"there is no image {image} of row {row}; there are {rows} rows of {counted(images, 'image')}"
            )
        if channels not in (1, 3):
            raise UsageError(f"images of {channels} channels are no pictures; take some of the channels of .pixels")
        pixels = self.pixels[row, image]
        if background is not None and self.transparency is not None:
            shown = self.transparency[row, image][..., None]
            pixels = shown * pixels + (1 - shown) * _colour(background, channels)
        eight = np.round(255 * pixels).astype(np.uint8)
        return Image.fromarray(eight[..., 0] if channels == 1 else eight)

    def pictures(self, row: int, *, background: str | Sequence[float] | None = None) -> list[Image.Image]:
        """All images of a row."""
        return [self.picture(row, image, background=background) for image in range(self.pixels.shape[1])]

    def save(self, folder: str | PathLike[str], *, replace: bool = False) -> Path:
        """Write PNG files (with transparency, where there is any) and a manifest, all or nothing. Returns the folder.

        Raises
        ------
        MonosemeError
            The folder exists already and `replace` is false, or cannot be written.
        """
        target = Path(folder)
        listed = []
        with whole_folder(target, replace=replace) as aside:
            for row, name in enumerate(self.names):
                for image in range(self.pixels.shape[1]):
                    file = f"{row:05d}-{image}.png"
                    (aside / file).write_bytes(self._png(row, image))
                    listed.append(
                        {
                            "file": file,
                            "row": row,
                            "name": name,
                            "image": image,
                            "activation": float(self.activation[row, image]),
                            "objective": [float(v) for v in self.history[:, row, image] if np.isfinite(v)],
                        }
                    )
            manifest = {"format": 1, **self.info, "config": asdict(self.config), "images": listed}
            (aside / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        return target

    def _png(self, row: int, image: int) -> bytes:
        picture = self.picture(row, image)
        if self.transparency is not None:
            picture.putalpha(Image.fromarray(np.round(255 * self.transparency[row, image]).astype(np.uint8)))
        with io.BytesIO() as buffer:
            picture.save(buffer, "PNG")
            return buffer.getvalue()


def _colour(background: str | Sequence[float], channels: int) -> Array:
    """(channels,) in [0, 1]."""
    if not isinstance(background, str):
        values = np.asarray(background, dtype=np.float32).reshape(-1)
        if len(values) != channels:
            raise UsageError(f"a background needs one number for each of the {counted(channels, 'channel')}")
        return values
    from PIL import ImageColor

    try:
        found = ImageColor.getcolor(background, "L" if channels == 1 else "RGB")
    except ValueError as error:
        raise UsageError(f"{background!r} is no colour; name one such as white, or give #rrggbb") from error
    return np.asarray(found, dtype=np.float32).reshape(-1) / np.float32(255)
