"""The frame that the vectors of a bank live in: embeddings moved and scaled channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Frame:
    """x -> (x - centre) / scale, channel by channel; None stands for 0 and 1.

    centre, scale : (C,) float64 or None
    """

    centre: npt.NDArray[np.float64] | None = None
    scale: npt.NDArray[np.float64] | None = None

    def __call__(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(..., C) float32 -> (..., C) float32."""
        if self.centre is not None:
            embeddings = np.subtract(embeddings, self.centre, dtype=np.float32, casting="same_kind")
        if self.scale is not None:
            embeddings = np.divide(embeddings, self.scale, dtype=np.float32, casting="same_kind")
        return embeddings

    def fold(self, vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Vectors (M, C) such that the product with a raw embedding ranks as the product in this frame does."""
        return np.ascontiguousarray(vectors if self.scale is None else vectors / self.scale, dtype=np.float32)

    def offsets(self, vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(M,) what to subtract from products with folded vectors to get products in this frame."""
        if self.centre is None:
            return np.zeros(len(vectors))
        return np.asarray(self.fold(vectors).astype(np.float64) @ self.centre)
