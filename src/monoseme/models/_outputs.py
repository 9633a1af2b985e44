"""Finding the tensor in whatever a module returns."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor


def first_tensor(output: object) -> Tensor | None:
    """The tensor that stands for a module's output: itself, the last hidden state, or the first in a tuple, list or mapping.

    >>> first_tensor((None, torch.zeros(2), torch.ones(3)))
    tensor([0., 0.])
    >>> first_tensor({"attentions": torch.zeros(1), "last_hidden_state": torch.ones(2)})
    tensor([1., 1.])
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        # transformers' ModelOutput is a mapping too
        named = output.get("last_hidden_state")
        return named if isinstance(named, Tensor) else first_tensor(tuple(output.values()))
    if isinstance(output, tuple | list):
        return next((item for item in output if isinstance(item, Tensor)), None)
    return None


def with_first_tensor(output: object, tensor: Tensor) -> object:
    """A module's output with another tensor in place of that which `first_tensor` finds; the output itself is left as it is.

    >>> with_first_tensor((None, torch.zeros(2), torch.ones(1)), torch.ones(2))
    (None, tensor([1., 1.]), tensor([1.]))
    """
    if isinstance(output, Mapping):
        named = isinstance(output.get("last_hidden_state"), Tensor)
        name = "last_hidden_state" if named else next(k for k, v in output.items() if isinstance(v, Tensor))
        other = copy.copy(output)  # transformers' ModelOutput is a mapping with attributes
        other[name] = tensor  # type: ignore[index]
        return other
    if isinstance(output, tuple | list):
        place = next(number for number, item in enumerate(output) if isinstance(item, Tensor))
        items = [*output[:place], tensor, *output[place + 1 :]]
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
    return tensor


def logits(output: object, batch: int) -> Tensor | None:
    """The (B, classes) tensor in a model's output, or None when the model gives no such thing.

    A mapping counts only by its `logits`: the pooled features of a model without a classifier are no predictions.

    >>> logits((torch.zeros(2, 5), torch.ones(2, 3)), 2).shape
    torch.Size([2, 5])
    >>> logits(torch.zeros(2, 5, 7, 7), 2) is None
    True
    """
    found = output.get("logits") if isinstance(output, Mapping) else first_tensor(output)
    if isinstance(found, Tensor) and found.ndim == 2 and len(found) == batch and found.is_floating_point():
        return found
    return None


def floating_dtype(module: torch.nn.Module) -> torch.dtype:
    """The type that the module computes in: that of its first floating-point parameter or buffer, or float32."""
    tensors = (*module.parameters(), *module.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)
