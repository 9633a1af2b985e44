"""An automated intruder test: an encoder is shown images of one set and one of another, and picks the odd one out."""

from __future__ import annotations

import numpy as np

from ._bootstrap import Floats, Ints
from ._distances import Read
from ._sets import Sets

SHOWN = 5
TESTS = 10
TOGETHER = 256


def intruder_test(sets: Sets, units: Read, random: np.random.Generator, *, same_direction: bool) -> Floats:
    """Share of tests (M,) in which the intruder is found; chance is 1 / (5 + 1).

    Each test shows 5 images of a set and one of another set, of the same direction or of another. The pick is the image
    with the least mean cosine to the others; where several are equal, each of them counts in part. `units` gives the images'
    embeddings at unit length.

    Returns
    -------
    (M,), NaN for sets of fewer than 5 images and where there is no other set.

    Notes
    -----
    The test people take is that of Chang et al., Reading Tea Leaves, NeurIPS 2009; O'Mahony et al. 2023, section 4, gave it
    for concept vectors.
    """
    padded, sizes = sets.padded(), sets.sizes
    partner = _partners(sets.direction, random, same_direction)
    able = np.flatnonzero((sizes >= SHOWN) & (partner[:, 0] >= 0))
    out = np.full(len(sets), np.nan)
    for begin in range(0, len(able), TOGETHER):
        some = able[begin : begin + TOGETHER]
        shown = _draw(padded[some], random)
        other = partner[some]
        place = (random.random(other.shape) * sizes[other]).astype(np.int64)
        intruder = padded[other, place]
        valid = (intruder >= 0) & ~(padded[some][:, None] == intruder[:, :, None]).any(2)
        images = np.concatenate([shown, intruder[:, :, None]], axis=2)
        found = np.where(valid, _found(units(np.maximum(images, 0).reshape(-1)).reshape(*images.shape, -1)), 0)
        with np.errstate(invalid="ignore"):
            out[some] = found.sum(1) / valid.sum(1)
    return out


def _draw(padded: Ints, random: np.random.Generator) -> Ints:
    """(b, tests, shown) different images of each set."""
    keys = random.random((len(padded), TESTS, padded.shape[1]))
    keys[np.broadcast_to((padded < 0)[:, None], keys.shape)] = 2
    place = np.argpartition(keys, SHOWN - 1, axis=2)[:, :, :SHOWN]
    return np.take_along_axis(padded[:, None], place, axis=2)


def _partners(direction: Ints, random: np.random.Generator, same: bool) -> Ints:
    """(M, tests) another set, of the same direction or of another; -1 where there is none."""
    sets = len(direction)
    order = np.argsort(direction, kind="stable")
    place = np.empty(sets, dtype=np.int64)
    place[order] = np.arange(sets)
    begin, end = (np.searchsorted(direction[order], direction, side=side)[:, None] for side in ("left", "right"))
    step = random.random((sets, TESTS))
    choices = end - begin - 1 if same else sets - (end - begin)
    skip = (step * choices).astype(np.int64)
    chosen = begin + (place[:, None] - begin + 1 + skip) % (end - begin) if same else (end + skip) % max(sets, 1)
    return np.where(choices > 0, order[chosen] if sets else chosen, -1)


def _found(units: Floats) -> Floats:
    """(b, tests) whether the last of the images (b, tests, images, C) is the odd one out, shared among equals."""
    alike = units @ units.transpose(0, 1, 3, 2)
    likeness = alike.sum(3) - np.diagonal(alike, axis1=2, axis2=3)
    least = likeness <= likeness.min(2, keepdims=True) + 1e-5
    return np.asarray(least[:, :, -1] / least.sum(2))
