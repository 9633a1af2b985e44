"""What all loaders share: the request, the answer, optional packages, and weights from local files."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ...base import MissingExtraError, MonosemeError, UsageError, first_line, join_words
from .._preprocess import AnyPreprocess, Preprocess

# Under which key training scripts put the state dict, and what wrappers put before its names.
_NESTED = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    spec: str
    """As given."""
    name: str
    """The spec without its prefix."""
    weights: str | None = None
    """A local file, "none" for random weights, or None for the model's own."""
    image_size: int | None = None
    """Short side of the input in pixels, or None for the model's own."""

    @property
    def random(self) -> bool:
        """Whether random weights were asked for."""
        return self.weights == "none"


@dataclass(frozen=True)
class Loaded:
    """What a loader found."""

    module: nn.Module
    preprocess: AnyPreprocess
    classes: tuple[str, ...] | None = None
    packages: tuple[str, ...] = ()
    """Distributions whose versions matter."""
    input_size: tuple[int, int, int] | None = None
    layouts: Mapping[str, str] = field(default_factory=dict)
    prefix_tokens: int | None = None


def import_extra(package: str, request: Request, extra: str) -> ModuleType:
    """Import an optional package.

    Raises
    ------
    MissingExtraError
        It, or what it needs, is not installed.
    MonosemeError
        It is installed but broken: mostly a torchvision made for another torch.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        raise MissingExtraError(f"loading {request.spec}", package=missing, extra=extra) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise broken(package, error) from error


def broken(package: str, error: BaseException) -> MonosemeError:
    """The error for a package that is there but cannot be imported."""
    text = first_line(error)
    if package == "torchvision" or "torchvision" in text:
        return MonosemeError(
            f"torchvision does not match torch {torch.__version__} ({text}); install the torchvision made for it, "
            "from the same index as torch"
        )
    return MonosemeError(f"{package} is installed but cannot be imported ({text}); install it again")


def sized(preprocess: AnyPreprocess, request: Request) -> AnyPreprocess:
    """The preprocessing for the image size that was asked for.

    Raises
    ------
    UsageError
        It is a callable, whose size cannot be changed.
    """
    if request.image_size is None:
        return preprocess
    if not isinstance(preprocess, Preprocess):
        raise UsageError(
            f"the image size of {request.spec} cannot be changed: its preprocessing is a function of its own"
        )
    return preprocess.with_size(request.image_size)


@contextmanager
def seeded() -> Iterator[None]:
    """Random weights that are the same every time, without disturbing the caller's random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def unfetched(request: Request, error: BaseException) -> MonosemeError:
    """The error for weights that could not be downloaded."""
    return MonosemeError(
        f"the weights of {request.spec} could not be fetched ({first_line(error)}); "
        'connect to the network, give weights=PATH to a local state dict, or weights="none" for random ones'
    )


def weights_file(request: Request) -> Path | None:
    """The local file that was asked for, or None.

    Raises
    ------
    UsageError
        There is no such file.
    """
    if request.weights is None or request.random:
        return None
    path = Path(request.weights).expanduser()
    if not path.is_file():
        raise UsageError(f'weights must be an existing file or "none", but there is no file {request.weights}')
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """Names and tensors from a .safetensors file or one that `torch.save` wrote; nothing is unpickled but tensors.

    Raises
    ------
    MonosemeError
        It holds something else.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise MonosemeError(f"{path} is not a readable safetensors file ({first_line(error)})") from error
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise MonosemeError(
            f"{path} holds no plain tensors, and other objects are not loaded because that could run code; "
            "save the model's state_dict() alone, or as safetensors"
        ) from error
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise MonosemeError(f"{path} holds no state dict; save the model's state_dict() alone, or as safetensors")
    state = dict(content)
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict into a module that it must fit exactly.

    Raises
    ------
    MonosemeError
        Names or shapes differ; the sentence shows which.
    """
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise MonosemeError(f"the weights in {path} do not fit: {lines[-1].strip().rstrip('.')}") from error
    # batch norm did without this counter in early versions of torch
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    wrong = [f"{some(names)} {what}" for names, what in ((missing, "missing"), (unexpected, "unexpected")) if names]
    if wrong:
        raise MonosemeError(f"the weights in {path} do not fit {type(module).__name__}: {join_words(wrong, 'and')}")


def some(names: list[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
