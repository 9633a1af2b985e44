"""The images with the largest score on each direction, from one pass over the data."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import torch

from ..banks import Frame
from ..base import BLOCK_ROWS, Activations, Reporter, UsageError
from ._frame import require_finite
from ._layer import Layer
from ._starts import Scorer, Starts
from ._topk import RunningTop

IntArray = npt.NDArray[np.int64]

_SLACK = 16
"""Candidates kept beyond the K-th, so that near-ties across that border can be told apart."""


def available(layer: Layer, cap: int | None) -> int:
    """How many exemplars a direction can have: different images, at most `cap` of one photograph."""
    eligible, groups = layer.eligible, layer.images.groups
    if cap is None or groups is None:
        return layer.acts.shape[0] if eligible is None else int(eligible.sum())
    groups = groups if eligible is None else groups[eligible]
    return int(np.minimum(np.unique(groups, return_counts=True)[1], cap).sum())


def best_rows(
    layer: Layer,
    starts: Starts,
    k: int,
    progress: Reporter,
    *,
    cap: int | None = None,
    stage: str,
) -> tuple[IntArray, npt.NDArray[np.float32]]:
    """The k images with the largest score on each direction, largest first, ties by image number.

    Only images that take part in the layer. The order is that of exact arithmetic: where float32 products lie so close that rounding
    could have swapped them, they are compared again in float64.

    Returns
    -------
    rows : (D, k) int64
    scores : (D, k) float32, in the frame
    """
    acts, frame, images = layer.acts, layer.frame, layer.images
    (count, width), have = acts.shape, available(layer, cap)
    if k > have:
        why = (
            ""
            if have == count
            else f" that may be exemplars ({count:,} with repeats, with those held out or with more from one photograph)"
        )
        raise UsageError(
            f"there are {have:,} images{why}, fewer than the {k:,} exemplars asked for; ask for at most {have:,}"
        )
    products = starts.vectors is not None
    folded = torch.from_numpy(frame.fold(starts.vectors)) if starts.vectors is not None else None
    eligible = layer.eligible
    groups = None if images.groups is None or cap is None else torch.from_numpy(images.groups)
    top = RunningTop(len(starts), min(k + _SLACK, have) if products else k, groups, cap)
    longest = 0.0
    score_of = Scorer(starts, folded, BLOCK_ROWS)
    with progress.task(stage, count, "images") as task:
        for first, array in acts.blocks():
            with np.errstate(over="ignore"):
                single = np.asarray(array, dtype=np.float32, order="C")
            require_finite(single, first)
            block = _read_only_tensor(single)
            rows = torch.arange(first, first + len(block))
            scores = score_of(first, block)
            if eligible is not None:
                keep = torch.from_numpy(eligible[first : first + len(block)])
                scores, rows = scores[:, keep], rows[keep]
            if products:
                longest = max(longest, float(torch.linalg.vector_norm(block, dim=1).max()))
            top.add(scores, rows)
            task.advance(len(block))
    found, values = top.result()
    order, score = found.numpy(), values.numpy()
    if folded is not None:
        order, score = _settle(acts, folded.numpy(), order, score, math.sqrt(width) * longest)
        score = score - frame.offsets(starts.vectors)[:, None] if starts.vectors is not None else score
    elif starts.kind == "neurons":
        score = _neuron_scores(score, starts.numbers, frame)
    return order[:, :k].copy(), score[:, :k].astype(np.float32)


def _read_only_tensor(array: npt.NDArray[np.float32]) -> torch.Tensor:
    """A tensor over an array's memory that is only read, so that memory maps and Lance's buffers need no copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _neuron_scores(score: npt.NDArray[np.float32], numbers: IntArray, frame: Frame) -> npt.NDArray[np.float32]:
    """Coordinates of the neurons in the frame: (D, K) raw ones with a row a neuron."""
    own = Frame(*(None if part is None else part[numbers] for part in (frame.centre, frame.scale)))
    return own(score.T).T


def _settle(
    acts: Activations, vectors: npt.NDArray[np.float32], rows: IntArray, scores: npt.NDArray[np.float32], length: float
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Order candidates as exact arithmetic would; only pairs closer than rounding are computed again.

    `length` bounds |x| sqrt(C); a float32 dot product of C terms errs by about eps |x| |v| sqrt(C) at the very most.
    """
    exact = scores.astype(np.float64)
    tolerance = np.finfo(np.float32).eps * length * np.linalg.norm(vectors, axis=1, keepdims=True)
    close = exact[:, :-1] - exact[:, 1:] <= tolerance
    unsure = np.zeros(exact.shape, dtype=bool)
    unsure[:, :-1] |= close
    unsure[:, 1:] |= close
    direction, place = np.nonzero(unsure)
    chunk, width = 512, vectors.shape[1]
    read, wide = np.empty((chunk, width), dtype=np.float32), np.empty((chunk, width))
    for begin in range(0, len(direction), chunk):
        which, where = direction[begin : begin + chunk], place[begin : begin + chunk]
        acts.take(rows[which, where], read[: len(which)])
        np.multiply(read[: len(which)], vectors[which], out=wide[: len(which)], dtype=np.float64)
        exact[which, where] = wide[: len(which)].sum(1)
    for index in np.unique(direction):
        order = np.lexsort((rows[index], -exact[index]))
        rows[index], exact[index] = rows[index][order], exact[index][order]
    return rows, exact
