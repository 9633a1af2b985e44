"""In goes the name of a model or a module of the user's, out come its preprocessing, its layers, and taps that read them.

Importing this loads no torch: worker processes that prepare pictures need only `Preprocess`. The names that need torch are
imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._memory import keep_freed_memory
from ._preprocess import AnyPreprocess, CallablePreprocess, Preprocess

if TYPE_CHECKING:
    from ._changes import Change, one_layer, require_unchanged
    from ._from_layer import Begun, FromLayer
    from ._image_text import ImageTextEncoder, load_encoder
    from ._layers import LAYOUTS, LayerInfo
    from ._model import Model, wrap
    from ._positions import ToLayer, by_position
    from ._specs import PREFIXES, load_model
    from ._taps import POOLINGS, Tap, TapOutput, Tapped, pool

__all__ = [
    "LAYOUTS",
    "POOLINGS",
    "PREFIXES",
    "AnyPreprocess",
    "Begun",
    "CallablePreprocess",
    "Change",
    "FromLayer",
    "ImageTextEncoder",
    "LayerInfo",
    "Model",
    "Preprocess",
    "Tap",
    "TapOutput",
    "Tapped",
    "ToLayer",
    "by_position",
    "keep_freed_memory",
    "load_encoder",
    "load_model",
    "one_layer",
    "pool",
    "require_unchanged",
    "wrap",
]

_NEED_TORCH = {
    "Begun": "_from_layer",
    "Change": "_changes",
    "FromLayer": "_from_layer",
    "ImageTextEncoder": "_image_text",
    "LAYOUTS": "_layers",
    "LayerInfo": "_layers",
    "Model": "_model",
    "POOLINGS": "_taps",
    "PREFIXES": "_specs",
    "Tap": "_taps",
    "TapOutput": "_taps",
    "Tapped": "_taps",
    "ToLayer": "_positions",
    "by_position": "_positions",
    "load_encoder": "_image_text",
    "load_model": "_specs",
    "one_layer": "_changes",
    "pool": "_taps",
    "require_unchanged": "_changes",
    "wrap": "_model",
}


def __getattr__(name: str) -> object:
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_NEED_TORCH[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
