"""Embeddings of images as they come, for those who keep none: decoded ahead and computed as `embed` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..images import ImageSource
from ._embed import loader_of
from ._forward import Forward
from ._manifest import LayerColumn

if TYPE_CHECKING:
    from ..models import Model


@dataclass(frozen=True)
class Embedded:
    """A batch of images.

    facts : entry, uri, digest, label, width and height of each
    embeddings : (n, C) float32, in the same order
    bad : entry, uri and reason of each image that cannot be used
    """

    facts: list[dict[str, Any]]
    embeddings: npt.NDArray[np.float32]
    bad: list[dict[str, Any]]


def stream(
    model: Model,
    source: ImageSource,
    layer: str,
    pooling: str = "mean",
    *,
    batch_size: int = 32,
    workers: int | None = None,
) -> Iterator[Embedded]:
    """Embed images batch by batch, in the order of their listing.

    Raises
    ------
    UsageError
        There is no such layer or pooling, or the model is being changed by a `Change`.
    MonosemeError
        An activation is not finite.
    """
    info = model.layers()[layer]
    column = LayerColumn(layer, pooling, info.channels, info.layout)
    slices = [range(first, min(first + batch_size, len(source))) for first in range(0, len(source), batch_size)]
    with (
        Forward(model, [column], "float32", predictions=False) as forward,
        loader_of(source, model, slices, workers) as loader,
    ):
        for batch, result in forward(loader):
            found = result.columns.get(column.column)
            embeddings = np.empty((0, info.channels), dtype=np.float32) if found is None else found[1]
            yield Embedded(batch.facts, embeddings, batch.bad)
