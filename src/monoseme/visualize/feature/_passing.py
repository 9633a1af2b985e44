"""ReLUs that pass gradients on: a start for neurons that are silent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class PassingReLUs(TorchFunctionMode):
    """While a ``with`` block lasts, ReLU and ReLU6 (and hardtanh) pass gradients back where they
    would let nothing of an image through.

    For an image to which a ReLU gives no gradient at all, its gradient goes on as if the ReLU were not there, but where it would
    push a value that is cut off further away (Lucid's redirected ReLU). Modules, functions and methods are caught, those in
    place too; the model itself is not changed.

    Examples
    --------
    >>> dead = torch.full((1, 3), -1.0, requires_grad=True)
    >>> with PassingReLUs():
    ...     loss = -torch.nn.ReLU(inplace=True)(dead * 1).sum()
    >>> loss.backward()
    >>> dead.grad
    tensor([[-1., -1., -1.]])
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        names = _NAMES.get(func)
        if names is None or not torch.is_grad_enabled():
            return func(*args, **(kwargs or {}))
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        floor, ceiling = (given.get("min_val", -1.0), given.get("max_val", 1.0)) if "min_val" in names else _ENDS[func]
        return _Passing.apply(  # type: ignore[no-untyped-call]
            given["input"], floor, ceiling, func in _IN_PLACE or given.get("inplace", False)
        )


_IN_PLACE = (functional.relu_, torch.relu_, Tensor.relu_, functional.hardtanh_)
_ENDS: dict[Callable[..., Any], tuple[float, float]] = {
    **dict.fromkeys(
        (functional.relu, torch.relu, Tensor.relu, functional.relu_, torch.relu_, Tensor.relu_), (0.0, math.inf)
    ),
    functional.relu6: (0.0, 6.0),
}
# torch.nn.ReLU6 is a hardtanh from 0 to 6
_NAMES: dict[Callable[..., Any], tuple[str, ...]] = {
    **dict.fromkeys(_ENDS, ("input", "inplace")),
    **dict.fromkeys((functional.hardtanh, functional.hardtanh_), ("input", "min_val", "max_val", "inplace")),
}


class _Passing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, floor: float, ceiling: float, in_place: bool) -> Tensor:
        if in_place:
            ctx.mark_dirty(tensor)  # what was given may be used further on
        output = tensor.clamp_(floor, ceiling) if in_place else tensor.clamp(floor, ceiling)
        ctx.save_for_backward(output)
        ctx.ends = floor, ceiling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (output,) = ctx.saved_tensors
        floor, ceiling = ctx.ends
        usual: Tensor = torch.ops.aten.hardtanh_backward(gradient, output, floor, ceiling)
        silent = ~usual.any(dim=tuple(range(1, usual.ndim)), keepdim=True)
        if bool(silent.any()):
            # it is the gradient of a loss, which falls the other way
            further = ((output <= floor) & (gradient > 0)) | ((output >= ceiling) & (gradient < 0))
            usual = torch.where(silent, gradient.masked_fill(further, 0), usual)
        return usual, None, None, None
