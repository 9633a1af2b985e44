"""Near-duplicate concepts become one: candidate pairs by blocked products, groups by complete linkage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import MonosemeError, UsageError, digest_bytes, digest_text
from ._bank import ConceptBank
from ._dictionary import ENTRIES, MEMBERS, LayerDictionary

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_BLOCK = 512
_MOST = 16_384
"""Concepts that can be told apart at once: their distances take 1 GiB, and as much again while they are clustered."""
_APART = 4.0
"""Farther than any cosine distance: pairs at this distance are never in one group."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Concepts:
    """The M concepts of all banks in an order that does not depend on how they were given.

    vectors : (M, C) float32 unit rows
    sizes : (M,) numbers of exemplars
    shown : (M, I) sparse int64, 1 where an image is an exemplar
    bank, concept, direction : (M,) where each is from
    origin : (M,) equal where the direction is the same one, whatever the bank
    """

    vectors: npt.NDArray[np.float32]
    keys: list[str]
    sizes: IntArray
    shown: csr_array
    bank: IntArray
    concept: IntArray
    direction: IntArray
    origin: IntArray


def merge_concepts(
    banks: ConceptBank | Sequence[ConceptBank], cosine: float = 0.9, *, overlap: float = 0.0
) -> LayerDictionary:
    """Make near-duplicate concepts, mostly found from different directions, one entry of a layer dictionary each.

    Concepts are grouped by complete linkage: any two of an entry have at least that cosine with each other, hence each with
    the entry's vector, and no chain of near neighbours joins what is far apart. The order of concepts and banks does not
    matter; ties are broken by key.

    Parameters
    ----------
    banks : ConceptBank or sequence of these
        Of the same layer, frame and images.
    cosine : float
        Least cosine between two concepts of an entry, above 0 and below 1.
    overlap : float
        Least Jaccard index of the exemplars of two concepts of an entry, from 0 (not asked for) to 1.

    Returns
    -------
    LayerDictionary

    Raises
    ------
    UsageError
        The banks differ in layer, frame or images, there is none, or a parameter is out of range.
    MonosemeError
        So many concepts are near each other that they cannot be compared in memory.

    Examples
    --------
    >>> import monoseme as ms
    >>> layer = np.abs(np.random.default_rng(0).normal(size=(200, 8))).astype(np.float32)
    >>> bank = ms.disentangle(layer, "published", top=20, distance_threshold=4.0)
    >>> merged = ms.merge_concepts(bank, cosine=0.95)
    >>> len(merged) < len(bank) == len(merged.members)
    True
    """
    given = [banks] if isinstance(banks, ConceptBank) else list(banks)
    _check(given, cosine, overlap)
    concepts = _gather(given)
    groups = _groups(concepts, cosine, overlap)
    first = given[0]
    info: dict[str, Any] = {
        "layer": first.layer,
        "parameters": {"cosine": float(cosine), "overlap": float(overlap)},
        "banks": [{name: bank.info.get(name) for name in ("method", "parameters", "activations")} for bank in given],
    }
    vectors, entries, members = _tables(concepts, groups)
    return LayerDictionary(vectors, entries, members, first.frame, info)


def _check(banks: Sequence[ConceptBank], cosine: float, overlap: float) -> None:
    if not banks or not all(isinstance(bank, ConceptBank) for bank in banks):
        raise UsageError("concepts are merged from one or more concept banks; give banks from disentangle or load_bank")
    if not 0 < cosine < 1:
        raise UsageError(f"the least cosine must be above 0 and below 1, not {cosine}; 0.9 is the default")
    if not 0 <= overlap <= 1:
        raise UsageError(f"the least overlap of exemplars must be from 0 to 1, not {overlap}")
    first = banks[0]
    for bank in banks[1:]:
        if bank.layer != first.layer or bank.vectors.shape[1] != first.vectors.shape[1]:
            raise UsageError(
                f"banks of different layers cannot be merged: {first.layer} ({first.vectors.shape[1]} neurons) and {bank.layer} "
                f"({bank.vectors.shape[1]})"
            )
        pairs = ((first.frame.centre, bank.frame.centre), (first.frame.scale, bank.frame.scale))
        if not all(one is other is None or np.array_equal(one, other) for one, other in pairs):  # type: ignore[arg-type]
            raise UsageError(
                f"banks of different frames cannot be merged; make those of {first.layer} with one scaling"
            )
        mine, theirs = (each.info.get("activations", {}) for each in (first, bank))
        for name in ("images", "pooling", "weights_digest", "listing_digest"):
            if mine.get(name) != theirs.get(name):
                raise UsageError(
                    f"banks made from different activations cannot be merged: their {name} are {mine.get(name)} and "
                    f"{theirs.get(name)}"
                )


