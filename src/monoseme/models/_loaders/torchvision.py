"""torchvision:NAME, an image classifier of torchvision with the preprocessing of its weights."""

from __future__ import annotations

import sys
from typing import Any

from ...base import UsageError, did_you_mean, join_words
from .._preprocess import Preprocess
from .common import Loaded, Request, fill, import_extra, read_state, seeded, sized, unfetched, weights_file

# The builders set these when they load weights; without weights they must be told.
_AS_WITH_WEIGHTS: dict[str, dict[str, Any]] = {
    "inception_v3": {"transform_input": True, "aux_logits": True, "init_weights": False},
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
}
# Names of the auxiliary classifiers, which a saved state dict has or has not.
_AUXILIARY = {"inception_v3": "AuxLogits.", "googlenet": "aux1."}


def load(request: Request) -> Loaded:
    """`weights` may also name one of the model's sets of weights, such as ``IMAGENET1K_V1``."""
    torchvision = import_extra("torchvision", request, "torchvision")
    models = torchvision.models
    names = models.list_models(module=models)
    if request.name not in names:
        raise UsageError(f"torchvision has no image classifier {request.name}{did_you_mean(request.name, names)}")
    sets = models.get_model_weights(request.name)
    chosen = sets[request.weights] if request.weights in sets.__members__ else None
    known = chosen or sets.DEFAULT
    if request.weights is None or chosen is not None:
        try:
            module = models.get_model(request.name, weights=known, progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as error:  # no network, or a download that does not have the expected digest
            raise unfetched(request, error) from error
    else:
        module = _without_download(models, request, list(sets.__members__))
    classes = tuple(known.meta["categories"])
    return Loaded(module, sized(_preprocess(known.transforms(), request), request), classes, ("torchvision",))


def _without_download(models: Any, request: Request, sets: list[str]) -> Any:
    """The module with random weights or those of a local file."""
    options = dict(_AS_WITH_WEIGHTS.get(request.name, {}))
    state = None
    if not request.random:
        try:
            path = weights_file(request)
        except UsageError as error:
            raise UsageError(
                f"{error}, nor has {request.name} such a set of weights (it has {join_words(sets)})"
            ) from error
        assert path is not None
        state = read_state(path)
        if request.name in _AUXILIARY:
            options["aux_logits"] = any(name.startswith(_AUXILIARY[request.name]) for name in state)
    with seeded():
        module = models.get_model(request.name, weights=None, **options)
    if state is not None:
        assert path is not None
        fill(module, state, path)
    return module


def _preprocess(preset: Any, request: Request) -> Preprocess:
    """The preset for image classification as a `Preprocess`."""
    if type(preset).__name__ != "ImageClassification":
        raise UsageError(f"{request.spec} does not classify images; build it yourself and give it to monoseme.wrap")
    (resize,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocess(
        resize=resize,
        crop=(crop, crop),
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
