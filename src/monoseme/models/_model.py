"""A model ready to be read: the module, what it needs of a picture, and its layers."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from itertools import chain
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from ..base import MonosemeError, UsageError, did_you_mean, first_line
from ._layers import LayerInfo, Probe, check_layout, default_layer, is_glob, matching, probe
from ._outputs import floating_dtype
from ._preprocess import AnyPreprocess, CallablePreprocess, Preprocess

_PROBE_BATCH = 2


class Model:
    """A vision model in evaluation mode, with its preprocessing. Made by `load_model` and `wrap`.

    Attributes
    ----------
    spec : what it was loaded from, or ``wrapped:ClassName``.
    module : the network, in evaluation mode, without gradients for its weights, on `device`.
    preprocess : from a PIL image to the network's input.
    input_size : (C, H, W).
    stated_layouts, stated_prefix_tokens : what the user said where detection fails.
    """

    spec: str
    module: nn.Module
    preprocess: AnyPreprocess
    device: torch.device
    input_size: tuple[int, int, int]

    def __init__(
        self,
        module: nn.Module,
        preprocess: AnyPreprocess,
        *,
        spec: str,
        device: torch.device,
        input_size: tuple[int, int, int],
        classes: Sequence[str] | None = None,
        layouts: Mapping[str, str] | None = None,
        prefix_tokens: int | None = None,
        packages: Sequence[str] = (),
    ) -> None:
        for pattern, layout in (layouts or {}).items():
            check_layout(pattern, layout)
        if prefix_tokens is not None and prefix_tokens < 0:
            raise UsageError(f"prefix_tokens counts tokens and cannot be {prefix_tokens}")
        self.spec = spec
        self.module = module.eval().requires_grad_(False).to(device)
        self.preprocess = preprocess
        self.device = device
        self.input_size = input_size
        self._classes = None if classes is None else tuple(classes)
        self.stated_layouts = dict(layouts or {})
        self.stated_prefix_tokens = prefix_tokens
        self._packages = ("torch", *packages)
        self._memory_format = torch.channels_last
        _lay_out_convolutions(self.module, self._memory_format)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input_size))
        return f"<model {self.spec}: {type(self.module).__name__}, input {size}, on {self.device}>"

    def layers(self) -> dict[str, LayerInfo]:
        """Every named submodule and what it gives, in the order in which they finish; found by one dry run, then kept."""
        return dict(self._probe.layers)

    def default_layer(self) -> str:
        """The last layer that still has positions: ``layer4`` of a ResNet, the last norm of a vision transformer."""
        return default_layer(self._probe.layers)

    @property
    def outputs(self) -> int | None:
        """How many units the model's own output has, or None for a feature extractor."""
        return self._probe.outputs

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the units of the model's output, where known."""
        return self._classes

    @cached_property
    def weights_digest(self) -> str:
        """A digest of the weights: BLAKE2b over sorted names, types, shapes and bytes of the state dict."""
        state = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.module.state_dict().items()):
            if isinstance(tensor, Tensor):  # modules may keep other things beside their tensors
                state.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
                flat = tensor.detach().cpu().contiguous().reshape(-1)
                state.update(flat.view(torch.uint8).numpy().data)
        return state.hexdigest()

    def resolve(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The layers that names and globs stand for, each once, in the order in which they finish.

        Raises
        ------
        UsageError
            A name is unknown, a glob matches nothing, or a named layer cannot be read.
        """
        layers = self._probe.layers
        chosen: set[str] = set()
        for pattern in (patterns,) if isinstance(patterns, str) else patterns:
            matched = matching(pattern, layers)
            if not matched:
                what = "no layer that matches" if is_glob(pattern) else "no layer"
                raise UsageError(
                    f"{self.spec} has {what} {pattern}{did_you_mean(pattern, layers)} (`monoseme layers {self.spec}` lists them)"
                )
            usable = [name for name in matched if layers[name].unusable is None]
            if not usable:
                raise UsageError(f"layer {matched[0]} of {self.spec} cannot be read: {layers[matched[0]].unusable}")
            chosen.update(usable)
        return tuple(name for name in layers if name in chosen)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that tell this model from another: for manifests."""
        return {
            "spec": self.spec,
            "class": f"{type(self.module).__module__}.{type(self.module).__qualname__}",
            "weights_digest": self.weights_digest,
            "dtype": str(floating_dtype(self.module)).removeprefix("torch."),
            "preprocess": self.preprocess.describe(),
            "input_size": list(self.input_size),
            "layouts": dict(self.stated_layouts),
            "prefix_tokens": self.stated_prefix_tokens,
            "versions": {name: _version(name) for name in self._packages},
        }

    def twin(self) -> Model | None:
        """A model that shares these weights and nothing else, to run in another thread at the same time.

        Modules may keep what they are computing in attributes of their own, so one module must not run twice at once. None
        when the module cannot be copied.
        """
        shared = {id(tensor): tensor for tensor in chain(self.module.parameters(), self.module.buffers())}
        try:
            module = copy.deepcopy(self.module, shared)
        except Exception:  # whatever a foreign module holds that has no copy
            return None
        twin = copy.copy(self)
        twin.module = module
        return twin

    def with_preprocess(self, preprocess: AnyPreprocess) -> Model:
        """The same network behind another preprocessing."""
        other = copy.copy(self)
        other.__dict__.pop("_probe", None)  # the dry run was made with pictures of the other size
        other.preprocess = preprocess
        other.input_size = input_size_of(preprocess, None)
        return other

    def with_module(self, module: nn.Module) -> Model:
        """Another network behind the same preprocessing, called ``wrapped:`` and what this one is called."""
        return Model(
            module,
            self.preprocess,
            spec=f"wrapped:{self.spec.removeprefix('wrapped:')}",
            device=self.device,
            input_size=self.input_size,
            classes=self._classes,
            layouts=self.stated_layouts,
            prefix_tokens=self.stated_prefix_tokens,
            packages=self._packages[1:],
        )

    def batch(self, images: Tensor) -> Tensor:
        """`images` (B, C, H, W) as the module takes them: on its device, in its number type and memory layout.

        Raises
        ------
        UsageError
            It is no batch of floating-point images.
        """
        if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
            what = f"{images.dtype} of {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise UsageError(
                f"a batch is a floating-point (B, C, H, W) tensor, not {what}; make one with model.preprocess.tensor(pixels)"
            )
        images = images.to(self.device, self._dtype)
        return images.contiguous(memory_format=self._memory_format)

    @cached_property
    def _dtype(self) -> torch.dtype:
        return floating_dtype(self.module)

    @cached_property
    def _probe(self) -> Probe:
        noise = torch.rand((_PROBE_BATCH, *self.input_size), generator=torch.Generator().manual_seed(0))
        try:
            try:
                found = self._probed(noise)
            except RuntimeError as error:
                if "view size is not compatible" not in str(error):
                    raise
                # the module reshapes maps with Tensor.view, which channels-last memory does not allow
                self._memory_format = torch.contiguous_format
                _lay_out_convolutions(self.module, self._memory_format)
                found = self._probed(noise)
        except MonosemeError:
            raise
        except Exception as error:  # whatever a foreign module raises on pictures of this size
            size = "x".join(map(str, self.input_size))
            raise MonosemeError(
                f"{self.spec} does not take images of {size}: {first_line(error)}; give the image size that it takes"
            ) from error
        if self._classes is not None and found.outputs is not None and len(self._classes) != found.outputs:
            raise UsageError(
                f"{len(self._classes)} class names are given for the {found.outputs} outputs of {self.spec}"
            )
        return found

    def _probed(self, noise: Tensor) -> Probe:
        return probe(
            self.module.eval(), self.batch(noise), layouts=self.stated_layouts, prefix_tokens=self.stated_prefix_tokens
        )


