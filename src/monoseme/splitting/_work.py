"""Splitting all directions, a bounded number at a time, so that embeddings of exemplars never fill the memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from ..base import Reporter
from ._assemble import Part
from ._calibrated import squared_distances
from ._features import Described
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
    described: Described | None = None,
) -> list[Part]:
    """Split the exemplars of each direction and reduce them to what the bank keeps.

    rows : (D, K) numbers of the exemplars, or (D, P) of candidates for resampling, of which the first K are the exemplars
    described : the same exemplars or candidates as the splitter sees them, where that is not by their embeddings
    """
    top, width = layer.top, layer.acts.shape[1]
    widest = width + (0 if described is None else described.acts.shape[1])
    together = max(1, min(512, WORKING_BYTES // (4 * rows.shape[1] * widest)))
    whitening: Whitening | None = getattr(splitter, "whitening", None)
    parts = []
    memory = np.empty((min(together, len(starts)), rows.shape[1], width), dtype=np.float32)
    with progress.task("splitting directions", len(starts), "directions") as task:
        for begin in range(0, len(starts), together):
            some = slice(begin, min(begin + together, len(starts)))
            taken = memory[: some.stop - begin]
            layer.acts.take(rows[some].reshape(-1), taken.reshape(-1, width))
            candidates = torch.from_numpy(layer.frame(taken))
            seen = candidates if described is None else described.exemplars(some, rows.shape[1])
            known = None if trees is None else Trees(trees.merges[some], trees.heights[some])
            numbers = starts.numbers[some]

            def first(points: torch.Tensor) -> torch.Tensor:
                return points[:, :top].clone() if resampling is not None else points

            exemplars = _exemplars(first(seen), numbers, whitening, known)
            embedded = exemplars if described is None else _exemplars(first(candidates), numbers, None, None)
            split = splitter.split(exemplars)
            if described is not None:
                clusters = torch.from_numpy(split.clusters.astype(np.int64))
                split = replace(split, squared=squared_distances(embedded.gram, clusters))
            part = Part.of(begin, embedded, split)
            if resampling is not None:
                pool = _exemplars(seen, numbers, whitening, None)
                embedded = pool if described is None else _exemplars(candidates, numbers, None, None)
                part = part.with_stability(stability(pool, embedded, rows[some], part.concept, splitter, resampling))
            parts.append(part)
            task.advance(some.stop - begin)
    return parts


def _exemplars(
    points: torch.Tensor, numbers: npt.NDArray[np.int64], whitening: Whitening | None, trees: Trees | None
) -> Exemplars:
    mean, gram = centre_and_gram(points)
    coordinates = None if whitening is None else whitening.coordinates(points, mean)
    return Exemplars(points, mean, gram, numbers, trees, coordinates)
