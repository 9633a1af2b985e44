"""The pass from a layer on: what comes before it is computed once for a batch, and what follows as often as wanted."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from ..base import MonosemeError, UsageError
from ._changes import Change, one_layer, require_unchanged
from ._model import Model
from ._outputs import first_tensor, logits, with_first_tensor
from ._taps import Enough

_SAMPLE = 2


@dataclass(frozen=True)
class Begun:
    """A batch that has come as far as the layer. Made by `FromLayer.begin`.

    images : (B, C, H, W) as the module takes them, or their form alone where the rest of the pass does not ask for them
    output : what the layer gave, a tensor, whose channels, positions or tokens lie as the layer gives them
    whole : the same with all that the layer gave beside it
    before : by module, what each call of it gave that the rest of the pass may ask for, in order
    """

    images: object
    output: Tensor
    whole: object
    before: Mapping[str, Sequence[object]]

    def __len__(self) -> int:
        return len(self.output)

    def take(self, rows: Tensor) -> Begun:
        """Some of the images by their place in the batch (n,), repeats allowed."""
        rows = rows.to(self.output.device)

        def taken(item: object) -> object:
            if isinstance(item, _Hole) and item.shape[:1] == (len(self),):
                return item.of(len(rows))
            if isinstance(item, Tensor) and item.ndim and len(item) == len(self):
                return _rows(item, rows)
            return item

        before = {name: [_mapped(each, taken) for each in calls] for name, calls in self.before.items()}
        return Begun(taken(self.images), _rows(self.output, rows), _mapped(self.whole, taken), before)


class FromLayer:
    """A model that starts at a layer: begin a batch once, then ask as often as wanted what the model makes of it if the layer
    gives something else.

    Of the modules before the layer none is run again. The few whose output is also used after the layer (the branch that goes
    round it, in a residual block) give a copy of what they gave; the others, of which nothing is needed, give zeros of that
    shape. Which are which is found by following gradients once; that the outcome is the same is verified on a sample, and
    where it is not, the whole pass is run each time (`skips` is then False). A copy of the module that shares its weights does
    the work, so that other passes of the model are not disturbed. One thread at a time may use it.

    Parameters
    ----------
    model
        From `load_model` or `wrap`, with predictions.
    layer
        Its exact name.
    sample : (B, C, H, W) Tensor, optional
        Images to verify on, at least two; noise by default.

    Raises
    ------
    UsageError
        There is no such layer, the model gives no predictions, or it is being changed by a `Change`.

    Examples
    --------
    >>> from monoseme.models import Preprocess, wrap
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 14 * 14, 5))
    >>> from_layer, images = FromLayer(wrap(net, Preprocess.imagenet(16), device="cpu"), "1"), torch.rand(4, 3, 16, 16)
    >>> begun = from_layer.begin(images)
    >>> torch.equal(from_layer(begun, begun.output), net(images)), from_layer(begun, begun.output * 0).shape
    (True, torch.Size([4, 5]))
    """

    def __init__(self, model: Model, layer: str, sample: Tensor | None = None) -> None:
        self.model, self.info = model, one_layer(model, layer)
        if model.outputs is None:
            raise UsageError(f"{model.spec} gives no predictions that could change; give a model with its classifier")
        require_unchanged(model)
        twin = model.twin()
        self._module = (model if twin is None else twin).module.eval()
        self._names = {module: name for name, module in self._module.named_modules()}
        self._kept: frozenset[str] | None = None  # names of modules whose outputs are needed; None for all
        self._keep_images = True
        self._zeros: dict[torch.dtype, Tensor] = {}
        self.skips = True
        """Whether the modules before the layer are skipped."""
        noise = torch.rand((_SAMPLE, *model.input_size), generator=torch.Generator().manual_seed(0))
        images = model.batch(noise if sample is None else sample)
        self.skips = any(self._works(images, kept) for kept in (self._needed, self._everything))

    def begin(self, images: Tensor) -> Begun:
        """Run (B, C, H, W) images as far as the layer.

        Raises
        ------
        MonosemeError
            The pass did not come by the layer.
        """
        batch = self.model.batch(images)
        recorder = _Recorder(self._names, self.info.name, self.info.calls, self._kept if self.skips else frozenset())
        with recorder.on(), torch.no_grad(), suppress(Enough):
            self._module(batch)
        output = first_tensor(recorder.output)
        if output is None:
            raise MonosemeError(
                f"the forward pass of {self.model.spec} did not come by layer {self.info.name}, though it did in the dry run"
            )
        # what follows may work in place on what the layer gave
        kept = output.clone()
        shown = batch if self._keep_images or not self.skips else _Hole.like(batch)
        return Begun(shown, kept, with_first_tensor(recorder.output, kept), recorder.before)

    def __call__(self, begun: Begun, output: Tensor) -> Tensor:
        """Predictions (B, classes) float32 if the layer gives `output`, of the shape of ``begun.output``. Gradients flow.

        Raises
        ------
        UsageError
            The output has another shape.
        """
        if output.shape != begun.output.shape:
            raise UsageError(f"layer {self.info.name} gives {tuple(begun.output.shape)}, not {tuple(output.shape)}")
        if not self.skips:
            with Change(self.model, self.info.name, lambda _: output.clone()):
                found = self.model.module.eval()(begun.images)
        else:
            found = self._resumed(begun, output)
        predicted = logits(found, len(begun))
        if predicted is None:
            raise MonosemeError(f"{self.model.spec} gave no predictions, though it did in the dry run")
        return predicted.float()

    def _resumed(self, begun: Begun, output: Tensor) -> object:
        given = {name: [self._copy(each) for each in calls] for name, calls in begun.before.items()}
        given.setdefault(self.info.name, []).append(with_first_tensor(begun.whole, output.clone()))
        images = self._copy(begun.images) if isinstance(begun.images, _Hole) else begun.images
        with _replaying(self._module, given):
            return self._module(images)

    def _copy(self, output: object) -> object:
        """What a skipped module gives: a copy each time, for what follows may work in place."""

        def filled(item: object) -> object:
            if isinstance(item, _Hole):
                return self._filled(item)
            return item.clone() if isinstance(item, Tensor) else item

        return _mapped(output, filled)

    def _filled(self, hole: _Hole) -> Tensor:
        """A tensor of that form; all share one memory, for nobody reads them."""
        zeros = self._zeros.get(hole.dtype)
        if zeros is None or len(zeros) < hole.extent:
            zeros = self._zeros[hole.dtype] = torch.zeros(hole.extent, dtype=hole.dtype, device=self.model.device)
        return zeros.detach().as_strided(hole.shape, hole.stride)

    def _needed(self, images: Tensor) -> frozenset[str]:
        """Modules before the layer from whose outputs gradients come back, with the layer's output held fast."""
        self._kept, self._keep_images = None, True
        begun = self.begin(images)
        leaves: list[tuple[str, Tensor]] = []

        def leaf(name: str, item: object) -> object:
            if not isinstance(item, Tensor) or not item.is_floating_point():
                return item
            leaves.append((name, item.detach().requires_grad_()))
            return leaves[-1][1]

        before = {name: [_mapped(each, partial(leaf, name)) for each in calls] for name, calls in begun.before.items()}
        pictures = leaf("", begun.images)
        with torch.enable_grad():
            predicted = self(Begun(pictures, begun.output, begun.whole, before), begun.output)
            if not predicted.requires_grad:
                found: Sequence[Tensor | None] = [None] * len(leaves)
            else:
                found = torch.autograd.grad(predicted.sum(), [tensor for _, tensor in leaves], allow_unused=True)
        needed = {name for (name, _), gradient in zip(leaves, found, strict=True) if gradient is not None}
        self._keep_images = "" in needed
        return frozenset(needed)

    def _everything(self, _images: Tensor) -> None:
        self._keep_images = True

    def _works(self, images: Tensor, needed: Callable[[Tensor], frozenset[str] | None]) -> bool:
        """Whether the pass from the layer on gives what the whole pass gives, with the layer's output as it is and changed."""
        try:
            self._kept = needed(images)
            begun = self.begin(images)
            self.begin(images.flip(0))  # a network that hands things on in attributes now holds those of another batch
            with torch.no_grad():
                for output in (begun.output, 1.1 * begun.output.flip(0)):
                    with Change(self.model, self.info.name, lambda _, changed=output: changed.clone()):  # type: ignore[misc]
                        expected = logits(self.model.module.eval()(images), len(begun))
                    if expected is None or not _same(self(begun, output), expected.float()):
                        return False
        except Exception:  # whatever a foreign module raises when a part of it is not run
            return False
        return True


