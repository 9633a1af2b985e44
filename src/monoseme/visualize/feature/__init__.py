"""A layer and directions in it come in, images that drive them up or down go out.

Importing this loads no torch; `feature_images` needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._config import FeatureConfig
from ._grid import feature_grid
from ._images import FeatureImages
from ._spectrum import magnitude_spectrum

if TYPE_CHECKING:
    from ._make import feature_images

__all__ = ["FeatureConfig", "FeatureImages", "feature_grid", "feature_images", "magnitude_spectrum"]


def __getattr__(name: str) -> object:
    if name != "feature_images":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = importlib.import_module("._make", __name__).feature_images
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
