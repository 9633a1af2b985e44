"""How far a concept depends on the very images: it is looked for again in resampled data, in halves, at other K."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..base import Images
from ._split import Exemplars, Splitter

INCLUDED = 1 - np.exp(-1)
"""Share of different images in a bootstrap sample. Copies would be their own nearest neighbours, so they count once."""


@dataclass(frozen=True)
class Resampling:
    """How concepts are looked for again.

    keys : (N,) uint64, a number for each image that depends on its content
    top : K
    bootstrap : number of bootstrap samples of the images
    centre : (C,) float64 what vectors are taken about in the frame: the layer's mean, or zero
    """

    keys: npt.NDArray[np.uint64]
    top: int
    bootstrap: int
    centre: npt.NDArray[np.float64]

    @staticmethod
    def keys_of(images: Images, count: int) -> npt.NDArray[np.uint64]:
        """A number for each image: the head of its digest, or its row where no digest is known."""
        if images.digests is None:
            return np.arange(count, dtype=np.uint64)
        heads = images.digests.astype("S16")
        return np.array([int(head or b"0", 16) for head in heads.tolist()], dtype=np.uint64)

    def uniform(self, rows: npt.NDArray[np.int64], draw: int) -> npt.NDArray[np.float64]:
        """A number in [0, 1) for each image and draw (SplitMix64, Steele et al. 2014): the same for equal content."""
        with np.errstate(over="ignore"):
            z = self.keys[rows] + np.uint64((draw + 1) * 0x9E3779B97F4A7C15 % 2**64)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
        return np.asarray((z >> np.uint64(11)).astype(np.float64) / 2.0**53)


@dataclass(frozen=True)
class Stability:
    """(m,) float64 figures of each concept, 0 where it was never found again, 1 where it always came back whole.

    jaccard : mean over bootstrap samples of the Jaccard index with the most similar concept found there (Hennig,
        Computational Statistics & Data Analysis 2007), over the images that both could hold
    cosine : mean cosine of its vector with that concept's
    halves : cosine of the vectors that two halves of the images give for it, each from K / 2 exemplars
    across_k : mean Jaccard index with the most similar concept at K / 2 and at 2 K
    """

    jaccard: npt.NDArray[np.float64]
    cosine: npt.NDArray[np.float64]
    halves: npt.NDArray[np.float64]
    across_k: npt.NDArray[np.float64]


def stability(
    pool: Exemplars,
    embedded: Exemplars,
    rows: npt.NDArray[np.int64],
    concept: npt.NDArray[np.int64],
    splitter: Splitter,
    resampling: Resampling,
) -> Stability:
    """Look for the concepts of some directions again.

    Parameters
    ----------
    pool : Exemplars
        The P best images of each direction, P from K to 2 K, as the splitter sees them.
    embedded : Exemplars
        The same by their embeddings, of which vectors are made.
    rows : (D, P) int64
        Their numbers.
    concept : (D, K) int64
        Number of the concept that each of the first K belongs to, -1 for none.
    splitter : Splitter
        What found them.
    resampling : Resampling
        How to look.
    """
    directions, size = rows.shape
    top = resampling.top
    mine, number = _numbered(concept, size)
    vectors = _inner_products(embedded, torch.from_numpy(resampling.centre))
    rank = np.arange(size)[None]

    def again(included: npt.NDArray[np.bool_], k: int) -> tuple[Tensor, Tensor]:
        """Concepts (D, P, m') found among the first k included candidates, and which candidates those were (D, P)."""
        order = np.argsort(np.where(included, rank, rank + size), axis=1, kind="stable")[:, :k]
        places = torch.from_numpy(np.sort(order, axis=1))
        kept = torch.from_numpy(splitter.split(pool.subset(places)).kept.astype(np.int64))
        found = torch.zeros(directions, size, int(kept.max().clamp_min(0)) + 1, dtype=torch.float64)
        direction, place = torch.nonzero(kept >= 0, as_tuple=True)
        found[direction, places[direction, place], kept[direction, place]] = 1
        seen = torch.zeros(directions, size, dtype=torch.float64).scatter_(1, places, 1.0)
        return found, seen

    jaccard, cosine = torch.zeros(mine.shape[0], mine.shape[2]), torch.zeros(mine.shape[0], mine.shape[2])
    for draw in range(resampling.bootstrap):
        found, seen = again(resampling.uniform(rows, draw) < INCLUDED, top)
        index, which = _jaccard(mine, found, seen * torch.from_numpy(rank < top)).max(2)
        jaccard += index
        cosine += torch.where(index > 0, _cosines(vectors, mine, found).gather(2, which[:, :, None])[:, :, 0], 0.0)
    side = resampling.uniform(rows, -2) < 0.5
    halves = [again(side == half, max(top // 2, 2))[0] for half in (True, False)]
    # Columns without members are there for other directions' sake; a concept of negative cosine comes before them.
    alike = [_cosines(vectors, mine, half).masked_fill(~half.any(1)[:, None], -torch.inf) for half in halves]
    matched = [_pick(half, cosines.argmax(2)) for half, cosines in zip(halves, alike, strict=True)]
    between = _cosines(vectors, *matched).diagonal(dim1=1, dim2=2)
    across = torch.zeros(mine.shape[0], mine.shape[2], dtype=torch.float64)
    everything = np.ones(rows.shape, dtype=bool)
    for k in (max(top // 2, 2), size):
        found, seen = again(everything, k)
        across += _jaccard(mine, found, seen * torch.from_numpy(rank < top)).amax(2) / 2
    draws = max(resampling.bootstrap, 1)
    tables = (jaccard / draws, cosine / draws, between, across)
    flat = [np.zeros(int(concept.max()) + 1) for _ in tables]
    direction, place = np.nonzero(number >= 0)
    for out, table in zip(flat, tables, strict=True):
        out[number[direction, place]] = table.numpy()[direction, place]
    return Stability(*flat)


def _numbered(concept: npt.NDArray[np.int64], size: int) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Membership (D, P, m) of each direction's own concepts, and the number (D, m) of each, -1 where there is none."""
    per_direction = [np.unique(row[row >= 0]) for row in concept]
    most = max(1, *(len(numbers) for numbers in per_direction))
    number = np.full((len(concept), most), -1, dtype=np.int64)
    for row, numbers in zip(number, per_direction, strict=True):
        row[: len(numbers)] = numbers
    member = (concept[:, :, None] == number[:, None, :]) & (number[:, None, :] >= 0)
    padded = np.zeros((len(concept), size, most))
    padded[:, : concept.shape[1]] = member
    return torch.from_numpy(padded), number


def _inner_products(pool: Exemplars, centre: Tensor) -> Tensor:
    """(D, P, P) inner products of the candidates' embeddings about `centre`."""
    offset = pool.mean.double() - centre
    onto = (pool.points @ offset.float()[:, :, None]).double()
    return pool.gram + onto + onto.transpose(1, 2) + offset.square().sum(1)[:, None, None]


def _jaccard(mine: Tensor, found: Tensor, common: Tensor) -> Tensor:
    """(D, m, m') Jaccard index of concepts over the candidates that both could hold."""
    mine, found = mine * common[:, :, None], found * common[:, :, None]
    both = mine.transpose(1, 2) @ found
    either = mine.sum(1)[:, :, None] + found.sum(1)[:, None, :] - both
    return both / either.clamp_min(1)


def _cosines(inner: Tensor, mine: Tensor, found: Tensor) -> Tensor:
    """(D, m, m') cosine of mean embeddings; 0 where there are no members."""
    mine, found = mine.transpose(1, 2), found.transpose(1, 2)  # rows times a square matrix are faster than columns
    onto_mine = mine @ inner
    across = onto_mine @ found.transpose(1, 2)
    mine_length = (onto_mine * mine).sum(2).clamp_min(0).sqrt()
    found_length = ((found @ inner) * found).sum(2).clamp_min(0).sqrt()
    return across / (mine_length[:, :, None] * found_length[:, None, :]).clamp_min(1e-30)


def _pick(found: Tensor, which: Tensor) -> Tensor:
    """(D, P, m) the chosen one of the found concepts for each of mine."""
    return found.gather(2, which[:, None, :].expand(-1, found.shape[1], -1))
