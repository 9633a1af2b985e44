"""Lets torchvision be imported beside a torch that its compiled part was not made for (a CUDA build beside CPU-only torch).

Such a torchvision fails with "operator torchvision::nms does not exist". Its models and transforms need no operator of its
own, so declaring the two that are looked up on import is enough. For tests only: users get an error that says what to do.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def make_torchvision_importable() -> object:
    """Declare the missing operators where torchvision's own library cannot be loaded. Returns what keeps them declared."""
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        return None
    for library in Path(found.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return None
    declared = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        declared.define(schema)
    return declared
