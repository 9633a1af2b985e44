"""From what is optimised to images: Fourier coefficients, phases, or values."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from ...base import UsageError, counted
from ._config import FeatureConfig, Size
from ._spectrum import Array, colour_mix, frequencies, inverse_frequency, multiplicity

_START = 0.05
"""Spread of the values with which an image starts, in decorrelated channels."""


class Parametrisation(ABC):
    """B images from B parameters. Images are tanh(mixed colours / 2) / 2: pixels less a half, in (-0.5, 0.5), grey is 0.

    (The sigmoid of what is mixed is the pixel itself; without the half, what lies outside of an image is grey as well.)
    """

    shape: tuple[int, ...]
    """Of one image's parameters."""

    def __init__(self, config: FeatureConfig, size: Size, channels: int, device: torch.device) -> None:
        self.size, self.channels = size, channels
        mix = colour_mix(channels, config.decorrelate)
        # the half of tanh(x / 2) goes into the mixing
        self._mix = torch.from_numpy(mix / 2).to(device)

    def start(self, seed: int, images: range) -> Tensor:
        """Random parameters of the images of these numbers, (B, *shape): each depends on `seed` and its number alone."""
        found = [self._start(np.random.default_rng((seed, number))) for number in images]
        return torch.from_numpy(np.stack(found)).to(self._mix.device)

    def images(self, parameters: Tensor) -> Tensor:
        """(B, *shape) -> (B, channels, H, W) in (-0.5, 0.5), with gradients."""
        values = self._values(parameters)
        mixed = torch.matmul(self._mix, values.flatten(2)).reshape(values.shape)
        return torch.tanh(mixed) * 0.5

    @abstractmethod
    def _start(self, random: np.random.Generator) -> Array:
        """Of one image."""

    @abstractmethod
    def _values(self, parameters: Tensor) -> Tensor:
        """(B, channels, H, W) in decorrelated channels."""


class Pixels(Parametrisation):
    """The values themselves."""

    def __init__(self, config: FeatureConfig, size: Size, channels: int, device: torch.device) -> None:
        super().__init__(config, size, channels, device)
        self.shape = (channels, *size)

    def _start(self, random: np.random.Generator) -> Array:
        return (_START * random.standard_normal(self.shape)).astype(np.float32)

    def _values(self, parameters: Tensor) -> Tensor:
        return parameters


class Fourier(Parametrisation):
    """Coefficients of the image's Fourier transform over their frequency (Olah et al. 2017, preconditioning).

    A step of the same length in every parameter so moves the image as much in each octave, and not mostly in the finest.
    """

    def __init__(self, config: FeatureConfig, size: Size, channels: int, device: torch.device) -> None:
        super().__init__(config, size, channels, device)
        scale = 1 / frequencies(size)
        self.shape = (channels, *scale.shape, 2)
        # with parameters of spread one an image has spread one
        spread = np.sqrt(((multiplicity(size) * scale.astype(np.float64)) ** 2).sum()) / (size[0] * size[1])
        self._scale = torch.from_numpy((scale / spread).astype(np.float32))[..., None].to(device)

    def _start(self, random: np.random.Generator) -> Array:
        return (_START * random.standard_normal(self.shape)).astype(np.float32)

    def _values(self, parameters: Tensor) -> Tensor:
        values: Tensor = torch.fft.irfft2(torch.view_as_complex(parameters * self._scale), s=self.size)
        return values


class Maco(Parametrisation):
    """Phases of the Fourier transform; its magnitudes stay those of photographs (Fel et al. 2023, equation 4)."""

    def __init__(
        self, config: FeatureConfig, size: Size, channels: int, device: torch.device, spectrum: Array | None
    ) -> None:
        super().__init__(config, size, channels, device)
        self.shape = (channels, size[0], size[1] // 2 + 1)
        if spectrum is None:
            spectrum = inverse_frequency(size, channels)
        spectrum = np.array(spectrum, dtype=np.float32)
        if spectrum.shape != self.shape:
            raise UsageError(
                f"the spectrum is of shape {spectrum.shape}, but for {size[0]} x {size[1]} pixels of "
                f"{counted(channels, 'channel')} it must be {self.shape}; make it with magnitude_spectrum"
            )
        if not np.isfinite(spectrum).all() or (spectrum < 0).any():
            raise UsageError("the spectrum holds magnitudes, which are finite and not negative")
        self._magnitudes = torch.from_numpy(spectrum).to(device)

    def _start(self, random: np.random.Generator) -> Array:
        return random.uniform(-np.pi, np.pi, self.shape).astype(np.float32)

    def _values(self, parameters: Tensor) -> Tensor:
        coefficients = torch.polar(self._magnitudes.expand_as(parameters), parameters)
        values: Tensor = torch.fft.irfft2(coefficients, s=self.size)
        return values


def parametrisation(
    config: FeatureConfig, size: Size, channels: int, device: torch.device, spectrum: Array | None = None
) -> Parametrisation:
    """The one that the configuration names."""
    if config.parametrisation == "maco":
        return Maco(config, size, channels, device, spectrum)
    if spectrum is not None:
        raise UsageError(f"a spectrum is for parametrisation='maco', not {config.parametrisation!r}")
    return (Fourier if config.parametrisation == "fourier" else Pixels)(config, size, channels, device)
