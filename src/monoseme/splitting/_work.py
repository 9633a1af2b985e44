"""Splitting all directions, a bounded number at a time, so that embeddings of exemplars never fill the memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ..base import Reporter
from ._assemble import Part
from ._layer import Layer
from ._split import Exemplars, Splitter
from ._stability import Resampling, stability
from ._starts import Starts
from ._trees import Trees, centre_and_gram
from ._whitening import Whitening

WORKING_BYTES = 100_000_000
"""About how much memory the embeddings of the exemplars in work may take."""


def split_all(
    layer: Layer,
    starts: Starts,
    rows: npt.NDArray[np.int64],
    splitter: Splitter,
    progress: Reporter,
    *,
    trees: Trees | None = None,
    resampling: Resampling | None = None,
) -> list[Part]:
    """Split the exemplars of each direction and reduce them to what the bank keeps.

    rows : (D, K) numbers of the exemplars, or (D, P) of candidates for resampling, of which the first K are the exemplars
    """
    top, width = layer.top, layer.acts.shape[1]
    together = max(1, min(512, WORKING_BYTES // (4 * rows.shape[1] * width)))
    whitening: Whitening | None = getattr(splitter, "whitening", None)
    parts = []
    memory = np.empty((min(together, len(starts)), rows.shape[1], width), dtype=np.float32)
    with progress.task("splitting directions", len(starts), "directions") as task:
        for begin in range(0, len(starts), together):
            some = slice(begin, min(begin + together, len(starts)))
            taken = memory[: some.stop - begin]
            layer.acts.take(rows[some].reshape(-1), taken.reshape(-1, width))
            candidates = torch.from_numpy(layer.frame(taken))
            known = None if trees is None else Trees(trees.merges[some], trees.heights[some])
            first = candidates[:, :top].clone() if resampling is not None else candidates
            exemplars = _exemplars(first, starts.numbers[some], whitening, known)
            split = splitter.split(exemplars)
            part = Part.of(begin, exemplars, split)
            if resampling is not None:
                pool = _exemplars(candidates, starts.numbers[some], whitening, None)
                part = part.with_stability(stability(pool, rows[some], part.concept, splitter, resampling))
            parts.append(part)
            task.advance(some.stop - begin)
    return parts


def _exemplars(
    points: torch.Tensor, numbers: npt.NDArray[np.int64], whitening: Whitening | None, trees: Trees | None
) -> Exemplars:
    mean, gram = centre_and_gram(points)
    coordinates = None if whitening is None else whitening.coordinates(points, mean)
    return Exemplars(points, mean, gram, numbers, trees, coordinates)
