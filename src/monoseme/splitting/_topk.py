"""The K largest of many columns of scores, streamed in row blocks, with ties broken by image number.

A score and its row are packed into one int64 key whose order is (score descending, row ascending). Keys never tie, so the
result is that of a full stable sort, whatever the sizes of the blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LOW = 0xFFFFFFFF
_NONE = torch.iinfo(torch.int64).min
_FEW = 32


class RunningTop:
    """The K best rows of each of D columns so far, at most `cap` of them from one group of rows.

    Parameters
    ----------
    columns, k : int
        D and K.
    groups : (N,) int64, optional
        Group of each row of the whole data set (the photograph a patch was cut from).
    cap : int, optional
        The most rows that a column takes from one group.

    Examples
    --------
    >>> top = RunningTop(columns=1, k=2)
    >>> top.add(torch.tensor([[1.0, 3.0, 3.0]]), torch.arange(3))
    >>> rows, scores = top.result()
    >>> rows.tolist(), scores.tolist()
    ([[1, 2]], [[3.0, 3.0]])
    """

    def __init__(self, columns: int, k: int, groups: Tensor | None = None, cap: int | None = None) -> None:
        self._k = k
        self._keys = torch.full((columns, k), _NONE, dtype=torch.int64)
        self._least = torch.full((columns, 1), -torch.inf)
        self._groups, self._cap = groups, cap
        self._above = torch.empty(0, dtype=torch.bool)

    def add(self, scores: Tensor, rows: Tensor) -> None:
        """Take in a block: scores (D, B) float32 of the rows (B,), in ascending order and after all rows before."""
        while len(rows) and torch.isinf(self._least).any():
            # Nothing to compare with yet: begin with few rows, then only what beats them.
            begin = min(len(rows), 2 * self._k)
            everything = torch.arange(len(self._keys))
            self._merge(everything, _pack(scores[:, :begin], rows[:begin].expand(len(self._keys), begin)))
            scores, rows = scores[:, begin:], rows[begin:]
        if len(rows) == 0:
            return
        # Later rows lose ties, so only a score strictly above the K-th best can enter.
        column, position = self._where_above(scores)
        counts = torch.bincount(column, minlength=len(self._keys))
        place = torch.arange(len(column)) - (counts.cumsum(0) - counts)[column]
        keys = _pack(scores[column, position], rows[position])
        # In data sorted by class a few columns get very many rows at once; apart, they do not widen the others' padding.
        for fits in ((counts > 0) & (counts <= _FEW), counts > _FEW):
            some = fits.nonzero()[:, 0]
            if len(some) == 0:
                continue
            mine, slot = fits[column], torch.empty(len(counts), dtype=torch.int64)
            slot[some] = torch.arange(len(some))
            new = torch.full((len(some), int(counts[some].max())), _NONE, dtype=torch.int64)
            new[slot[column[mine]], place[mine]] = keys[mine]
            self._merge(some, new)

    def result(self) -> tuple[Tensor, Tensor]:
        """Rows (D, K) int64 and scores (D, K) float32, best first; row -1 where there were fewer than K rows."""
        keys = self._keys.sort(dim=1, descending=True).values
        rows, scores = _unpack(keys)
        empty = keys == _NONE
        return rows.masked_fill(empty, -1), scores.masked_fill(empty, -torch.inf)

    def _where_above(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Column and position of each score above its column's K-th best, sorted by column."""
        # Memory is reused: a fresh large tensor for each block costs more in page faults than the comparison itself.
        if self._above.numel() < scores.numel():
            self._above = torch.empty(scores.numel(), dtype=torch.bool)
        if scores.stride(0) == 1 and scores.stride(1) != 1:  # a transposed block of neurons: compare as it lies
            above = self._above[: scores.numel()].view(scores.T.shape)
            position, column = torch.gt(scores.T, self._least.T, out=above).nonzero(as_tuple=True)
            order = column.argsort(stable=True)
            return column[order], position[order]
        above = self._above[: scores.numel()].view(scores.shape)
        column, position = torch.gt(scores, self._least, out=above).nonzero(as_tuple=True)
        return column, position

    def _merge(self, columns: Tensor, new: Tensor) -> None:
        keys = torch.cat([self._keys[columns], new], dim=1)
        if self._cap is not None and self._groups is not None:
            keys = _within_cap(keys, self._groups, self._cap)
        keys = keys.topk(self._k, dim=1, sorted=False).values
        least = keys.amin(1, keepdim=True)
        self._keys[columns] = keys
        self._least[columns] = torch.where(least == _NONE, -torch.inf, _unpack(least)[1])


def _pack(scores: Tensor, rows: Tensor) -> Tensor:
    """Keys of float32 scores and rows below 2^32. The bits of a float order like an integer once negatives are flipped."""
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal to 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.to(torch.int64) << 32) | (_LOW - rows)


def _unpack(keys: Tensor) -> tuple[Tensor, Tensor]:
    ordered = (keys >> 32).to(torch.int32)
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    return _LOW - (keys & _LOW), bits.view(torch.float32)


def _within_cap(keys: Tensor, groups: Tensor, cap: int) -> Tensor:
    """Keys in which each column keeps its `cap` best of each group and drops the rest.

    Capping the running best merged with a block gives the capped best of all: a row that is pushed out by its group is
    pushed out by a better one, so the number of better rows never falls.
    """
    keys = keys.sort(dim=1, descending=True).values
    none = keys == _NONE
    group = torch.where(none, -1, groups[_unpack(keys)[0].masked_fill(none, 0)])
    order = group.argsort(dim=1, stable=True)
    group = group.gather(1, order)
    place = torch.arange(keys.shape[1]).expand_as(keys)
    begins = torch.ones_like(none)
    begins[:, 1:] = group[:, 1:] != group[:, :-1]
    rank = place - torch.where(begins, place, 0).cummax(dim=1).values
    keys = keys.gather(1, order)
    return keys.masked_fill(rank >= cap, _NONE)
