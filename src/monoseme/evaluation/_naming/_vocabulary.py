"""Names from a vocabulary: the text that an encoder of images and texts finds nearest to a concept's exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import numpy as np
import numpy.typing as npt
from scipy import stats

from ...base import UsageError, counted
from .._judge import Judge
from .._sets import Ints
from ._asked import Asked, Proposal
from ._labels import LEAST, RUNNERS_UP
from ._texts import Matrix, TextSpace, read_vocabulary

ENOUGH = 20
"""Texts from which on it is told whether one stands out of the vocabulary."""


@dataclass(frozen=True)
class VocabularyNamer:
    """Names concepts by the text of a vocabulary that is nearest to their exemplars.

    Chosen is the text whose mean cosine with half of the exemplars lies most above that with all images. So a text that is near
    to everything names nothing, as for the pointwise mutual information of CLIP-Dissect.

    It stands if two things hold on the other half. The cosine tells these images from those that exemplars were chosen from: the
    area under the ROC curve (0.5 by chance) is at least `least`, and larger than that of random images (Mann-Whitney test). And the text stands out of its vocabulary: one of the texts is always nearest, also
    where none of them is right; from 20 texts on it must be nearer than the largest of as many normal values would be, whose
    median and spread are those of the vocabulary (spread by median absolute deviation; Šidák's correction). The p-value is the
    larger of the two.

    Parameters
    ----------
    vocabulary : sequence of str, or path
        At least two texts, or a file with one in each line.
    space : TextSpace
        From `text_space`, or of an encoder of your own.
    template : str
        What is said to the encoder, with ``{}`` for the text.
    least : float
        Area under the curve that a name must reach.

    Notes
    -----
    Oikarinen and Weng, CLIP-Dissect, ICLR 2023 (what a text is like on any image is taken out); Bykov et al., Labeling Neural
    Representations with Inverse Recognition, NeurIPS 2023 (the area under the curve as the score of an explanation).
    """

    vocabulary: Sequence[str] | str | PathLike[str]
    space: TextSpace
    template: str = "a photo of {}"
    least: float = 0.8

    def __post_init__(self) -> None:
        if "{}" not in self.template:
            raise UsageError(f"the template must say with {{}} where the text goes, which {self.template!r} does not")
        if not 0.5 <= self.least <= 1:
            raise UsageError(f"least is an area under the curve from 0.5 to 1, not {self.least}")
        object.__setattr__(self, "vocabulary", read_vocabulary(self.vocabulary))

    @property
    def source(self) -> str:
        """Where names come from."""
        return self.space.name

    @property
    def scored_by(self) -> str:
        """What scores are."""
        return "area under the ROC curve: how well the name's cosine tells exemplars that it was not chosen on from other images"

    @property
    def tests(self) -> bool:
        """Whether random images are told apart."""
        return True

    def __call__(self, asked: Asked) -> list[Proposal]:
        """A proposal for each concept.

        Raises
        ------
        UsageError
            The embeddings do not fit the images, or the encoder cannot encode the vocabulary.
        """
        words = list(self.vocabulary)  # type: ignore[arg-type]  # read above
        near = Nearness.of(self.space, asked)
        texts = near.space.encoded([self.template.replace("{}", word) for word in words], near.width)
        proposals = []
        with asked.progress.task("naming", len(asked.concepts), "concepts") as task:
            for chosen, kept in zip(asked.chosen, asked.kept, strict=True):
                chosen, kept = near.known(chosen), near.known(kept)
                task.advance()
                if min(len(chosen), len(kept)) < LEAST:
                    few = len(chosen) + len(kept)
                    proposals.append(
                        Proposal(None, f"too few of its exemplars are known to {self.source} to name it ({few})")
                    )
                    continue
                order = np.argsort(-near.above(texts, chosen), kind="stable")[: 1 + RUNNERS_UP]
                scores = [near.told(texts[place], kept, chosen) for place in order.tolist()]
                area, p_value = scores[0]
                p_value = max(p_value, stands_out(near.above(texts, kept), int(order[0])))
                name = words[order[0]]
                reason = None
                if area < self.least:
                    reason = f"no text fits well enough: the best, {name}, tells its images from others at {area:.2f}"
                others = [(words[place], each) for place, (each, _) in zip(order[1:].tolist(), scores[1:], strict=True)]
                proposals.append(Proposal(name, reason, area, 0.5, p_value, len(kept), others))
        return proposals


@dataclass(frozen=True)
class Nearness:
    """How near images are to texts, against all images of a pool.

    space : where they are compared
    judge : the images' embeddings
    rows : (P,) the images of the pool that it knows
    """

    space: TextSpace
    judge: Judge
    rows: Ints

    @classmethod
    def of(cls, space: TextSpace, asked: Asked) -> Nearness:
        """Of the images of a bank.

        Raises
        ------
        UsageError
            The embeddings do not fit the images.
        """
        judge = Judge.of(space.images, asked.acts)
        rows = np.flatnonzero(asked.pool & judge.known)
        if len(rows) < 2 * LEAST:
            raise UsageError(
                f"{space.name} knows {counted(len(rows), 'image')} of those that were split; embed them all"
            )
        return cls(space, judge, rows)

    @property
    def width(self) -> int:
        """The d of embeddings."""
        return int(self.judge.embeddings.shape[1])

    @cached_property
    def _pool(self) -> npt.NDArray[np.float32]:
        return self.judge.units(self.rows)

    @cached_property
    def _mean(self) -> Matrix:
        """(d,) of the pool."""
        return np.asarray(self._pool.mean(0, dtype=np.float64))

    def known(self, images: Ints) -> Ints:
        """Those of the images that have an embedding."""
        return images[self.judge.known[images]]

    def above(self, texts: Matrix, images: Ints) -> Matrix:
        """(V,) by how much the mean cosine of images with texts (V, d) lies above that of the pool."""
        return np.asarray(texts @ (self.judge.units(images).mean(0, dtype=np.float64) - self._mean))

    def told(self, text: Matrix, images: Ints, aside: Ints) -> tuple[float, float]:
        """Area under the ROC curve of the images against the pool without them and some others, and its p-value."""
        cosine = self._pool @ text
        rest = cosine[~np.isin(self.rows, np.concatenate([images, aside]))]
        found = stats.mannwhitneyu(self.judge.units(images) @ text, rest, alternative="greater", method="asymptotic")
        return float(found.statistic) / (len(images) * len(rest)), float(found.pvalue)


def stands_out(values: Matrix, place: int) -> float:
    """Chance that the largest of so many normal values would be as large as the one at that place; 0 for fewer than 20.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=400)
    >>> stands_out(values, int(values.argmax())) > 0.05, stands_out(np.append(values, 8.0), 400) < 1e-9
    (True, True)
    """
    if len(values) < ENOUGH:
        return 0.0
    middle = np.median(values)
    spread = np.median(np.abs(values - middle)) / stats.norm.ppf(0.75)
    if not spread > 0:
        return 0.0
    return float(-np.expm1(len(values) * stats.norm.logcdf((values[place] - middle) / spread)))
