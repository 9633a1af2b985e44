"""The best division of each of many small sets in two, and how clear it is.

Everything happens between inner products, for all sets at once. B sets of at most K points; a mask says which points belong.
Memberships and vectors lie as rows, (B, 2, K): a few rows times a square matrix is several times faster than columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_STARTS = 3
_POWER_STEPS = 12
_LLOYD_STEPS = 16
_REFINE_STEPS = 10


@dataclass(frozen=True)
class Halves:
    """How B sets divide in two.

    side : (B, K) bool, the points of the second side; False outside the set
    bimodality : (B,) share of the variance of the points' leave-one-out scores that lies between the two sides
    cosine : (B,) estimated cosine of the angle between the true mean directions of the two sides
    possible : (B,) both sides have at least `min_size` points
    features : (B, 5) size, effective dimension, the two leading eigenvalue shares and the mean inner product of different
        points, which the null depends on
    """

    side: Tensor
    bimodality: Tensor
    cosine: Tensor
    possible: Tensor
    features: Tensor


def bisect(
    gram: Tensor,
    coordinates: Tensor,
    variances: Tensor,
    mask: Tensor,
    min_size: int,
    promising: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Halves:
    """Divide each set in two: 2-means of the whitened points, then each point to the side whose direction it shows most.

    Parameters
    ----------
    gram : (B, K, K) floating
        Inner products of the whitened points, scaled to unit length.
    coordinates : (B, K, d) floating
        The points on the layer's principal components, not whitened, about the layer's mean.
    variances : (d,) floating
        Variance of each component over the data set.
    mask : (B, K) bool
        Which points belong to the set.
    min_size : int
        Fewest points of a side.
    promising : function, optional
        From features, bimodality and cosine to which sets (B,) are worth refining; all by default.
    """
    weight = mask.to(gram.dtype)
    centred = _centre(gram, weight)
    vectors, values = leading(centred, weight)
    side = _two_means(centred, weight, vectors)
    size = weight.sum(1)
    trace = (centred.diagonal(dim1=1, dim2=2) * weight).sum(1).clamp_min(1e-12)
    own = gram.diagonal(dim1=1, dim2=2)
    alike = (weight * ((weight[:, None] @ gram)[:, 0] - own)).sum(1) / (size * (size - 1)).clamp_min(1)
    effective = trace**2 / centred.square().sum((1, 2)).clamp_min(1e-24)
    features = torch.stack([size, effective, *(values[:, :2] / trace[:, None]).T, alike], 1)
    scores, cosine = leave_one_out(gram, weight, side)
    bimodality = best_cut(scores, weight)[1]
    some = torch.ones(len(side), dtype=torch.bool) if promising is None else promising(features, bimodality, cosine)
    if some.any():
        inner, inside, before = gram[some], weight[some], side[some]
        refined = _refine(coordinates[some], variances, inside, before)
        refined = torch.where((_smaller(refined, inside) >= min_size)[:, None], refined, before)
        side[some] = refined
        # A division counts as clear only if it is so before and after refinement.
        cosine[some] = torch.maximum(cosine[some], leave_one_out(inner, inside, refined)[1])
    return Halves(side, bimodality, cosine, _smaller(side, weight) >= min_size, features)


def leave_one_out(gram: Tensor, weight: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """Discriminant score of each point with itself left out of its side's mean, and the cosine of the two sides.

    Returns
    -------
    scores : (B, K)
        Half the difference of the squared distances to the two means.
    cosine : (B,)
        Mean inner product across, over the geometric mean of the mean inner products within pairs of different points: the
        cosine of the means with the noise of finite samples taken out. 1 where a side has fewer than two points.
    """
    onto = _membership(weight, side)
    size = onto.sum(2, keepdim=True)
    own = gram.diagonal(dim1=1, dim2=2)[:, None]
    sums = onto @ gram
    totals = (onto * sums).sum(2, keepdim=True)
    left = (size - onto).clamp_min(1)
    means = (sums - onto * own) / left
    squares = (totals - onto * (2 * sums - own)) / left**2
    difference = means - 0.5 * squares
    scores = (difference[:, 1] - difference[:, 0]) * weight
    pairs = (size * (size - 1)).clamp_min(1)
    within = ((totals - (onto * own).sum(2, keepdim=True)) / pairs)[:, :, 0].clamp_min(1e-3)
    across = (onto[:, 0] * sums[:, 1]).sum(1) / (size[:, 0, 0] * size[:, 1, 0]).clamp_min(1)
    cosine = across / (within[:, 0] * within[:, 1]).sqrt()
    return scores, torch.where(size.amin((1, 2)) >= 2, cosine, 1.0)


def best_cut(scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The cut of scores (B, K) in two that leaves the least variance within: 2-means on a line, exactly.

    Returns
    -------
    side : (B, K) bool
        Points above the cut.
    share : (B,)
        Variance between the two sides over all variance; 2 / pi for many points of a Gaussian. 0 where nothing varies.
    """
    size = weight.sum(1, keepdim=True)
    mean = (scores * weight).sum(1, keepdim=True) / size.clamp_min(1)
    about = (scores - mean) * weight
    total = about.square().sum(1)
    order = torch.where(weight > 0, about, torch.inf).argsort(dim=1, stable=True)
    running = about.gather(1, order).cumsum(1)[:, :-1]
    left = torch.arange(1, scores.shape[1], dtype=scores.dtype)[None]
    between = running**2 * size / (left * (size - left)).clamp_min(1)
    between = torch.where(left < size, between, -1.0)
    best, cut = between.max(1)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(scores.shape[1]).expand_as(order))
    side = (rank > cut[:, None]) & (weight > 0)
    share = torch.where(total > 1e-20, best.clamp_min(0) / total.clamp_min(1e-20), 0.0)
    return side, share.clamp_max(1)


