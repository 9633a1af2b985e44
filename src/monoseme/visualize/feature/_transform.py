"""What is done to images before the network sees them, so that they do not work from one viewpoint only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from ._config import FeatureConfig, Size


class Views:
    """Moved, scaled, turned and cropped copies of images, in one sampling of the whole batch (Olah et al. 2017).

    What is drawn for an image depends on the seed, the step and the image's number alone: not on the batch that it is in, and
    nothing has to be remembered for a run that is taken up again.
    """

    def __init__(self, config: FeatureConfig, size: Size, resolution: Size, seed: int) -> None:
        self._config, self._size, self._resolution, self._seed = config, size, resolution, seed
        factors = (*config.scale, *config.shown)
        moved = config.jitter > 0 or config.rotate > 0 or config.pad > 0 or any(factor != 1 for factor in factors)
        self._still = not moved and size == resolution

    def __call__(self, images: Tensor, numbers: np.ndarray[tuple[int], np.dtype[np.int64]], step: int) -> Tensor:
        """(B, channels, H, W) -> (B * views, channels, height, width), views of an image behind each other."""
        count = self._config.views_a_step
        if count > 1:
            images = images.repeat_interleave(count, dim=0)
        if self._still:
            return images
        random = np.random.default_rng((self._seed, step))
        drawn = random.random((int(numbers.max()) + 1, count, 5), dtype=np.float32)[numbers].reshape(-1, 5)
        theta = torch.from_numpy(self._affine(drawn, step)).to(images.device)
        grid = affine_grid(theta, [len(images), 1, *self._resolution], align_corners=False)
        return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def plain(self, images: Tensor) -> Tensor:
        """The images as they are, of the size that the network is shown."""
        if self._size == self._resolution:
            return images
        return interpolate(images, self._resolution, mode="bilinear", antialias=True)

    def _affine(self, drawn: np.ndarray, step: int) -> np.ndarray:
        """(B, 2, 3): from places in what is shown, -1 to 1, to places in the image."""
        config, (height, width) = self._config, self._size
        low, high = config.scale
        angle = np.radians(config.rotate) * (2 * drawn[:, 0] - 1)
        done = step / max(config.steps - 1, 1)
        share = config.shown[0] + (config.shown[1] - config.shown[0]) * done
        reach = share / (low + (high - low) * drawn[:, 1])
        framed = (reach * (height + 2 * config.pad) / height, reach * (width + 2 * config.pad) / width)
        theta = np.empty((len(drawn), 2, 3), dtype=np.float32)
        theta[:, 0, 0] = np.cos(angle) * framed[1]
        theta[:, 0, 1] = -np.sin(angle) * framed[0] * height / width
        theta[:, 1, 0] = np.sin(angle) * framed[1] * width / height
        theta[:, 1, 1] = np.cos(angle) * framed[0]
        for axis, side in ((0, width), (1, height)):
            # a part of the image may lie anywhere in it; a pixel is 2 / side
            room = (1 - share) + 2 * config.jitter / side
            theta[:, axis, 2] = room * (2 * drawn[:, 2 + axis] - 1)
        return theta
