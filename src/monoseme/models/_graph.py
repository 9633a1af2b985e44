"""The forward pass as a captured graph: the same layers, poolings and outputs as taps, but as one program for a backend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils.hooks import RemovableHandle

from ._layers import LayerInfo
from ._model import Model
from ._outputs import first_tensor, logits
from ._taps import Tap, pool


def capture(model: Model, taps: Sequence[Tap], batch_size: int, *, predictions: bool) -> ExportedProgram:
    """The program from (batch_size, C, H, W) images to one pooled (batch_size, channels) output a tap, then the predictions.

    What lies behind the last wanted layer is no part of it. The weights are the model's own.

    Raises whatever tracing does where the module's control flow depends on values, or it does what no graph can hold.
    """
    reader = _Reader(model, taps, predictions)
    images = model.batch(torch.zeros(batch_size, *model.input_size))
    with torch.no_grad():
        return torch.export.export(reader, (images,), strict=False)


class _Reader(nn.Module):
    """The model with hooks that pool, as a module whose outputs are what was pooled."""

    def __init__(self, model: Model, taps: Sequence[Tap], predictions: bool) -> None:
        super().__init__()
        self.inner = model.module
        self._taps = tuple(taps)
        self._infos: dict[str, LayerInfo] = {tap.layer: model.layers()[tap.layer] for tap in taps}
        self._predictions = predictions

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> what the taps read, and the predictions where wanted."""
        pooled: dict[Tap, Tensor] = {}

        def hook(tap: Tap) -> RemovableHandle:
            def read(_module: nn.Module, _args: object, output: object) -> None:
                tensor = first_tensor(output)
                if tensor is not None:
                    pooled[tap] = pool(tensor, self._infos[tap.layer], tap.pooling)

            return self.inner.get_submodule(tap.layer).register_forward_hook(read)

        handles = [hook(tap) for tap in self._taps]
        try:
            output = self.inner(images)
        finally:
            for handle in handles:
                handle.remove()
        found = tuple(pooled[tap] for tap in self._taps)
        if not self._predictions:
            return found
        predicted = logits(output, len(images))
        assert predicted is not None  # the model has outputs, so its dry run gave some
        return (*found, predicted.float())
