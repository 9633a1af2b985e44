"""From which projection on a concept fires: calibrated on the data set that the concept was found in."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank
from ..base import Activations, Reporter, Silent, UsageError

RATE = 0.01


def firing_levels(
    bank: ConceptBank, acts: Activations, rate: float = RATE, *, progress: Reporter | None = None
) -> npt.NDArray[np.float32]:
    """(M,) projections that a share `rate` of the data set's images reaches: a concept fires from there on.

    Of N images the rate N highest, rounded up, reach the level, so that among new images of the same kind about that share
    will fire; more of them show more of the concept.

    Raises
    ------
    UsageError
        The rate does not lie between 0 and 1, or the activations have another width.

    Examples
    --------
    >>> import monoseme as ms
    >>> from monoseme.base import as_activations
    >>> acts = np.random.default_rng(0).random((200, 8)).astype(np.float32)
    >>> bank = ms.disentangle(acts, "published", top=20, distance_threshold=1.0, outlier_threshold=9.0)
    >>> levels = firing_levels(bank, as_activations(acts), 0.05)
    >>> set((bank.project(acts) >= levels).sum(0).tolist())
    {10}
    """
    if not 0 < rate < 1:
        raise UsageError(f"the rate at which concepts fire lies between 0 and 1, not at {rate}")
    if acts.shape[1] != bank.vectors.shape[1]:
        raise UsageError(
            f"the activations have {acts.shape[1]:,} neurons, but the bank's vectors {bank.vectors.shape[1]:,} components"
        )
    count = max(1, math.ceil(rate * len(acts) - 1e-9))
    highest = np.empty((0, len(bank)), dtype=np.float32)
    with (progress or Silent()).task("calibrating", len(acts), "images") as task:
        for _, block in acts.blocks():
            highest = np.concatenate([highest, bank.project(block)])
            if len(highest) > count:
                highest = np.partition(highest, len(highest) - count, axis=0)[-count:]
            task.advance(len(block))
    return np.asarray(highest.min(0))
