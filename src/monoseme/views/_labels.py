"""Which labels a set of images has."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ..base import Labels, MonosemeError, printable
from ..runs import Run


def labels_of(run: Run | None, name: str | None = None) -> Labels | None:
    """The labels to show beside the images of a run: those named, else the only ones that were joined, else those of folders.

    None where the run has none, or several of which none is named.
    """
    if run is None:
        return None
    if name is not None:
        return run.labels(name)
    try:
        return run.labels() if run.label_sets else None
    except MonosemeError:  # several to choose from
        return None


def label_counts(labels: Labels | None, image_ids: npt.ArrayLike) -> list[tuple[str, int]]:
    """How many of the images have each label, the commonest first, then by name.

    >>> label_counts(Labels.of(["cat", None, ["dog", "cat"]]), [0, 1, 2])
    [('cat', 2), ('dog', 1)]
    """
    if labels is None:
        return []
    ids = np.asarray(image_ids, dtype=np.int64).reshape(-1)
    begin, end = (np.searchsorted(labels.image_ids, ids, side) for side in ("left", "right"))
    counts = Counter(code for low, high in zip(begin, end, strict=True) for code in labels.codes[low:high].tolist())
    named = [(labels.names[code], count) for code, count in counts.items()]
    return sorted(named, key=lambda pair: (-pair[1], pair[0]))


def commonest(labels: Labels | None, image_ids: npt.ArrayLike, limit: int = 3, width: int = 60) -> str:
    """The commonest labels of some images, as ``apple 21, tomato 6``; empty where there are none."""
    return ", ".join(f"{printable(name, width)} {count}" for name, count in label_counts(labels, image_ids)[:limit])
