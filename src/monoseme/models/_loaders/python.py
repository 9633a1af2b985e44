"""python:package.module:factory, a function of the user's that returns a model."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from torch import nn

from ...base import MonosemeError, UsageError, did_you_mean, first_line
from .._model import Model
from .._preprocess import CallablePreprocess, Preprocess
from .common import Loaded, Request, fill, read_state, sized, weights_file


def load(request: Request) -> Loaded:
    """What the factory returns: a module (ImageNet preprocessing is then assumed), (module, preprocess), or a `Model`.

    The module is looked for as Python would when started here: the current folder counts.
    """
    module_name, colon, attribute = request.name.partition(":")
    if not (module_name and colon and attribute):
        raise UsageError(f"{request.spec} must name a module and a function in it: python:package.module:factory")
    if request.random:
        raise UsageError(f'weights="none" means nothing for {request.spec}: its factory decides on the weights')
    path = weights_file(request)
    with _current_folder_importable():
        factory = getattr(_imported(module_name, request), attribute, None)
        if factory is None:
            names = [name for name in vars(sys.modules[module_name]) if not name.startswith("_")]
            raise UsageError(f"the module {module_name} has no {attribute}{did_you_mean(attribute, names)}")
        if not callable(factory):
            raise UsageError(f"{attribute} in {module_name} is a {type(factory).__name__}, not a function to call")
        made = factory()
    if isinstance(made, Model):
        loaded = Loaded(
            made.module,
            made.preprocess,
            made.classes,
            input_size=made.input_size,
            layouts=made.stated_layouts,
            prefix_tokens=made.stated_prefix_tokens,
        )
    else:
        loaded = _from_module(made, request)
    if path is not None:
        fill(loaded.module, read_state(path), path)
    if request.image_size is not None:
        loaded = replace(loaded, preprocess=sized(loaded.preprocess, request), input_size=None)
    return loaded


def _from_module(made: object, request: Request) -> Loaded:
    module, preprocess = made if isinstance(made, tuple) and len(made) == 2 else (made, Preprocess.imagenet())
    if not isinstance(module, nn.Module) or not (isinstance(preprocess, Preprocess) or callable(preprocess)):
        raise UsageError(
            f"{request.spec} must return a torch.nn.Module, a pair (module, preprocess) or a monoseme Model, "
            f"not a {type(made).__name__}"
        )
    if not isinstance(preprocess, Preprocess | CallablePreprocess):
        preprocess = CallablePreprocess(preprocess)
    return Loaded(module, preprocess)


def _imported(name: str, request: Request) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise MonosemeError(f"{request.spec} cannot be imported: {first_line(error)}") from error
        raise UsageError(
            f"there is no module {error.name} for {request.spec}; install it, or run from the folder that holds it"
        ) from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """At the end of the path, so that nothing there hides an installed package."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)
