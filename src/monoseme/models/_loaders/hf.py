"""hf:OWNER/NAME or hf:FOLDER, a vision model of transformers. Code that comes with a model is never run."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from monoseme.base import MonosemeError, UsageError

from .._preprocess import AnyPreprocess, CallablePreprocess, Preprocess
from .common import Loaded, Request, broken, fill, import_extra, read_state, seeded, sized, unfetched, weights_file

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # numbers of PIL.Image.Resampling
# Larger than any crop after resizing would need, neither side a multiple of the other, and odd margins.
_TRIAL_SIZE = (613, 431)


class ProcessorCall:
    """A transformers image processor as a function from a PIL image to a (C, H, W) array."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Image.Image) -> Any:
        return np.asarray(self.processor(image.convert("RGB"), return_tensors="np")["pixel_values"])[0]

    def __repr__(self) -> str:
        return f"ProcessorCall({self.processor!r})"


def load(request: Request) -> Loaded:
    """A classifier where the checkpoint is one, else the bare encoder; of image-text models, the image side."""
    transformers = import_extra("transformers", request, "hf")
    try:
        config = transformers.AutoConfig.from_pretrained(request.name, trust_remote_code=False)
        processor = _processor(transformers, request.name)
    except ImportError as error:
        raise broken("transformers", error) from error
    except Exception as error:
        raise _refused(request, error) from error
    path = weights_file(request)
    auto, config = _architecture(transformers, config)
    try:
        if path is None and not request.random:
            module: nn.Module = auto.from_pretrained(request.name, config=config, trust_remote_code=False)
        else:
            with seeded():
                module = auto.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise _refused(request, error) from error
    if path is not None:
        fill(module, read_state(path), path)
    labels = getattr(config, "id2label", None) or {}
    classes = tuple(str(labels[number]) for number in sorted(labels)) if hasattr(module, "classifier") else None
    return Loaded(module.float(), sized(_preprocess(processor), request), classes, ("transformers",))


def _processor(transformers: Any, name: str) -> Any:
    # Pillow's resizing, not torchvision's, is what most checkpoints were evaluated with, and what `Preprocess` does.
    major = int(transformers.__version__.partition(".")[0])
    choice: dict[str, Any] = {"backend": "pil"} if major >= 5 else {"use_fast": False}
    return transformers.AutoImageProcessor.from_pretrained(name, trust_remote_code=False, **choice)


def _architecture(transformers: Any, config: Any) -> tuple[Any, Any]:
    """(auto class, configuration) to build."""
    if any(name.endswith("ForImageClassification") for name in config.architectures or ()):
        return transformers.AutoModelForImageClassification, config
    return transformers.AutoModel, getattr(config, "vision_config", None) or config


def _refused(request: Request, error: Exception) -> MonosemeError:
    text = str(error)
    if "torchvision" in text:
        return broken("torchvision", error)
    if "trust_remote_code" in text:
        return UsageError(
            f"{request.spec} comes with code of its own, which is not run; build the model yourself and give it to "
            "monoseme.wrap"
        )
    return unfetched(request, error)


def _preprocess(processor: Any) -> AnyPreprocess:
    """The processor as a `Preprocess` if that gives the same on a trial picture, else the processor itself."""
    call = CallablePreprocess(ProcessorCall(processor))
    try:
        standard = _standard(processor)
    except (AttributeError, KeyError, TypeError, UsageError):
        return call
    noise = np.random.default_rng(0).integers(0, 256, (_TRIAL_SIZE[1] // 8, _TRIAL_SIZE[0] // 8, 3), dtype=np.uint8)
    trial = Image.fromarray(noise).resize(_TRIAL_SIZE, Image.Resampling.BICUBIC)
    expected, made = call.pixels(trial), standard.tensor(standard.pixels(trial)[None])[0].numpy()
    return standard if expected.shape == made.shape and np.allclose(expected, made, atol=1e-4) else call


def _standard(processor: Any) -> Preprocess:
    size = {key: value for key, value in dict(processor.size).items() if value is not None}
    crop_size = processor.crop_size if getattr(processor, "do_center_crop", False) else None
    crop = None if crop_size is None else (crop_size["height"], crop_size["width"])
    resize: int | tuple[int, int] | None = None
    if processor.do_resize:
        resize = size["shortest_edge"] if "shortest_edge" in size else (size["height"], size["width"])
        fraction = getattr(processor, "crop_pct", None)
        if fraction is not None and isinstance(resize, int):
            # ConvNeXt's processor: crops below 384 pixels, and only squeezes from there on
            crop = (resize, resize)
            resize = int(resize / fraction) if resize < 384 else crop
    return Preprocess(
        resize=resize,
        crop=crop,
        interpolation=_FILTERS[int(processor.resample)],
        mean=tuple(processor.image_mean) if processor.do_normalize else (0.0,) * 3,
        std=tuple(processor.image_std) if processor.do_normalize else (1.0,) * 3,
        scale=processor.rescale_factor if processor.do_rescale else 1.0,
        half_pixel="down",
    )
