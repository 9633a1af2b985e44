"""Exemplars below the top: images that a direction answers to at a part of its strength."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..base import BLOCK_ROWS, Reporter, UsageError
from ._layer import Layer
from ._starts import Scorer, Starts
from ._topk import RunningTop

_NEVER = torch.finfo(torch.float32).min


def check_bands(bands: Sequence[float]) -> tuple[float, ...]:
    """The levels, highest first.

    Raises
    ------
    UsageError
        A level is not between 0 and 1, or given twice.
    """
    try:
        levels = tuple(sorted((float(level) for level in bands), reverse=True))
    except (TypeError, ValueError):
        raise UsageError(f"bands are a list of numbers between 0 and 1, such as [0.5], not {bands!r}") from None
    for level in levels:
        if not 0 < level < 1:
            raise UsageError(f"a band is a part of a direction's strength between 0 and 1, such as 0.5, not {level:g}")
    if len(set(levels)) < len(levels):
        raise UsageError("each band can be given once")
    return levels


def band_rows(
    layer: Layer,
    starts: Starts,
    rows: npt.NDArray[np.int64],
    activations: npt.NDArray[np.float32],
    levels: Sequence[float],
    progress: Reporter,
    *,
    cap: int | None = None,
) -> tuple[Starts, npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Each direction once for its top and once for each band.

    The exemplars of a band are the images with the largest score at or below its level. Level f is f of the way from the
    direction's mean score to the lowest score of its top K.

    Returns
    -------
    starts : D (1 + B) directions, each followed by its bands
    rows, activations : (D (1 + B), P) as `best_rows` gives them
    heights : (D (1 + B),) level of each, 1 for the top

    Raises
    ------
    UsageError
        Too few images lie below a level.
    """
    count, each = len(starts), 1 + len(levels)
    slope, offset = _to_raw(starts, layer)
    lowest = activations[:, layer.top - 1] * slope + offset
    mean = _mean_score(layer, starts) * slope + offset
    wanted = [torch.from_numpy((mean + level * (lowest - mean)).astype(np.float32))[:, None] for level in levels]
    groups = None if layer.images.groups is None or cap is None else torch.from_numpy(layer.images.groups)
    best = [RunningTop(count, rows.shape[1], groups, cap) for _ in levels]
    folded = None if starts.vectors is None else torch.from_numpy(layer.frame.fold(starts.vectors))
    score_of = Scorer(starts, folded, BLOCK_ROWS)
    with progress.task("finding exemplars below the top", layer.acts.shape[0], "images") as task:
        for first, array in layer.acts.blocks():
            block = torch.from_numpy(np.array(array, dtype=np.float32))
            numbers = torch.arange(first, first + len(block))
            scores = score_of(first, block)
            if layer.eligible is not None:
                inside = torch.from_numpy(layer.eligible[first : first + len(block)])
                scores, numbers = scores[:, inside], numbers[inside]
            for running, level in zip(best, wanted, strict=True):
                running.add(torch.where(scores <= level, scores, _NEVER), numbers)
            task.advance(len(block))
    all_rows, all_scores = [rows], [activations]
    for running in best:
        found, raw = (part.numpy() for part in running.result())
        if (raw <= _NEVER).any():
            raise UsageError(
                f"fewer than {rows.shape[1]:,} images lie below a band's level; ask for fewer exemplars or higher bands"
            )
        all_rows.append(found)
        all_scores.append(((raw - offset[:, None]) / slope[:, None]).astype(np.float32))
    repeat = np.repeat(np.arange(count), each)
    several = Starts(
        starts.kind,
        starts.numbers[repeat],
        None if starts.vectors is None else starts.vectors[repeat],
        None if starts.scores is None else starts.scores[:, repeat],
    )
    order = np.arange(count * each).reshape(each, count).T.reshape(-1)
    heights = np.tile(np.array([1.0, *levels]), count)
    return several, np.concatenate(all_rows)[order], np.concatenate(all_scores)[order], heights


def _to_raw(starts: Starts, layer: Layer) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(D,) slope and offset that turn scores in the frame into those of raw embeddings."""
    slope, offset = np.ones(len(starts)), np.zeros(len(starts))
    if starts.vectors is not None:
        return slope, layer.frame.offsets(starts.vectors)
    if starts.kind == "neurons":
        scale, centre = layer.frame.scale, layer.frame.centre
        return (
            slope if scale is None else scale[starts.numbers],
            offset if centre is None else centre[starts.numbers],
        )
    return slope, offset


def _mean_score(layer: Layer, starts: Starts) -> npt.NDArray[np.float64]:
    """(D,) mean score of the images in the frame."""
    if starts.scores is not None:
        return np.asarray(starts.scores[layer.rows].mean(0, dtype=np.float64))
    if starts.vectors is not None:
        return np.asarray(starts.vectors @ layer.moments.mean)
    return np.asarray(layer.moments.mean[starts.numbers])