def leading(centred: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The leading eigenvectors (B, 3, K) and eigenvalues (B, 3) by subspace iteration; near enough for a start."""
    points = centred.shape[1]
    start = torch.cos(torch.outer(torch.arange(1, _STARTS + 1), torch.arange(points) + 0.5) * 2.399963)
    vectors = start.to(centred.dtype) * weight[:, None]
    values = torch.zeros(len(centred), _STARTS, dtype=centred.dtype)
    for _ in range(_POWER_STEPS):
        vectors = vectors @ centred
        for row in range(_STARTS):  # Gram-Schmidt
            vector = vectors[:, row]
            if row:
                before = vectors[:, :row]
                vector = vector - ((before * vector[:, None]).sum(2, keepdim=True) * before).sum(1)
            length = vector.square().sum(1, keepdim=True).sqrt()
            values[:, row] = length[:, 0]
            vectors[:, row] = vector / length.clamp_min(1e-30)
    return vectors, values


def _centre(gram: Tensor, weight: Tensor) -> Tensor:
    """Inner products about each set's own mean; 0 outside the set."""
    size = weight.sum(1)[:, None].clamp_min(1)
    row = (weight[:, None] @ gram)[:, 0] / size
    mean = (row * weight).sum(1)[:, None, None] / size[:, :, None]
    return (gram - row[:, :, None] - row[:, None] + mean) * weight[:, :, None] * weight[:, None]


def _two_means(centred: Tensor, weight: Tensor, vectors: Tensor) -> Tensor:
    """(B, K) the best 2-means partition of those reached from the best cuts along the leading eigenvectors."""
    sets, starts, points = vectors.shape
    inside = weight[:, None].expand(sets, starts, points)
    side = best_cut(vectors.reshape(-1, points), inside.reshape(-1, points))[0].reshape(sets, starts, points)
    size = weight.sum(1)[:, None]
    for _ in range(_LLOYD_STEPS):
        second = side.to(weight.dtype)
        count = second.sum(2)
        onto = second @ centred  # about the mean the first side's sums are minus the second's
        total = (second * onto).sum(2)
        first = (size - count).clamp_min(1)
        count = count.clamp_min(1)
        score = (
            onto * (1 / count + 1 / first)[:, :, None]
            - 0.5 * total[:, :, None] * (1 / count**2 - 1 / first**2)[:, :, None]
        )
        moved = (score > 0) & (inside > 0)
        members = moved.sum(2)
        moved = torch.where(((members > 0) & (members < size))[:, :, None], moved, side)
        if torch.equal(moved, side):
            break
        side = moved
    second = side.to(weight.dtype)
    count = second.sum(2)
    total = (second * (second @ centred)).sum(2)
    between = total * size / (count * (size - count)).clamp_min(1)
    # A later start must be better by more than rounding, so that equal ones do not depend on the machine.
    best = torch.zeros(sets, dtype=torch.int64)
    for start in range(1, starts):
        held = between.gather(1, best[:, None])[:, 0]
        best = torch.where(between[:, start] > held * (1 + 1e-9), start, best)
    return side[torch.arange(sets), best]


def _refine(coordinates: Tensor, variances: Tensor, weight: Tensor, side: Tensor) -> Tensor:
    """Each point to the side on whose mean direction it projects most, in standard deviations of that projection.

    A point is left out of its own side's mean. Sets where that would leave a side empty stay as they were.
    """
    own = coordinates.square().sum(2)[:, None]
    turned = coordinates.transpose(1, 2)
    for _ in range(_REFINE_STEPS):
        onto = _membership(weight, side)
        size = onto.sum(2, keepdim=True).clamp_min(1)
        means = onto @ coordinates / size
        spread = (means**2 @ variances).sqrt().clamp_min(1e-30)[:, :, None]
        products = means @ turned
        without = (products * size - own) / (size - 1).clamp_min(1)
        standard = torch.where(onto > 0, without, products) / spread
        moved = (standard[:, 1] > standard[:, 0]) & (weight > 0)
        moved = torch.where((_smaller(moved, weight) >= 2)[:, None], moved, side)
        if torch.equal(moved, side):
            break
        side = moved
    return side


def _membership(weight: Tensor, side: Tensor) -> Tensor:
    """(B, 2, K) 1 where a point belongs to the set and to that side."""
    second = side.to(weight.dtype) * weight
    return torch.stack([weight - second, second], 1)


def _smaller(side: Tensor, weight: Tensor) -> Tensor:
    second = (side.to(weight.dtype) * weight).sum(1)
    return torch.minimum(second, weight.sum(1) - second)
