"""What splitting may know of the layer as a whole: which images take part, their moments, random sets of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from ..banks import ConceptBank, Frame
from ..base import BLOCK_ROWS, Activations, Images, held_out, with_digests
from ._frame import require_finite

SAMPLE_ROWS = 16_384
"""Images whose covariance is taken when there are more, or 8 for each neuron if that is more."""


@dataclass(frozen=True)
class Moments:
    """Mean (C,) and covariance (C, C) of the embeddings in the frame, float64, from `count` of them."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    count: int


@dataclass(frozen=True)
class Layer:
    """A layer's embeddings as a splitter may see them: in the frame, without copies and without held-out images.

    acts : the activations
    frame : how they are moved and scaled
    eligible : (N,) bool images that take part, None for all
    images : what is known of the images
    top : K
    seed : of the random sets
    """

    acts: Activations
    frame: Frame
    eligible: npt.NDArray[np.bool_] | None
    images: Images
    top: int
    seed: int = 0

    @classmethod
    def of(cls, acts: Activations, frame: Frame, top: int, seed: int, holdout: float, by_content: bool) -> Layer:
        """Leave out copies and a share of the images by their content.

        With `by_content`, rows of a plain array that are equal count as copies too.
        """
        images = with_digests(acts) if by_content or holdout != 0 else acts.images()
        eligible = images.first_copies
        if holdout != 0:
            inside = ~held_out(images, holdout)
            eligible = inside if eligible is None else inside & eligible
        return cls(acts, frame, eligible, images, top, seed)

    @classmethod
    def behind(cls, bank: ConceptBank, acts: Activations) -> Layer:
        """As the bank saw it when it was made."""
        known = bank.info["parameters"]
        return cls.of(acts, bank.frame, known["top"], known["seed"], known.get("holdout") or 0.0, by_content=False)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Numbers of the images that take part."""
        return np.arange(self.acts.shape[0]) if self.eligible is None else np.flatnonzero(self.eligible)

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(n, C) embeddings of images in the frame."""
        out = np.empty((len(rows), self.acts.shape[1]), dtype=np.float32)
        self.acts.take(rows, out)
        return self.frame(out)

    def random_sets(self) -> Iterator[npt.NDArray[np.float32]]:
        """The embeddings (K, C) of random sets of different images, one after the other without end."""
        random, rows = np.random.default_rng(self.seed), self.rows
        size = min(self.top, len(rows))
        while True:
            yield self.take(random.choice(rows, size=size, replace=False))

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance, of all images or of enough of them, chosen by their content and not by their order."""
        rows = self.rows
        limit = max(SAMPLE_ROWS, 8 * self.acts.shape[1])
        if len(rows) > limit:
            order = rows if self.images.digests is None else rows[np.argsort(self.images.digests[rows], kind="stable")]
            rows = np.sort(order[np.linspace(0, len(order) - 1, limit).astype(np.int64)])
        width = self.acts.shape[1]
        shift = self.take(rows[:BLOCK_ROWS]).mean(0)  # products about a point inside the data do not cancel
        total, products = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
        for begin in range(0, len(rows), BLOCK_ROWS):
            block = self.take(rows[begin : begin + BLOCK_ROWS])
            require_finite(block, int(rows[begin]))
            points = torch.from_numpy(block - shift)
            total += points.sum(0, dtype=torch.float64)
            products += points.T @ points
        mean = total / len(rows)
        covariance = products / len(rows) - torch.outer(mean, mean)
        return Moments(mean.numpy() + shift, covariance.numpy(), len(rows))