def wrap(
    module: nn.Module,
    preprocess: AnyPreprocess | Callable[[Image.Image], Any],
    *,
    input_size: tuple[int, int, int] | None = None,
    name: str | None = None,
    device: str = "auto",
    classes: Sequence[str] | None = None,
    layouts: Mapping[str, str] | None = None,
    prefix_tokens: int | None = None,
) -> Model:
    """Your own module, ready to be read. The module itself is used: it is moved to the device, put into
    evaluation mode, and its parameters no longer ask for gradients.

    Parameters
    ----------
    module
        Takes (B, C, H, W).
    preprocess
        A `Preprocess`, or a function from a PIL image to a (C, H, W) tensor or array.
    input_size
        (C, H, W); found by preprocessing a blank picture when left out.
    name
        What to call it in place of ``wrapped:ClassName``.
    device
        "auto" (a GPU if there is one), or as torch writes them. "auto" leaves a module on an accelerator where it is.
    classes
        Names of the units of its output.
    layouts
        Layer name or glob -> "NCHW", "NHWC", "NLC" or "NC", where detection fails.
    prefix_tokens
        Tokens before the patch tokens, where detection fails.

    Raises
    ------
    UsageError
        It is no module, the sizes contradict each other, or a layout is unknown.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> model = wrap(net, Preprocess.imagenet(32), device="cpu")
    >>> model.default_layer(), model.layers()["1"].shape, model.outputs
    ('1', (8, 15, 15), 5)
    """
    # a compiled module runs without the hooks of its parts; the module inside has the same weights
    module = getattr(module, "_orig_mod", module)
    if not isinstance(module, nn.Module):
        raise UsageError(f"a model is a torch.nn.Module, not a {type(module).__name__}")
    if any(isinstance(tensor, UninitializedParameter) or tensor.is_meta for tensor in module.parameters()):
        raise UsageError(
            f"{type(module).__name__} has weights without values; load them, and run lazy modules once, first"
        )
    if not isinstance(preprocess, Preprocess | CallablePreprocess):
        if not callable(preprocess):
            raise UsageError(
                "preprocess must be a monoseme Preprocess or a function from a PIL image to a (C, H, W) tensor, "
                f"not a {type(preprocess).__name__}"
            )
        preprocess = CallablePreprocess(preprocess)
    return Model(
        module,
        preprocess,
        spec=name or f"wrapped:{type(module).__name__}",
        device=pick_device(device, module),
        input_size=input_size_of(preprocess, input_size),
        classes=classes,
        layouts=layouts,
        prefix_tokens=prefix_tokens,
    )