def _gather(banks: Sequence[ConceptBank]) -> _Concepts:
    """The concepts of all banks, sorted by key, then by vector, so that no result depends on the order they came in."""
    from scipy.sparse import csr_array

    counts = [len(bank) for bank in banks]
    vectors = np.concatenate([bank.vectors for bank in banks]).astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, np.where(lengths > 0, lengths, 1), dtype=np.float32)
    keys = [key for bank in banks for key in bank.concepts["key"].to_pylist()]
    number = np.repeat(np.arange(len(banks)), counts)
    offsets = np.cumsum([0, *counts])
    rows, images = [], []
    for bank, offset in zip(banks, offsets, strict=False):
        kept = bank.exemplars.filter(bank.exemplars["concept"].is_valid())
        rows.append(kept["concept"].to_numpy() + offset)
        images.append(kept["image_id"].to_numpy())
    known, column = np.unique(np.concatenate(images), return_inverse=True)
    width = max(len(known), 1)
    where = np.unique(np.concatenate(rows) * width + column)
    shown = csr_array((np.ones(len(where), np.int64), (where // width, where % width)), shape=(len(vectors), width))
    direction = np.concatenate([bank.concepts["direction"].to_numpy() for bank in banks])
    # A neuron is the same in every bank; direction 3 of a list that was given is not.
    own = [_kind(bank) != "neurons" for bank in banks]
    home = np.where(np.array(own)[number], number, -1)
    origin = np.unique(np.stack([home, direction]), axis=1, return_inverse=True)[1].reshape(-1)
    order = np.array(
        sorted(range(len(keys)), key=lambda row: (keys[row], digest_bytes(vectors[row].tobytes()))), dtype=np.int64
    )
    return _Concepts(
        vectors=vectors[order],
        keys=[keys[row] for row in order],
        sizes=np.concatenate([bank.concepts["size"].to_numpy() for bank in banks])[order],
        shown=shown[order],
        bank=number[order],
        concept=np.concatenate([np.arange(count) for count in counts])[order],
        direction=direction[order],
        origin=origin[order],
    )


def _kind(bank: ConceptBank) -> str:
    return str(bank.info.get("parameters", {}).get("directions", "neurons"))


def _groups(concepts: _Concepts, cosine: float, overlap: float) -> IntArray:
    """(M,) number of the group of each concept."""
    from scipy.cluster.hierarchy import fcluster, linkage

    parts = _connected(concepts.vectors, cosine)
    groups = np.zeros(len(parts), dtype=np.int64)
    order = np.argsort(parts, kind="stable")
    count = 0
    for begin, end in pairwise(np.flatnonzero(np.diff(parts[order], prepend=-1, append=-1))):
        rows = order[begin:end]
        if len(rows) > _MOST:
            raise MonosemeError(
                f"{len(rows):,} concepts hang together by cosines of {cosine} and more, too many to compare (at most {_MOST:,}); "
                "raise the cosine"
            )
        if len(rows) > 1:
            tree = linkage(_distances(concepts, rows, cosine, overlap), "complete")
            groups[rows] = fcluster(tree, _APART / 2, "distance") - 1
        groups[rows] += count
        count = int(groups[rows].max()) + 1
    return groups


def _connected(vectors: npt.NDArray[np.float32], cosine: float) -> IntArray:
    """(M,) number of the part that each concept is connected with by pairs of at least that cosine."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    parts = np.arange(len(vectors))
    for begin in range(0, len(vectors), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        near = vectors[rows] @ vectors[begin:].T >= cosine
        near &= parts[rows, None] != parts[None, begin:]  # what is connected already need not be looked at
        one, other = np.nonzero(near)
        if len(one):
            pairs = (parts[begin + one], parts[begin + other])
            graph = coo_array((np.ones(len(one), np.bool_), pairs), shape=(len(vectors), len(vectors)))
            parts = connected_components(graph, directed=False)[1][parts]
        if not parts.any():  # all are connected
            break
    return np.asarray(parts, dtype=np.int64)


def _distances(concepts: _Concepts, rows: IntArray, cosine: float, overlap: float) -> npt.NDArray[np.float64]:
    """(n (n - 1) / 2,) cosine distances of some concepts as SciPy wants them; `_APART` where two may not be in one group."""
    vectors, shown, count = concepts.vectors[rows], concepts.shown[rows], len(rows)
    images = np.asarray(shown.sum(axis=1))
    condensed = np.empty(count * (count - 1) // 2)
    place = 0
    for begin in range(0, count, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        cosines = vectors[block] @ vectors[begin:].T
        distance = np.where(cosines >= cosine, np.maximum(1 - cosines, 0), _APART)
        if overlap > 0:
            common = (shown[block] @ shown[begin:].T).toarray()
            union = images[block, None] + images[None, begin:] - common
            distance[common < overlap * union] = _APART
        for row in range(len(distance)):
            rest = distance[row, row + 1 :]
            condensed[place : place + len(rest)] = rest
            place += len(rest)
    return condensed


def _tables(concepts: _Concepts, groups: IntArray) -> tuple[npt.NDArray[np.float32], pa.Table, pa.Table]:
    """Vectors, entries and members; entries with most members first, then by the least key of their members."""
    sizes = np.bincount(groups) if len(groups) else np.zeros(0, dtype=np.int64)
    first = np.full(len(sizes), len(groups))
    np.minimum.at(first, groups, np.arange(len(groups)))
    entry = np.empty(len(sizes), dtype=np.int64)
    entry[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    order = np.argsort(entry[groups], kind="stable")
    bounds = np.cumsum([0, *np.sort(sizes)[::-1]])
    vectors = np.empty((len(sizes), concepts.vectors.shape[1]), dtype=np.float32)
    cosines = np.empty(len(groups))
    keys, directions, images, least = [], [], [], []
    for number, (begin, end) in enumerate(pairwise(bounds)):
        rows = order[begin:end]
        mine = concepts.vectors[rows].astype(np.float64)
        mean = concepts.sizes[rows] @ mine
        vectors[number] = mean / max(float(np.linalg.norm(mean)), np.finfo(np.float64).tiny)
        vector = vectors[number].astype(np.float64)
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(vector)
        found = np.minimum(mine @ vector / np.where(lengths > 0, lengths, 1), 1)
        nearest = np.argsort(-found.round(6), kind="stable")  # rounding errors must not come before the key
        order[begin:end], cosines[begin:end] = rows[nearest], found[nearest]
        keys.append(digest_text(*sorted(concepts.keys[row] for row in rows))[:16])
        directions.append(len(np.unique(concepts.origin[rows])))
        images.append(len(np.unique(concepts.shown[rows].indices)))
        least.append(found.min())
    entries = {
        "entry": np.arange(len(sizes)),
        "key": keys,
        "members": np.diff(bounds),
        "directions": directions,
        "images": images,
        "least_cosine": least,
    }
    members = {
        "entry": np.repeat(np.arange(len(sizes)), np.diff(bounds)),
        "bank": concepts.bank[order],
        "concept": concepts.concept[order],
        "key": [concepts.keys[row] for row in order],
        "direction": concepts.direction[order],
        "cosine": cosines,
    }
    return vectors, pa.table(entries, ENTRIES), pa.table(members, MEMBERS)
