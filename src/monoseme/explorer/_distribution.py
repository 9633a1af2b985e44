"""How the images of a run answer a layer's neurons and a bank's concepts: what one more image is measured against."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..use import RATE, firing_levels
from ._later import Later
from ._opened import OpenedBank

SAMPLE = 2000
"""Images that quantiles are taken from, spread evenly over the run; all where it has no more."""
BYTES = 2**26
"""The most memory that the sample of a bank takes."""

Floats = npt.NDArray[np.float32]


class Answers:
    """What n images give in each of M columns, and how a further value in each compares.

    Parameters
    ----------
    values : (n, M)
    rate : the share of images that counts as the strongest

    Examples
    --------
    >>> answers = Answers(np.array([[0, 5], [0, 5], [2, 5], [4, 5]], dtype=np.float32), rate=0.01)
    >>> answers.below(np.array([0, 9], dtype=np.float32)).tolist()
    [0.25, 1.0]
    >>> answers.strength(np.array([1, 9], dtype=np.float32)).round(2).tolist()
    [0.0, 0.0]
    """

    def __init__(self, values: Floats, rate: float = RATE) -> None:
        self._values = values
        self._middle, high = np.quantile(values, [0.5, 1 - rate], axis=0)
        way = high - self._middle
        self._way = np.where(way > 1e-6 * np.abs(high).max(initial=0), way, np.inf)

    def __len__(self) -> int:
        return len(self._values)

    def below(self, values: Floats) -> Floats:
        """(M,) the share of the images that lies below each value (M,); those that are equal count half."""
        less, equal = (self._values < values).mean(0), (self._values == values).mean(0)
        return np.asarray(less + equal / 2, dtype=np.float32)

    def strength(self, values: Floats) -> Floats:
        """(M,) how far values lie on the way from the median image, at 0, to where the strongest begin, at 1.

        Where there is no such way, since nearly all images give the same, it is 0.
        """
        return np.asarray((values - self._middle) / self._way, dtype=np.float32)


class Sample(NamedTuple):
    """What images of the run give: projections on the bank's concepts, and the layer's neurons."""

    concepts: Answers
    neurons: Answers


class Distribution:
    """Of one bank; computed in the background when it is first asked for."""

    def __init__(self, bank: OpenedBank, later: Later) -> None:
        self._bank, self._later, self._lock = bank, later, threading.Lock()
        self._sample: Future[Sample] | None = None
        self._levels: Future[Floats] | None = None

    def begin(self) -> Distribution:
        """Begin to compute, unless that was done before."""
        with self._lock:
            if self._sample is None:
                self._sample, self._levels = self._later(self._read), self._later(self._calibrate)
        return self

    @property
    def sample(self) -> Future[Sample]:
        """A sample of the images, soon."""
        self.begin()
        assert self._sample is not None
        return self._sample

    @property
    def levels(self) -> Floats | None:
        """(M,) from which projection on each concept fires, which reads the whole layer; None as long as that goes on."""
        self.begin()
        assert self._levels is not None
        return self._levels.result() if self._levels.done() else None

    def _read(self) -> Sample:
        bank, acts = self._bank.bank, self._bank.acts
        width = len(bank) + acts.shape[1]
        count = max(2, min(len(acts), SAMPLE, BYTES // (4 * width)))
        rows = np.unique(np.linspace(0, len(acts) - 1, count).astype(np.int64))
        embeddings = np.asarray(acts[rows], dtype=np.float32)
        return Sample(Answers(bank.project(embeddings)), Answers(embeddings))

    def _calibrate(self) -> Floats:
        return firing_levels(self._bank.bank, self._bank.acts, RATE)


class Distributions:
    """Those of the banks that pictures were tried on last."""

    def __init__(self) -> None:
        self._later = Later()
        self.of = lru_cache(4)(lambda bank: Distribution(bank, self._later))

    def close(self) -> None:
        """Begin nothing more."""
        self._later.close()
