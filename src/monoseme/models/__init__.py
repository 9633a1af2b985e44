"""In goes the name of a model or a module of the user's, out come its preprocessing, its layers, and taps that read them.

Importing this loads no torch: worker processes that prepare pictures need only `Preprocess`. The names that need torch are
imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._memory import give_back_memory, keep_freed_memory
from ._preprocess import AnyPreprocess, CallablePreprocess, Preprocess

if TYPE_CHECKING:
    from ._accelerate import (
        TOLERANCE,
        Acceleration,
        NotAccelerated,
        Reader,
        chosen,
        disagreement,
        graphs,
    )
    from ._attribution import Attribution, Rule
    from ._changes import Change, one_layer, require_unchanged
    from ._from_layer import Begun, FromLayer
    from ._image_text import ImageTextEncoder, load_encoder
    from ._layers import LAYOUTS, LayerInfo
    from ._model import Model, wrap
    from ._positions import ToLayer, by_position
    from ._producer import Producer, producer
    from ._specs import PREFIXES, load_model
    from ._split_units import SplitUnits, with_readable_input, with_split_units
    from ._taps import POOLINGS, Tap, TapOutput, Tapped, pool

__all__ = [
    "LAYOUTS",
    "POOLINGS",
    "PREFIXES",
    "TOLERANCE",
    "Acceleration",
    "AnyPreprocess",
    "Attribution",
    "Begun",
    "CallablePreprocess",
    "Change",
    "FromLayer",
    "ImageTextEncoder",
    "LayerInfo",
    "Model",
    "NotAccelerated",
    "Preprocess",
    "Producer",
    "Reader",
    "Rule",
    "SplitUnits",
    "Tap",
    "TapOutput",
    "Tapped",
    "ToLayer",
    "by_position",
    "chosen",
    "disagreement",
    "give_back_memory",
    "graphs",
    "keep_freed_memory",
    "load_encoder",
    "load_model",
    "one_layer",
    "pool",
    "producer",
    "require_unchanged",
    "with_readable_input",
    "with_split_units",
    "wrap",
]

_NEED_TORCH = {
    "Acceleration": "_accelerate",
    "Attribution": "_attribution",
    "Begun": "_from_layer",
    "Change": "_changes",
    "FromLayer": "_from_layer",
    "ImageTextEncoder": "_image_text",
    "LAYOUTS": "_layers",
    "LayerInfo": "_layers",
    "Model": "_model",
    "POOLINGS": "_taps",
    "NotAccelerated": "_accelerate",
    "Producer": "_producer",
    "Rule": "_attribution",
    "SplitUnits": "_split_units",
    "PREFIXES": "_specs",
    "Reader": "_accelerate",
    "TOLERANCE": "_accelerate",
    "Tap": "_taps",
    "TapOutput": "_taps",
    "Tapped": "_taps",
    "ToLayer": "_positions",
    "by_position": "_positions",
    "chosen": "_accelerate",
    "disagreement": "_accelerate",
    "graphs": "_accelerate",
    "load_encoder": "_image_text",
    "load_model": "_specs",
    "one_layer": "_changes",
    "pool": "_taps",
    "producer": "_producer",
    "require_unchanged": "_changes",
    "with_readable_input": "_split_units",
    "with_split_units": "_split_units",
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
