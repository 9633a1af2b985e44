"""timm:NAME, a model of timm with the preprocessing of its pretrained configuration."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from ...base import UsageError, did_you_mean
from .._preprocess import AnyPreprocess, CallablePreprocess, Preprocess
from .common import Loaded, Request, fill, import_extra, read_state, seeded, unfetched, weights_file

_FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")


def load(request: Request) -> Loaded:
    """`request.name` is as in ``timm.create_model``: ``resnet50``, ``resnet50.a1_in1k``, ``hf-hub:timm/...``."""
    import_extra("torchvision", request, "timm")  # timm imports it too, but hides why that failed
    timm = import_extra("timm", request, "timm")
    on_hub = request.name.startswith(("hf-hub:", "hf_hub:", "local-dir:"))
    if not on_hub and not timm.is_model(request.name):
        names = timm.list_models()
        raise UsageError(f"timm has no model {request.name}{did_you_mean(request.name, names)}")
    path = weights_file(request)
    pretrained = path is None and not request.random
    options: dict[str, Any] = {}
    if request.image_size is not None and _has_fixed_size(timm, request.name, on_hub):
        options["img_size"] = request.image_size
    try:
        with seeded():
            module: nn.Module = timm.create_model(request.name, pretrained=pretrained, **options)
    except Exception as error:  # the hub's clients raise many kinds
        if not pretrained and not on_hub:
            raise
        raise unfetched(request, error) from error
    if path is not None:
        fill(module, read_state(path), path)
    config = timm.data.resolve_model_data_config(module)
    return Loaded(
        module, _preprocess(timm, config, request.image_size), _classes(timm, module), ("timm", "torchvision")
    )


def _has_fixed_size(timm: Any, name: str, on_hub: bool) -> bool:
    """Whether the model is built for one size of image, which must then be given when it is built."""
    if on_hub:
        return False
    config = timm.models.get_pretrained_cfg(name)
    return bool(config is not None and config.fixed_input_size)


def _preprocess(timm: Any, config: dict[str, Any], image_size: int | None) -> AnyPreprocess:
    """The evaluation transform of timm as a `Preprocess` where that can say it, else as timm's own callable."""
    channels, *size = config["input_size"]
    if image_size is not None:
        size = [image_size, image_size]
    height, width = size
    resized = [math.floor(side / config["crop_pct"]) for side in size]
    squash = config["crop_mode"] == "squash"
    if (
        config["interpolation"] not in _FILTERS
        or channels not in (1, 3)
        or not (squash or (config["crop_mode"] == "center" and height == width))
    ):
        return CallablePreprocess(timm.data.create_transform(**{**config, "input_size": (channels, *size)}))
    return Preprocess(
        resize=(resized[0], resized[1]) if squash else resized[0],
        crop=(height, width),
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        channels=channels,
    )


def _classes(timm: Any, module: nn.Module) -> tuple[str, ...] | None:
    """Names from the checkpoint's own configuration, or those of ImageNet where the number of outputs is one of its sets."""
    outputs = getattr(module, "num_classes", 0)
    own = getattr(module, "pretrained_cfg", {}).get("label_names")
    if own and len(own) == outputs:
        return tuple(map(str, own))
    subset = timm.data.infer_imagenet_subset(module)
    if subset is None:
        return None
    names = timm.data.ImageNetInfo(subset).label_descriptions()
    return tuple(names) if len(names) == outputs else None