def _same(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@dataclass(frozen=True)
class _Hole:
    """A tensor of which nothing is needed but its form."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def like(cls, item: object) -> object:
        return cls(tuple(item.shape), item.stride(), item.dtype) if isinstance(item, Tensor) else item

    def of(self, count: int) -> _Hole:
        """For so many images, whose numbers lie one image after another as they do now."""
        if self.stride[0] >= max(self.stride):
            return _Hole((count, *self.shape[1:]), self.stride, self.dtype)
        return _Hole(
            (count, *self.shape[1:]), torch.empty((count, *self.shape[1:]), device="meta").stride(), self.dtype
        )

    @property
    def extent(self) -> int:
        """How many numbers its memory spans."""
        if 0 in self.shape:
            return 1
        return 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))


@dataclass
class _Recorder:
    """Hooks that follow a pass up to the layer and note what the finished modules gave that the unfinished ones have called.

    What those called in turn is not run again either.
    """

    names: Mapping[nn.Module, str]
    layer: str
    calls: int
    kept: frozenset[str] | None
    output: object = None
    before: dict[str, list[object]] = field(default_factory=dict)
    _open: list[list[tuple[str, object]]] = field(default_factory=lambda: [[]])
    _calls: int = 0
    _thread: int = field(default_factory=get_ident)

    @contextmanager
    def on(self) -> Iterator[None]:
        handles = []
        try:
            for module in self.names:
                handles.append(module.register_forward_pre_hook(self._begins))
                handles.append(module.register_forward_hook(self._ends))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begins(self, _module: nn.Module, _args: object) -> None:
        if self._thread == get_ident():
            self._open.append([])

    def _ends(self, module: nn.Module, _args: object, output: object) -> None:
        if self._thread != get_ident():
            return
        self._open.pop()
        name = self.names[module]
        if name == self.layer:
            self._calls += 1
            if self._calls == self.calls:
                self.output = output
                for finished in self._open:
                    for each, given in finished:
                        self.before.setdefault(each, []).append(given)
                raise Enough
        keep = self.kept is None or name in self.kept
        self._open[-1].append((name, _mapped(output, _copied if keep else _Hole.like)))


@contextmanager
def _replaying(module: nn.Module, given: Mapping[str, Sequence[object]]) -> Iterator[None]:
    """Modules give what is listed instead of running, call by call; when their list is at its end they run."""
    thread, calls = get_ident(), Counter[str]()
    own = [(name, module.get_submodule(name)) for name in given]
    before = [each.__dict__.get("forward") for _, each in own]

    def stub(name: str, forward: Callable[..., object]) -> Callable[..., object]:
        def instead(*args: Any, **options: Any) -> object:
            if thread == get_ident():
                calls[name] += 1
                if calls[name] <= len(given[name]):
                    return given[name][calls[name] - 1]
            return forward(*args, **options)

        return instead

    try:
        for name, each in own:
            each.__dict__["forward"] = stub(name, each.forward)
        yield
    finally:
        for (_, each), old in zip(own, before, strict=True):
            if old is None:
                each.__dict__.pop("forward", None)
            else:
                each.__dict__["forward"] = old


def _rows(item: Tensor, rows: Tensor) -> Tensor:
    """Some images of a tensor, in its memory layout."""
    if item.ndim == 4 and item.is_contiguous(memory_format=torch.channels_last):
        return item.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return item.index_select(0, rows)


def _copied(item: object) -> object:
    return item.clone() if isinstance(item, Tensor) else item


def _mapped(output: object, change: Callable[[object], object]) -> object:
    """The same tuples, lists and mappings with other leaves."""
    if isinstance(output, Mapping):
        other: Any = copy.copy(output)  # transformers' ModelOutput is a mapping with attributes
        for key, item in output.items():
            other[key] = _mapped(item, change)
        return other
    if isinstance(output, tuple | list):
        kind: Any = type(output)
        items = [_mapped(item, change) for item in output]
        return kind(*items) if hasattr(output, "_fields") else kind(items)
    return change(output)
