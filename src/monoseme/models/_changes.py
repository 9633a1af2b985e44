"""Changes: a layer gives something else than it computed, for as long as a ``with`` block lasts."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, get_ident
from types import TracebackType
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..base import MonosemeError, UsageError
from ._layers import LayerInfo
from ._model import Model
from ._outputs import first_tensor, with_first_tensor

Edit = Callable[[Tensor], Tensor]


class Change:
    """A layer of a model that gives ``edit(output)`` while the ``with`` block lasts.

    What is changed is a new tensor, so that operations in place that follow cannot reach what the layer itself holds. Changes
    of one layer are made in the order in which their blocks were entered, and before anything else reads the layer: `Tapped`
    and `ToLayer` see what was changed, whenever they were made. Only passes of the thread that entered the block are
    changed. Of a layer that is called more than once in a pass, the last call is changed, which is the one that taps read.

    Parameters
    ----------
    model
        From `load_model` or `wrap`.
    layer
        Its exact name.
    edit
        From the layer's output to one of the same shape and type, which it must not change in place.
    what
        In words, for those who look at it.

    Raises
    ------
    UsageError
        There is no such layer, or it cannot be read.

    Examples
    --------
    >>> import torch
    >>> from monoseme.models import Preprocess, Tap, Tapped, wrap
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True))
    >>> model, tap = wrap(net, Preprocess.imagenet(16), device="cpu"), Tap("1")
    >>> with Change(model, "0", lambda maps: maps * 0):
    ...     Tapped(model, [tap], predictions=False)(torch.rand(1, 3, 16, 16)).pooled[tap].abs().sum().item()
    0.0
    """

    def __init__(self, model: Model, layer: str, edit: Edit, what: str = "change") -> None:
        self.model, self.info = model, one_layer(model, layer)
        self.edit, self.what = edit, what
        self._thread: int | None = None
        self._counter: RemovableHandle | None = None
        self._calls = 0

    def __enter__(self) -> Change:
        if self._thread is not None:
            raise UsageError(f"{self!r} is in force already; make another one")
        self._thread = get_ident()
        try:
            if self.info.calls > 1:
                self._counter = self.model.module.register_forward_pre_hook(self._begin)
            _add(self.model.module.get_submodule(self.info.name), self)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def __repr__(self) -> str:
        return f"<{self.what} at layer {self.info.name} of {self.model.spec}>"

    def applied(self, output: object) -> object:
        """What a module gave, with the edit made to its tensor."""
        self._calls += 1
        tensor = first_tensor(output)
        if tensor is None or (self.info.calls > 1 and self._calls != self.info.calls):
            return output
        changed = self.edit(tensor)
        if changed.shape != tensor.shape:
            raise MonosemeError(
                f"a {self.what} made {tuple(changed.shape)} of what layer {self.info.name} gave, {tuple(tensor.shape)}"
            )
        return with_first_tensor(output, changed)

    @property
    def here(self) -> bool:
        """Whether passes of this thread are changed."""
        return self._thread == get_ident()

    def _begin(self, _module: nn.Module, _args: object) -> None:
        if self.here:
            self._calls = 0

    def _end(self) -> None:
        _remove(self.model.module.get_submodule(self.info.name), self)
        if self._counter is not None:
            self._counter.remove()
        self._counter = self._thread = None


def one_layer(model: Model, layer: str) -> LayerInfo:
    """The description of one layer by its exact name.

    Raises
    ------
    UsageError
        There is no such layer, it cannot be read, or several are named.
    """
    (name,) = model.resolve([layer])[:1]
    if name != layer:
        raise UsageError(f"name one layer, not {layer}; model.resolve turns patterns into names")
    return model.layers()[name]


def require_unchanged(model: Model) -> None:
    """Raise a `UsageError` where passes of this thread would be changed: what is kept must be the model's own."""
    with _lock:
        names = {id(module) for module in model.module.modules()}
        found = [change for module, (_, changes) in _changed.items() if id(module) in names for change in changes]
    for change in found:
        if change.here:
            raise UsageError(
                f"a {change.what} is in force at layer {change.info.name} of {model.spec}; what is kept must be the model's own, "
                "so leave its with block first"
            )


# One hook a module for all its changes: among hooks of their own, the order would be that of torch.
_changed: WeakKeyDictionary[nn.Module, tuple[RemovableHandle, tuple[Change, ...]]] = WeakKeyDictionary()
_lock = Lock()


def _add(module: nn.Module, change: Change) -> None:
    with _lock:
        if module in _changed:
            handle, changes = _changed[module]
        else:
            handle, changes = module.register_forward_hook(_hook, prepend=True), ()
        _changed[module] = handle, (*changes, change)


def _remove(module: nn.Module, change: Change) -> None:
    with _lock:
        if module not in _changed:
            return
        handle, changes = _changed[module]
        left = tuple(each for each in changes if each is not change)
        if left:
            _changed[module] = handle, left
        else:
            handle.remove()
            del _changed[module]


def _hook(module: nn.Module, _args: object, output: object) -> object:
    # A copy of a module carries this hook and has no changes.
    for change in _changed.get(module, (None, ()))[1]:
        if change.here:
            output = change.applied(output)
    return output
