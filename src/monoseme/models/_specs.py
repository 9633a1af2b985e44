"""Models by name: which loader a spec means."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from ..base import UsageError, did_you_mean, join_words
from ._loaders.common import Loaded, Request
from ._model import Model, input_size_of, pick_device

PREFIXES = ("bundled", "torchvision", "timm", "hf", "python")


def load_model(
    spec: str,
    *,
    device: str = "auto",
    image_size: int | None = None,
    weights: str | None = None,
    layouts: Mapping[str, str] | None = None,
    prefix_tokens: int | None = None,
) -> Model:
    """A model by name, with its own preprocessing.

    Parameters
    ----------
    spec
        ``bundled:efficientnet-lite0`` (or 1, 2), ``torchvision:inception_v3``, ``timm:resnet50``,
        ``hf:facebook/dinov2-base`` or ``hf:FOLDER``, or ``python:package.module:factory``, whose factory returns a module,
        a pair (module, preprocess) or a `Model`.
    device
        "auto" (a GPU if there is one), or as torch writes them: "cpu", "cuda:1".
    image_size
        Short side of the input in pixels, in place of the model's own; the ratio of resizing to crop is kept.
    weights
        A local state dict (.safetensors, or what `torch.save` wrote), "none" for random weights from a fixed seed, or
        for torchvision the name of a set of weights such as ``IMAGENET1K_V1``. The model's own when left out.
    layouts
        Layer name or glob -> "NCHW", "NHWC", "NLC" or "NC", where detection fails.
    prefix_tokens
        Tokens before the patch tokens, where detection fails.

    Raises
    ------
    UsageError
        The spec, a file, the device or a layout does not exist.
    MissingExtraError
        The package that the model comes from is not installed.
    MonosemeError
        The weights cannot be fetched or do not fit.

    Examples
    --------
    >>> load_model("bundled:efficientnet-lite0", weights="none", image_size=64, device="cpu")
    <model bundled:efficientnet-lite0: EfficientNetLite, input 3x64x64, on cpu>
    """
    prefix, colon, name = spec.partition(":")
    if not colon:
        raise UsageError(f"{spec!r} does not say where the model is from; write {_suggestion(spec)}")
    if prefix not in PREFIXES:
        raise UsageError(
            f"unknown kind of model {prefix!r} in {spec!r}{did_you_mean(prefix, PREFIXES)} (known: {join_words(PREFIXES, 'and')})"
        )
    if not name:
        raise UsageError(f"{spec!r} names no model after the colon")
    if image_size is not None and image_size < 1:
        raise UsageError(f"the image size must be at least 1 pixel, not {image_size}")
    # each loader imports packages that may be absent and are slow, so only the one that is needed is imported
    loader = importlib.import_module(f"._loaders.{prefix}", __package__)
    loaded: Loaded = loader.load(Request(spec, name, weights, image_size))
    return Model(
        loaded.module,
        loaded.preprocess,
        spec=spec,
        device=pick_device(device, loaded.module),
        input_size=input_size_of(loaded.preprocess, loaded.input_size),
        classes=loaded.classes,
        layouts={**loaded.layouts, **(layouts or {})},
        prefix_tokens=loaded.prefix_tokens if prefix_tokens is None else prefix_tokens,
        packages=loaded.packages,
    )


def _suggestion(name: str) -> str:
    if Path(name).is_dir() or "/" in name:
        return f"hf:{name}"
    if name.startswith("efficientnet-lite"):
        return f"bundled:{name}"
    if "." in name and name.rpartition(".")[0].isidentifier():
        return f"timm:{name}"
    return f"torchvision:{name} or timm:{name}"
