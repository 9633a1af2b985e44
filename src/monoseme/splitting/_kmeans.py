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
        squared = gram.diagonal(dim1=1, dim2=2).clamp_min(0) if k == 1 else torch.zeros_like(gram[:, 0])
        return KMeans(labels.to(gram.device), squared, squared.sum(1))
    weights = _lloyd(gram, _plus_plus(gram, k, n_init, seed), features, max_iter)
    distance = _distances(gram, weights)
    labels = distance.argmin(3)
    squared = distance.gather(3, labels[..., None])[..., 0].clamp_min(0)
    best = squared.sum(1).argmin(1)  # of the starts
    row = torch.arange(problems, device=gram.device)
    labels, squared = labels[row, :, best], squared[row, :, best]
    return KMeans(number_by_appearance(labels, k), squared, squared.sum(1))


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


def _lloyd(gram: Tensor, weights: Tensor, features: int, max_iter: int) -> Tensor:
    """Lloyd steps on (B, n, R, k) until in each of the R starts no label changes or the centres stand still."""
    weights = weights.clone()
    still = TOLERANCE * gram.diagonal(dim1=1, dim2=2).sum(1) / (gram.shape[1] * features)
    active = torch.arange(len(weights), device=gram.device)
    running = torch.ones(weights.shape[0], weights.shape[2], dtype=torch.bool, device=gram.device)
    labels = torch.full(weights.shape[:3], -1, dtype=torch.int64, device=gram.device)
    inner, old = gram, weights
    for _ in range(max_iter):
        distance = _distances(inner, old)
        before, labels = labels, distance.argmin(3)
        new = torch.where(running[:, None, :, None], _moved_centres(labels, distance, old), old)
        step = new - old
        shift = (step * _product(inner, step)).sum((1, 3))
        running = running & (labels != before).any(1) & (shift > still[active, None])
        weights[active] = new
        going = running.any(1)
        if not going.any():
            break
        if going.all():
            old = new
        else:  # problems that are done leave the batch
            active, running, labels = active[going], running[going], labels[going]
            inner, old = gram[active], new[going]
    return weights


def _moved_centres(labels: Tensor, distance: Tensor, old: Tensor) -> Tensor:
    """Means of the clusters; an empty one gets the points that lie farthest from their centres, as scikit-learn does."""
    member = torch.zeros_like(distance).scatter_(3, labels[..., None], 1)
    counts = member.sum(1)
    for problem, start in (counts == 0).any(2).nonzero().tolist():
        own = distance[problem, :, start].gather(1, labels[problem, :, start, None])[:, 0]
        empty = (counts[problem, start] == 0).nonzero()[:, 0]
        if own.max() > 0:
            farthest = own.argsort(descending=True, stable=True)[: len(empty)]
            member[problem, farthest, start] = 0
            member[problem, farthest, start, empty] = 1
            counts[problem, start] = member[problem, :, start].sum(0)
    counts = counts[:, None]
    return torch.where(counts > 0, member / counts.clamp_min(1), old)


def _distances(gram: Tensor, weights: Tensor) -> Tensor:
    """(B, n, R, k) squared distance of each point to each centre, for centres with weights of that shape."""
    to_centre = _product(gram, weights)
    centre = (weights * to_centre).sum(1, keepdim=True)
    return gram.diagonal(dim1=1, dim2=2)[:, :, None, None] - 2 * to_centre + centre


def _product(gram: Tensor, weights: Tensor) -> Tensor:
    """G W, the starts side by side in one matrix."""
    return (gram @ weights.flatten(2)).view(weights.shape)


def _plus_plus(gram: Tensor, k: int, n_init: int, seed: int) -> Tensor:
    """(B, n, R, k) weights that pick k points as centres by greedy k-means++."""
    problems, n, _ = gram.shape
    device = gram.device
    first, draws = _uniforms(k, n_init, seed)
    diagonal = gram.diagonal(dim1=1, dim2=2)
    between = (diagonal[:, :, None] + diagonal[:, None, :] - 2 * gram).clamp_min_(0)
    row = torch.arange(problems, device=device)[:, None]
    # Sampling with equal weights, by the same cumulative sum that NumPy searches.
    equal = np.cumsum(np.full(n, 1 / n))
    centre = (
        torch.from_numpy(np.searchsorted(equal / equal[-1], first, side="right")).to(device).expand(problems, n_init)
    )
    chosen, closest = [centre], between[row, centre]
    for number in range(1, k):
        target = draws[:, number - 1].to(device) * closest.sum(2, keepdim=True)
        candidates = torch.searchsorted(closest.cumsum(2), target).clamp_max(n - 1)
        reached = torch.minimum(between[row[:, :, None], candidates], closest[:, :, None, :])
        winner = reached.sum(3).argmin(2, keepdim=True)
        closest = reached.take_along_dim(winner[..., None], 2)[:, :, 0]
        chosen.append(candidates.take_along_dim(winner, 2)[:, :, 0])
    return one_hot(torch.stack(chosen, dim=2), n).permute(0, 3, 1, 2).to(gram.dtype).contiguous()


def _uniforms(k: int, n_init: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """The uniform numbers that scikit-learn draws: one for the first centre of each start, then the trials of the others."""
    trials = 2 + int(math.log(k))
    drawn = np.random.RandomState(seed).random_sample((n_init, 1 + (k - 1) * trials))
    return drawn[:, 0], torch.from_numpy(drawn[:, 1:].reshape(n_init, k - 1, trials))
