"""From partitions to a bank: numbering, unit means, separations, keys, tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from scipy.stats import false_discovery_control

from ..banks import CONCEPTS, DIVISIONS, EXEMPLARS, TOP_IMAGES, ConceptBank
from ..base import Reporter, digest_text
from ._detectors import detectors
from ._exemplars import available, best_rows
from ._layer import Layer
from ._split import Exemplars, Split
from ._stability import Stability
from ._starts import Starts


@dataclass(frozen=True)
class Part:
    """What the bank keeps of some directions, once their embeddings are let go.

    concept : (D, K) int64 position in `direction`, ... of the concept that each exemplar belongs to, -1 where dropped
    direction, cluster, size : (m,) of each concept; direction counts over all directions
    means : (m, C) float64 mean embedding of each concept's exemplars
    p_value : (m,) adjusted p-value of the division that made each concept, NaN where there was none
    stability : how well each is found again, where that was tried
    """

    split: Split
    concept: npt.NDArray[np.int64]
    direction: npt.NDArray[np.int64]
    cluster: npt.NDArray[np.int32]
    size: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    p_value: npt.NDArray[np.float64]
    stability: Stability | None = None

    @classmethod
    def of(cls, begin: int, exemplars: Exemplars, split: Split) -> Self:
        """Number the kept clusters of a part by direction, then by their first exemplar, and take their means."""
        directions, k = split.kept.shape
        stride = k + 1
        member = split.kept >= 0
        code = np.where(member, np.arange(directions)[:, None] * stride + split.kept, -1)
        codes, concept, size = np.unique(code, return_inverse=True, return_counts=True)
        concept = concept.reshape(code.shape)
        if codes[0] == -1:
            codes, size, concept = codes[1:], size[1:], concept - 1
        direction = codes // stride
        means = _cluster_means(exemplars, concept, direction, size)
        # A concept of images that do not fire at all has no direction, hence no vector.
        alive = np.linalg.norm(means, axis=1) > 0
        if not alive.all():
            renumber = np.append(np.where(alive, np.cumsum(alive) - 1, -1), -1)
            codes, size, means, concept = codes[alive], size[alive], means[alive], renumber[concept]
            direction = direction[alive]
        p_value = np.full(len(size), np.nan)
        if split.tests is not None:
            where, exemplar = np.nonzero(concept >= 0)
            p_value[concept[where, exemplar]] = split.tests.made_by[where, exemplar]
        return cls(split, concept, direction + begin, (codes % stride).astype(np.int32), size, means, p_value)

    def with_stability(self, stability: Stability) -> Self:
        """The same with how well each concept is found again."""
        return replace(self, stability=stability)


def _cluster_means(
    exemplars: Exemplars,
    concept: npt.NDArray[np.int64],
    direction: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """(m, C) mean embedding of the exemplars of each concept: one batched product with their shares."""
    if len(size) == 0:
        return np.zeros((0, exemplars.features))
    first = np.searchsorted(direction, np.arange(len(concept)))  # number of each direction's first concept
    place = np.arange(len(size)) - first[direction]
    where, exemplar = np.nonzero(concept >= 0)
    own = concept[where, exemplar]
    share = np.zeros((len(concept), int(place.max()) + 1, concept.shape[1]), dtype=np.float32)
    share[where, place[own], exemplar] = 1 / size[own]
    about = torch.from_numpy(share) @ exemplars.points
    mean = about[torch.from_numpy(direction), torch.from_numpy(place)].double() + exemplars.mean[direction].double()
    return np.asarray(mean.numpy())


def assemble(
    layer: Layer,
    starts: Starts,
    rows: npt.NDArray[np.int64],
    activations: npt.NDArray[np.float32],
    parts: list[Part],
    top_images: int,
    info: dict[str, Any],
    progress: Reporter,
) -> ConceptBank:
    """The bank of all directions, with the top images of each concept vector from one pass over the data."""
    parameters = info["parameters"]
    offsets = np.cumsum([0, *(len(part.means) for part in parts)])
    direction = np.concatenate([part.direction for part in parts])
    size = np.concatenate([part.size for part in parts])
    means = np.concatenate([part.means for part in parts])
    vectors = unit_vectors(means - layer.moments.mean if parameters["vector"] == "centred" else means)
    concept = np.concatenate(
        [np.where(part.concept >= 0, part.concept + offset, -1) for part, offset in zip(parts, offsets, strict=False)]
    )
    concepts = pa.table(
        {
            "concept": np.arange(len(vectors)),
            "key": _keys(layer, starts, rows, concept, direction),
            "direction": starts.numbers[direction],
            "cluster": np.concatenate([part.cluster for part in parts]),
            "size": size,
            "separation": _or_null(separations(direction, size, means)),
            "mean_projection": np.einsum("mc,mc->m", means, vectors.astype(np.float64)).astype(np.float32),
            "cosine_start": _or_null(_cosine_start(starts, vectors, direction)).cast(pa.float32()),
            "p_value": _or_null(np.concatenate([part.p_value for part in parts])),
            **_stability_columns(parts),
        },
        schema=CONCEPTS,
    )
    exemplars = pa.table(
        {
            "direction": np.repeat(starts.numbers, rows.shape[1]),
            "rank": np.tile(np.arange(rows.shape[1]), len(rows)),
            "image_id": rows.reshape(-1),
            "activation": activations.reshape(-1),
            "cluster": np.concatenate([part.split.clusters for part in parts]).reshape(-1),
            "squared_distance": np.concatenate([part.split.squared for part in parts]).reshape(-1),
            "concept": pa.array(concept.reshape(-1), mask=concept.reshape(-1) < 0, type=pa.int32()),
        },
        schema=EXEMPLARS,
    )
    trees = [part.split.trees for part in parts]
    return ConceptBank(
        vectors=vectors,
        concepts=concepts,
        exemplars=exemplars,
        top=_top_table(layer, vectors, top_images, progress),
        directions=starts.numbers,
        merges=np.concatenate([tree.merges for tree in trees if tree is not None]),
        heights=np.concatenate([tree.heights for tree in trees if tree is not None]),
        divisions=_divisions(starts, parts),
        detectors=detectors(layer.moments, means) if parameters["vector"] == "centred" else None,
        starts=starts.vectors,
        frame=layer.frame,
        info=info,
        run=layer.acts.run,
    )


def unit_vectors(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(m, C) means scaled to unit length; one of no length stays."""
    lengths = np.linalg.norm(means, axis=1)
    return np.asarray((means / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32))


