"""How feature images are made: every setting, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from ...base import UsageError, did_you_mean, join_words

PARAMETRISATIONS = ("fourier", "maco", "pixels")
OBJECTIVES = ("dot", "cosine")
WHERE = ("mean", "centre")

Size = tuple[int, int]


@dataclass(frozen=True)
class FeatureConfig:
    """How images are made that drive a direction of a layer.

    The defaults are Olah et al. 2017 with few, large steps. Of `learning_rate`, `views` and `crop` the default depends on the
    parametrisation.

    Examples
    --------
    The settings of the published method, and MaCo:

    >>> FeatureConfig(size=128, images=6, jitter=2, scale=(1, 1), rotate=0, diversity=0.2).images
    6
    >>> FeatureConfig(parametrisation="maco", size=256, resolution=128).views_a_step
    4
    """

    size: int | Size | None = None
    """Of the images: side, or (height, width), in pixels; that of the model's input by default."""
    resolution: int | Size | None = None
    """Of what the network is shown: side, or (height, width), in pixels; that of the images by default."""
    images: int = 1
    """Images for each direction."""
    steps: int = 256
    """Steps of the optimiser."""
    learning_rate: float | None = None
    """Length of the first steps; it falls to nothing by half a cosine. By default 0.25 for "fourier", 1 (radian) for
    "maco", 0.1 for "pixels"."""
    parametrisation: str = "fourier"
    """What is optimised: the image's Fourier coefficients, scaled so that all frequencies start and move as in photographs
    ("fourier"), their phases alone ("maco"), or its values ("pixels")."""
    decorrelate: bool = True
    """Whether the channels that are optimised are mixed to red, green and blue as colours are in photographs. Of images with
    another number of channels than three each is itself."""
    objective: str = "dot"
    """"dot" with the direction, or "cosine": the dot times max(cosine, 0.1) to the power of `cosine_exponent`."""
    cosine_exponent: float = 1.0
    """How much the cosine counts."""
    where: str = "mean"
    """"mean" of the objective over all positions, or the "centre" position."""
    sign: int = 1
    """1 for images that drive the direction up, -1 for images that drive it down."""
    diversity: float = 0.0
    """Weight of the similarity of an image to the others of its direction, which is subtracted (see `similarities`)."""
    jitter: float = 4.0
    """Before each step an image is moved by up to so many pixels each way,"""
    scale: tuple[float, float] = (0.9, 1.1)
    """made larger by a factor from this range,"""
    rotate: float = 8.0
    """turned by up to so many degrees,"""
    pad: int = 0
    """and shown in a grey frame so many pixels wide, for which it is made smaller: the network's input keeps its size."""
    crop: tuple[float, float] | None = None
    """Instead of the whole image show a square part: the share of its side in the first and in the last step. By default the
    whole, (1, 1), but (0.9, 0.6) for "maco"."""
    views: int | None = None
    """How many changed copies of an image a step looks at; by default 1, and 4 for "maco"."""
    pass_relu: int = 16
    """In so many first steps, ReLUs that let no gradient of an image through pass it on (see `PassingReLUs`)."""
    patience: int | None = None
    """Stop a direction when the objective's mean over so many steps is hardly above that over as many before."""
    tolerance: float = 0.01
    """What "hardly" is, as a share of the objective."""
    batch: int | None = None
    """Images in a pass at most; by default as many as need 1 GiB of memory, and no more than 32."""

    def __post_init__(self) -> None:
        for name, known in (("parametrisation", PARAMETRISATIONS), ("objective", OBJECTIVES), ("where", WHERE)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(
                    f"unknown {name} {value!r}{did_you_mean(str(value), known)} (known: {join_words(known, 'and')})"
                )
        if self.sign not in (1, -1):
            raise UsageError(f"sign is 1 (drive the direction up) or -1 (down), not {self.sign}")
        for name in ("images", "steps", "views", "patience", "batch"):
            value = getattr(self, name)
            if value is not None and not (value >= 1 and value == int(value)):
                raise UsageError(f"{name} must be a whole number of at least 1, not {value}")
        for name in ("jitter", "rotate", "pad", "diversity", "pass_relu", "tolerance", "cosine_exponent"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be a number of at least 0, not {getattr(self, name)}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate must be positive, not {self.learning_rate}")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise UsageError(f"scale is a range of factors such as (0.9, 1.1), not {self.scale}")
        if self.crop is not None and not all(0 < share <= 1 for share in self.crop):
            raise UsageError(f"crop is two shares of the image's side, above 0 and at most 1, not {self.crop}")
        if self.diversity and self.images < 2:
            raise UsageError("diversity needs two images a direction or more; give images as well")
        for name in ("size", "resolution"):
            value = getattr(self, name)
            if value is not None and min(pair(value)) < 2:
                raise UsageError(f"{name} must be at least 2 pixels, not {value}")

    @property
    def rate(self) -> float:
        """The learning rate that holds."""
        own = {"fourier": 0.25, "maco": 1.0, "pixels": 0.1}[self.parametrisation]
        return own if self.learning_rate is None else self.learning_rate

    @property
    def views_a_step(self) -> int:
        """The number of views that holds."""
        return self.views or (4 if self.parametrisation == "maco" else 1)

    @property
    def shown(self) -> tuple[float, float]:
        """The shares of the side that hold, in the first and the last step."""
        return self.crop or ((0.9, 0.6) if self.parametrisation == "maco" else (1.0, 1.0))

    def with_settings(self, **settings: Any) -> FeatureConfig:
        """The same with some settings changed; raises a `UsageError` for one that does not exist."""
        known = [each.name for each in fields(self)]
        for name in settings:
            if name not in known:
                raise UsageError(f"feature images have no setting {name!r}{did_you_mean(name, known)}")
        return replace(self, **settings)


def pair(size: int | Size) -> Size:
    """(height, width)."""
    return (int(size[0]), int(size[1])) if isinstance(size, tuple | list) else (int(size), int(size))
