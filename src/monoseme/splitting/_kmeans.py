"""k-means of many small problems at once, in Gram space: no embedding is touched, only inner products.

A centre is a weighted sum of points, so with Gram matrix G and the weights W (n, k) the squared distance of point i to
centre j is ``G_ii - 2 (G W)_ij + (W' G W)_jj``. One Lloyd step of all problems is one batched product.

The steps, the stopping rule and the random numbers are those of ``sklearn.cluster.KMeans(k, init="k-means++", n_init,
max_iter, random_state=seed)``, which the published method calls, so that its partitions come out (up to rounding).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

TOLERANCE = 1e-4
"""Share of the mean variance below which a total movement of the centres counts as none (scikit-learn's default)."""


class KMeans(NamedTuple):
    """B solved problems of n points."""

    labels: Tensor
    """(B, n) cluster of each point, numbered by first appearance."""
    squared: Tensor
    """(B, n) squared distance of each point to its centre."""
    inertia: Tensor
    """(B,) sum of the squared distances."""


def kmeans_gram(gram: Tensor, k: int, *, features: int, n_init: int = 5, max_iter: int = 1000, seed: int = 0) -> KMeans:
    """The best of `n_init` k-means++ starts for each of B Gram matrices.

    Parameters
    ----------
    gram : (B, n, n) float64
        Inner products of the points of each problem about their mean.
    k : int
        Number of clusters, 1 <= k <= n, the same for all problems.
    features : int
        Dimension of the points; the stopping rule is stated for the mean variance of a feature.
    n_init, max_iter, seed
        As in scikit-learn.

    Notes
    -----
    k-means++ with 2 + log k trials a centre: Arthur and Vassilvitskii, SODA 2007, section 2.2.

    Examples
    --------
    >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]], dtype=torch.float64)
    >>> kmeans_gram((points @ points.T)[None], 2, features=1).labels.tolist()
    [[0, 0, 1, 1]]
    """
    problems, n, _ = gram.shape
    if k == 1 or k == n:
        labels = torch.zeros(problems, n, dtype=torch.int64) if k == 1 else torch.arange(n).repeat(problems, 1)
        labels = labels.to(gram.device)
        squared = _own_distance(gram, _means(labels, k), labels)
        return KMeans(labels, squared, squared.sum(1))
    weights = _plus_plus(gram, k, n_init, seed)
    owner = torch.arange(problems, device=gram.device).repeat_interleave(n_init)
    still = TOLERANCE * gram.diagonal(dim1=1, dim2=2).sum(1) / (n * features)
    weights = _lloyd(gram, owner, weights, still, max_iter)
    labels = _distances(gram[owner], weights).argmin(2)
    squared = _own_distance(gram[owner], weights, labels)
    best = squared.sum(1).reshape(problems, n_init).argmin(1) + torch.arange(problems, device=gram.device) * n_init
    return KMeans(number_by_appearance(labels[best], k), squared[best], squared[best].sum(1))


def number_by_appearance(labels: Tensor, k: int) -> Tensor:
    """The same partitions with clusters numbered in order of their first member: (B, n) -> (B, n).

    >>> number_by_appearance(torch.tensor([[2, 2, 0, 1]]), 3).tolist()
    [[0, 0, 1, 2]]
    """
    n = labels.shape[1]
    position = torch.arange(n, device=labels.device)[None, :, None]
    first = torch.where(one_hot(labels, k).bool(), position, n).amin(1)
    rank = first.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank.gather(1, labels)


def _lloyd(gram: Tensor, owner: Tensor, weights: Tensor, still: Tensor, max_iter: int) -> Tensor:
    """Lloyd steps until no label changes or the centres stand still; problems that are done leave the batch."""
    weights = weights.clone()
    active = torch.arange(len(weights), device=gram.device)
    before = torch.full(weights.shape[:2], -1, dtype=torch.int64, device=gram.device)
    for _ in range(max_iter):
        inner, old = gram[owner[active]], weights[active]
        distance = _distances(inner, old)
        labels = distance.argmin(2)
        new = _moved_centres(labels, distance, old)
        step = new - old
        shift = (step * (inner @ step)).sum((1, 2))
        done = (labels == before).all(1) | (shift <= still[owner[active]])
        weights[active] = new
        before, active = labels[~done], active[~done]
        if len(active) == 0:
            break
    return weights


def _moved_centres(labels: Tensor, distance: Tensor, old: Tensor) -> Tensor:
    """Means of the clusters; an empty one gets the points that lie farthest from their centres, as scikit-learn does."""
    k = distance.shape[2]
    member = one_hot(labels, k).to(distance.dtype)
    for problem in (member.sum(1) == 0).any(1).nonzero()[:, 0].tolist():
        own = distance[problem].gather(1, labels[problem, :, None])[:, 0]
        empty = (member[problem].sum(0) == 0).nonzero()[:, 0]
        if own.max() <= 0:
            continue
        farthest = own.argsort(descending=True, stable=True)[: len(empty)]
        member[problem, farthest] = 0
        member[problem, farthest, empty] = 1
    counts = member.sum(1)[:, None, :]
    return torch.where(counts > 0, member / counts.clamp_min(1), old)


def _means(labels: Tensor, k: int) -> Tensor:
    member = one_hot(labels, k).double()
    return member / member.sum(1)[:, None, :]


def _distances(gram: Tensor, weights: Tensor) -> Tensor:
    """(B, n, k) squared distance of each point to each centre."""
    to_centre = gram @ weights
    centre = (weights * to_centre).sum(1)
    return gram.diagonal(dim1=1, dim2=2)[:, :, None] - 2 * to_centre + centre[:, None, :]


def _own_distance(gram: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    return _distances(gram, weights).gather(2, labels[:, :, None])[:, :, 0].clamp_min(0)


def _plus_plus(gram: Tensor, k: int, n_init: int, seed: int) -> Tensor:
    """(B * n_init, n, k) weights that pick k points as centres by greedy k-means++."""
    problems, n, _ = gram.shape
    runs, device = problems * n_init, gram.device
    first, draws = _uniforms(k, n_init, seed)
    draws = draws.to(device).repeat(problems, 1, 1)
    diagonal = gram.diagonal(dim1=1, dim2=2)
    between = (diagonal[:, :, None] + diagonal[:, None, :] - 2 * gram).clamp_min_(0).repeat_interleave(n_init, dim=0)
    rows = torch.arange(runs, device=device)
    # Sampling with equal weights, by the same cumulative sum that NumPy searches.
    equal = np.cumsum(np.full(n, 1 / n))
    centre = torch.from_numpy(np.searchsorted(equal / equal[-1], first, side="right")).to(device).repeat(problems)
    chosen, closest = [centre], between[rows, centre]
    for number in range(1, k):
        target = draws[:, number - 1] * closest.sum(1, keepdim=True)
        candidates = torch.searchsorted(closest.cumsum(1), target).clamp_max(n - 1)
        reached = torch.minimum(between[rows[:, None], candidates], closest[:, None, :])
        winner = reached.sum(2).argmin(1)
        closest = reached[rows, winner]
        chosen.append(candidates[rows, winner])
    return one_hot(torch.stack(chosen, dim=1), n).transpose(1, 2).to(gram.dtype)


def _uniforms(k: int, n_init: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """The uniform numbers that scikit-learn draws: one for the first centre of each start, then the trials of the others."""
    trials = 2 + int(math.log(k))
    drawn = np.random.RandomState(seed).random_sample((n_init, 1 + (k - 1) * trials))
    return drawn[:, 0], torch.from_numpy(drawn[:, 1:].reshape(n_init, k - 1, trials))
