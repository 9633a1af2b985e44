"""Which images are kept out of splitting, so that what is found can be tested on them."""

from __future__ import annotations

import hashlib

import numpy as np

from ._activations import Activations, BoolArray, Images
from ._errors import UsageError


def with_digests(acts: Activations) -> Images:
    """What is known of the images, with digests in any case: where none are known, those of the rows' bytes.

    >>> from monoseme.base import ArrayActivations
    >>> images = with_digests(ArrayActivations(np.array([[1.0, 2], [3, 4], [1, 2]])))
    >>> images.first_copies.tolist()
    [True, True, False]
    """
    images = acts.images()
    if images.digests is not None:
        return images
    digests = np.empty(acts.shape[0], dtype="S32")
    for first, block in acts.blocks():
        # Adding zero makes -0 a 0; float32 makes a row and its copy at another precision one image.
        rows = np.ascontiguousarray(block, dtype=np.float32) + np.float32(0)
        digests[first : first + len(rows)] = [hashlib.blake2b(row, digest_size=16).hexdigest() for row in rows]
    return Images(digests, images.groups)


def held_out(images: Images, share: float) -> BoolArray:
    """(N,) True for the images to keep out of splitting: about that share of them.

    An image's side depends on its content alone, not on its place, its name or its neighbours: more images can be added and
    none changes sides. Copies of an image are on one side, and so is all that was cut from one photograph, whose side is that
    of its patch with the least digest.

    Raises
    ------
    UsageError
        The share is not in [0, 1), or no digests are known.

    >>> images = Images(np.array([b"00", b"01", b"02", b"00"]))
    >>> held_out(images, 0.5).tolist()
    [True, False, True, True]
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share < 1:
        raise UsageError(f"the share of images held out must be a number from 0 up to below 1, not {share!r}")
    if images.digests is None:
        raise UsageError("images without digests cannot be held out by their content")
    digests = images.digests
    if images.groups is not None:
        # A photograph is known by the least digest of what was cut from it.
        group = np.unique(images.groups, return_inverse=True)[1]
        order = np.lexsort((digests, group))
        least = digests[order][np.searchsorted(group[order], np.arange(group.max() + 1))]
        digests = least[group]
    unique, where = np.unique(digests, return_inverse=True)
    limit = int(share * 2**64)
    out = np.array([_uniform(digest) < limit for digest in unique.tolist()], dtype=np.bool_)
    chosen: BoolArray = out[where]
    return chosen


def _uniform(digest: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(digest, digest_size=8, person=b"monoseme holdout").digest(), "big")
