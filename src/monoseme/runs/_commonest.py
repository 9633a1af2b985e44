"""What some images have in common, by their labels."""

from __future__ import annotations

from collections import Counter

import numpy.typing as npt

from ..base import printable
from ._run import Run


def commonest(run: Run, image_ids: npt.ArrayLike, limit: int = 3, width: int = 60) -> str:
    """The commonest labels of some images, as ``apple 21, tomato 6``; empty where there are no labels."""
    labels = [label for label in run.images(image_ids, ["label"])["label"].to_pylist() if label is not None]
    order = sorted(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{printable(name, width)} {count}" for name, count in order[:limit])