def _divisions(starts: Starts, parts: list[Part]) -> pa.Table:
    """A row a direction: how many concepts, and how sure it is that there is more than one."""
    direction = np.concatenate([part.direction for part in parts])
    count = np.bincount(direction, minlength=len(starts))
    tests = [part.split.tests for part in parts]
    known = [test for test in tests if test is not None]
    unknown = np.full(len(starts), np.nan)
    p_value = np.concatenate([test.p_value for test in known]) if known else unknown
    cosine = np.concatenate([test.cosine for test in known]) if known else unknown
    return pa.table(
        {
            "direction": starts.numbers,
            "concepts": count,
            "p_value": _or_null(p_value),
            "q_value": _or_null(_false_discovery(p_value)),
            "cosine": _or_null(cosine),
        },
        schema=DIVISIONS,
    )


def _false_discovery(p_value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Benjamini-Hochberg over all directions (JRSS B 1995)."""
    if np.isnan(p_value).any():
        return np.full(len(p_value), np.nan)
    return np.asarray(false_discovery_control(p_value))


def _stability_columns(parts: list[Part]) -> dict[str, pa.Array]:
    names = {"stability": "jaccard", "stability_cosine": "cosine", "halves_cosine": "halves", "across_k": "across_k"}
    return {
        column: _or_null(
            np.concatenate(
                [
                    np.full(len(part.size), np.nan) if part.stability is None else getattr(part.stability, name)
                    for part in parts
                ]
            )
        )
        for column, name in names.items()
    }


def _top_table(layer: Layer, vectors: npt.NDArray[np.float32], k: int, progress: Reporter) -> pa.Table:
    """Over the whole data set, held-out images included."""
    if len(vectors) == 0:
        return TOP_IMAGES.empty_table()
    everything = replace(layer, eligible=layer.images.first_copies)
    k = min(k, available(everything, None))
    concepts = Starts("vectors", np.arange(len(vectors)), vectors)
    rows, projections = best_rows(everything, concepts, k, progress, stage="projecting on concepts")
    return pa.table(
        {
            "concept": np.repeat(np.arange(len(vectors)), k),
            "rank": np.tile(np.arange(k), len(vectors)),
            "image_id": rows.reshape(-1),
            "projection": projections.reshape(-1),
        },
        schema=TOP_IMAGES,
    )


def separations(
    direction: npt.NDArray[np.int64], size: npt.NDArray[np.int64], means: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(M,) Ward distance to the nearest concept of the same direction, NaN for an only one.

    sqrt(2 |A| |B| / (|A| + |B|)) times the distance of the means, the height at which a Ward tree would join the two.
    """
    nearest = np.full(len(direction), np.nan)
    bounds = np.flatnonzero(np.diff(direction, prepend=-1, append=-1))
    for begin, end in pairwise(bounds):
        if end - begin < 2:
            continue
        mine, n = means[begin:end], size[begin:end].astype(np.float64)
        distance = np.linalg.norm(mine[:, None] - mine[None], axis=2)
        ward = np.sqrt(2 * n[:, None] * n / (n[:, None] + n)) * distance
        np.fill_diagonal(ward, np.inf)
        nearest[begin:end] = ward.min(1)
    return nearest


def _cosine_start(
    starts: Starts, vectors: npt.NDArray[np.float32], direction: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    if starts.kind == "scores":
        return np.full(len(vectors), np.nan)
    if starts.vectors is None:
        return np.asarray(vectors[np.arange(len(vectors)), starts.numbers[direction]], dtype=np.float64)
    return np.asarray(np.einsum("mc,mc->m", vectors, starts.vectors[direction]), dtype=np.float64)


def _keys(
    layer: Layer,
    starts: Starts,
    rows: npt.NDArray[np.int64],
    concept: npt.NDArray[np.int64],
    direction: npt.NDArray[np.int64],
) -> list[str]:
    """Hash of the start and of the sorted members, by content where that is known: the same for the same concept."""
    digests = layer.images.digests
    position, place = np.nonzero(concept >= 0)
    members: list[list[str]] = [[] for _ in direction]
    for number, row in zip(concept[position, place].tolist(), rows[position, place].tolist(), strict=True):
        members[number].append(digests[row].decode() if digests is not None else str(row))
    return [
        digest_text(layer.acts.name, starts.named(int(where)), *sorted(mine))[:16]
        for where, mine in zip(direction, members, strict=True)
    ]


def _or_null(values: npt.NDArray[np.floating]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values), type=pa.float64())
