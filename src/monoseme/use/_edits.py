"""Edits of a layer's output: at every position, or where a concept is, embeddings lose or gain a direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..banks import Frame
from ..base import UsageError, did_you_mean
from ..models import LayerInfo

Tokens = Literal["all", "patches", "cls"]


@dataclass(frozen=True)
class Reading:
    """Linear readings of raw embeddings: x -> x @ read.T - level, for R directions of a frame.

    read : (R, C)
    level : (R,)
    """

    read: Tensor
    level: Tensor

    @classmethod
    def of(cls, directions: npt.NDArray[np.float64], frame: Frame) -> Reading:
        """The projections in the frame: ``frame(x) @ directions.T``."""
        folded = directions if frame.scale is None else directions / frame.scale
        level = np.zeros(len(directions)) if frame.centre is None else folded @ frame.centre
        return cls(torch.from_numpy(folded), torch.from_numpy(level))

    def __call__(self, embeddings: Tensor) -> Tensor:
        """(..., C) -> (..., R)."""
        return embeddings @ self.read.T - self.level

    def like(self, tensor: Tensor) -> Reading:
        """On the device and in the number type of a tensor."""
        return Reading(self.read.to(tensor), self.level.to(tensor))


@dataclass(frozen=True)
class Where:
    """At which positions embeddings are changed.

    gate : Reading of the vectors as they were given, or None for every position
    above : a position is changed where any of the gate's readings is larger
    tokens : which tokens, for layers that have some
    """

    gate: Reading | None
    above: float
    tokens: Tokens

    @classmethod
    def of(
        cls,
        info: LayerInfo,
        vectors: npt.NDArray[np.float64],
        frame: Frame,
        above: float | None = None,
        tokens: Tokens = "all",
    ) -> Where:
        """Where the projection on any of the vectors is above a number, on such tokens."""
        known = list(get_args(Tokens))
        if tokens not in known:
            raise UsageError(f"tokens are all, patches or cls, not {tokens!r}{did_you_mean(str(tokens), known)}")
        if tokens == "cls" and not info.has_cls:
            raise UsageError(f"layer {info.name} has no class token to change")
        if above is None:
            return cls(None, 0.0, tokens)
        if not np.isfinite(above):
            raise UsageError(f"the threshold above which positions are changed must be finite, not {above}")
        return cls(Reading.of(vectors, frame), float(above), tokens)

    def __call__(self, embeddings: Tensor, info: LayerInfo) -> Tensor | None:
        """Mask (..., 1) of embeddings (..., C), None for all."""
        where = None
        if self.gate is not None:
            where = (self.gate.like(embeddings)(embeddings) > self.above).any(-1, keepdim=True)
        if self.tokens != "all" and info.layout == "NLC":
            place = torch.arange(embeddings.shape[1], device=embeddings.device)[:, None]
            wanted = place == 0 if self.tokens == "cls" else place >= info.prefix_tokens
            where = wanted if where is None else where & wanted
        return where


@dataclass(frozen=True)
class Edit:
    """x -> x - reading(x) @ write + shift, at the positions that are wanted. Made by `ablation` and `steering`.

    Attributes
    ----------
    info : LayerInfo
        The layer, for where its channels and tokens are.
    taken : Reading and (R, C) Tensor, or None
        What is read from an embedding, and along what it is taken from it.
    shift : (C,) Tensor or None
        What is added.
    where : Where
        At which positions.
    """

    info: LayerInfo
    taken: tuple[Reading, Tensor] | None
    shift: Tensor | None
    where: Where

    def __call__(self, output: Tensor) -> Tensor:
        """The layer's output, changed; of the same shape, type and memory layout. Gradients flow."""
        if output.shape[1 if self.info.layout == "NCHW" else -1] != self.info.channels:
            raise UsageError(
                f"layer {self.info.name} gives {tuple(output.shape)}, but has {self.info.channels:,} channels in the dry run"
            )
        maps = self.info.layout == "NCHW"
        last = output.permute(0, 2, 3, 1) if maps else output
        wide = last if last.dtype == torch.float64 else last.float()
        changed = wide if self.taken is None else self._without(wide)
        if self.shift is not None:
            changed = changed + self.shift.to(wide)
        where = self.where(wide, self.info)
        if where is not None:
            changed = torch.where(where, changed, wide)
        changed = changed.to(output.dtype)
        return _laid_out_as(changed.permute(0, 3, 1, 2) if maps else changed, output)

    def _without(self, embeddings: Tensor) -> Tensor:
        assert self.taken is not None
        reading, write = self.taken
        rows = embeddings.reshape(-1, embeddings.shape[-1])
        return torch.addmm(rows, reading.like(rows)(rows), write.to(rows), alpha=-1).reshape(embeddings.shape)


def ablation(info: LayerInfo, vectors: npt.NDArray[np.float64], frame: Frame, where: Where) -> Edit:
    """Take the span of vectors (R, C) of a frame out of embeddings: their projections in the frame become zero.

    In the frame y = (x - centre) / scale the embedding becomes its orthogonal projection y - Q Q^T y, Q an orthonormal basis
    of the span; what is orthogonal to the span stays as it was.
    """
    basis = orthonormal(vectors)
    write = torch.from_numpy(basis if frame.scale is None else basis * frame.scale)
    return Edit(info, (Reading.of(basis, frame), write), None, where)


def steering(info: LayerInfo, vector: npt.NDArray[np.float64], amount: float, frame: Frame, where: Where) -> Edit:
    """Add a unit vector (C,) of a frame to embeddings so that their projections on it rise by an amount."""
    step = amount * vector
    return Edit(info, None, torch.from_numpy(step if frame.scale is None else step * frame.scale), where)


def orthonormal(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """An orthonormal basis (R', C) of the span of vectors (R, C); fewer rows where some depend on others.

    >>> np.abs(orthonormal(np.array([[2.0, 0, 0], [1, 0, 0]]))).round(6).tolist()
    [[1.0, 0.0, 0.0]]
    """
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, lengths, basis = np.linalg.svd(units, full_matrices=False)
    kept: npt.NDArray[np.float64] = basis[lengths > 1e-6 * lengths[0]]
    return kept


def _laid_out_as(changed: Tensor, output: Tensor) -> Tensor:
    """In the memory layout of the output: what follows may ask for it with ``view``."""
    if changed.stride() == output.stride():
        return changed
    if output.is_contiguous():
        return changed.contiguous()
    if output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last):
        return changed.contiguous(memory_format=torch.channels_last)
    return changed
