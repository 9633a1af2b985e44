"""hf:OWNER/NAME or hf:FOLDER, a vision model of transformers. Code that comes with a model is never run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from ...base import MonosemeError, UsageError, first_line
from .._preprocess import AnyPreprocess, CallablePreprocess, Preprocess
from .common import (
    Loaded,
    Request,
    broken,
    fill,
    import_extra,
    read_state,
    seeded,
    sized,
    some,
    weights_file,
)

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # numbers of PIL.Image.Resampling
# A shape whose crop from 256 to 224 pixels has an odd margin, which tells apart how half pixels are rounded.
_TRIAL_SIZE = (619, 431)


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
    path = weights_file(request)
    with quiet(transformers):
        try:
            config = transformers.AutoConfig.from_pretrained(request.name, trust_remote_code=False)
            processor = processor_of(transformers, request.name)
            auto, config = _architecture(transformers, config)
            if path is None and not request.random:
                module = pretrained(auto, config, request)
            else:
                with seeded():
                    module = auto.from_config(config, trust_remote_code=False)
        except MonosemeError:
            raise
        except Exception as error:  # the hub's clients raise many kinds
            raise refused(request, error) from error
    if path is not None:
        fill(module, read_state(path), path)
    classes = _classes(config) if auto is transformers.AutoModelForImageClassification else None
    return Loaded(module.float(), sized(preprocess_of(processor), request), classes, ("transformers",))


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """No progress bars and no report of weights left over: what matters of it becomes an error here."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def pretrained(auto: Any, config: Any, request: Request) -> nn.Module:
    """The checkpoint's model. What it lacks would be left random without a word, which only a pooler's absence may be."""
    module: nn.Module
    module, info = auto.from_pretrained(request.name, config=config, trust_remote_code=False, output_loading_info=True)
    missing = sorted(str(name) for name in info["missing_keys"] if "pooler" not in str(name))
    if missing:
        raise MonosemeError(
            f"the checkpoint of {request.spec} lacks weights of {type(module).__name__} ({some(missing)}); "
            "build the model yourself and give it to monoseme.wrap"
        )
    return module


def _classes(config: Any) -> tuple[str, ...] | None:
    labels = config.id2label or {}
    names = tuple(str(labels[number]) for number in sorted(labels))
    generic = all(name == f"LABEL_{number}" for number, name in enumerate(names))
    return None if generic else names


def processor_of(transformers: Any, name: str) -> Any:
    # Pillow's resizing, not torchvision's, is what most checkpoints were evaluated with, and what `Preprocess` does.
    major = int(transformers.__version__.partition(".")[0])
    choice: dict[str, Any] = {"backend": "pil"} if major >= 5 else {"use_fast": False}
    return transformers.AutoImageProcessor.from_pretrained(name, trust_remote_code=False, **choice)


def _architecture(transformers: Any, config: Any) -> tuple[Any, Any]:
    """(auto class, configuration) to build."""
    if any(name.endswith("ForImageClassification") for name in config.architectures or ()):
        return transformers.AutoModelForImageClassification, config
    return transformers.AutoModel, getattr(config, "vision_config", None) or config


def refused(request: Request, error: Exception) -> MonosemeError:
    text = str(error)
    if isinstance(error, ImportError | RuntimeError) and "torchvision" in text:
        return broken("torchvision", error)
    if "trust_remote_code" in text:
        return UsageError(
            f"{request.spec} comes with code of its own, which is not run; build the model yourself and give it to "
            "monoseme.wrap"
        )
    return MonosemeError(
        f"{request.spec} cannot be loaded ({first_line(error)}); connect to the network, or give a folder that holds the "
        "model's config.json, preprocessor_config.json and weights: hf:FOLDER"
    )


def preprocess_of(processor: Any) -> AnyPreprocess:
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