def pick_device(wanted: str, module: nn.Module) -> torch.device:
    """The device that "auto" or torch's name for it means; raises a `UsageError` when it is not there."""
    if wanted == "auto":
        tensor = next(module.parameters(), None)
        if tensor is not None and tensor.device.type not in ("cpu", "meta"):
            return tensor.device
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises the latter when built without CUDA
        raise UsageError(f"the device {wanted} cannot be used here ({first_line(error)}); cpu always can") from error
    return device


def input_size_of(preprocess: AnyPreprocess, stated: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """(C, H, W) of what the preprocessing makes; raises a `UsageError` when that contradicts what is stated."""
    if isinstance(preprocess, Preprocess):
        if preprocess.size is None:
            raise UsageError(
                "without a crop the preprocessing makes pictures of many shapes, which cannot form a batch; give it one"
            )
        found = (preprocess.channels, *preprocess.size)
    elif stated is not None:
        return stated
    else:
        made = preprocess.pixels(Image.new("RGB", (640, 480), (128, 128, 128)))
        found = (made.shape[0], made.shape[1], made.shape[2])
    if stated is not None and tuple(stated) != found:
        raise UsageError(f"input_size is {tuple(stated)}, but the preprocessing makes {found}")
    return found


def _lay_out_convolutions(module: nn.Module, memory_format: torch.memory_format) -> None:
    """Weights in channels-last memory make 2-D convolutions 1.4 to 2 times as fast, on CPUs too."""
    for inner in module.modules():
        if isinstance(inner, nn.Conv2d | nn.ConvTranspose2d):
            inner.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack this form


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
