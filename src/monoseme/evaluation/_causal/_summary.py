"""From what happened image by image to effects with intervals, a verdict, and the classes that move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._bootstrap import Interval, Resamples, cluster_sums, ratio
from ._effects import ABLATED, CHANGES, STEERED, Moved
from ._result import NEGLIGIBLE

OWN, SIBLINGS, RANDOM = "own", "siblings", "random"
SHOWN = {ABLATED: OWN, STEERED: RANDOM}
"""On which images a change says most: a concept can be taken only where it is, and added only where it is not."""
_CLASSES = 5


def summary(
    moved: Moved, ways: Sequence[str], place: Mapping[str, npt.NDArray[np.int64]], resamples: int, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of the table of effects, and columns of the table of concepts.

    Parameters
    ----------
    moved : Moved
        Of n images under W directions, the concept first.
    ways : sequence of W str
        What each direction is; several may be alike, such as random ones.
    place : mapping
        Which of the n images are its own, its siblings' and random ones.
    resamples, seed : int
        Of the bootstrap over images and, for the excess, over images and random directions.
    """
    of = np.asarray(ways)
    rows = []
    for change, name in enumerate(CHANGES):
        for way in dict.fromkeys(ways):
            for on, where in place.items():
                if len(where):
                    chosen = np.ix_(np.flatnonzero(of == way), where)
                    interval = _mean(moved.moved[change][chosen].mean(0), resamples, seed)
                    rows.append(
                        {
                            "change": name,
                            "of": way,
                            "on": on,
                            **dict(zip(("moved", "low", "high"), map(finite, interval), strict=True)),
                            "flipped": float(moved.flipped[change][chosen].mean()),
                            "dropped": float(moved.dropped[change][chosen].mean()),
                            "images": len(where),
                        }
                    )
    columns: dict[str, Any] = {}
    found = {}
    for change, on in SHOWN.items():
        name, where = CHANGES[change], place[on]
        itself = moved.moved[change, 0, where].astype(np.float64)
        beside = moved.moved[change][np.ix_(np.flatnonzero(of == "equal variance"), where)].astype(np.float64)
        mean, excess = _mean(itself, resamples, seed), _excess(itself, beside, resamples, seed)
        found[change] = mean, excess
        for suffix, interval in (("", mean), ("_excess", excess)):
            columns |= {
                f"{name}{suffix}": finite(interval.value),
                f"{name}{suffix}_low": finite(interval.low),
                f"{name}{suffix}_high": finite(interval.high),
            }
        columns[f"{name}_flipped"] = finite(moved.flipped[change, 0, where].mean() if len(where) else np.nan)
    return rows, {"verdict": verdict(found[ABLATED], found[STEERED]), **columns}


def verdict(*changes: tuple[Interval, Interval]) -> str:
    """What is to be said of a concept, from the (moved, excess) of each change; the rule is in `VERDICTS`.

    >>> moves, nothing = Interval(0.3, 0.2, 0.4), Interval(0.001, 0.0, 0.002)
    >>> verdict((moves, moves), (nothing, nothing)), verdict((nothing, nothing)), verdict((moves, Interval(0, -0.1, 0.1)))
    ('acts', 'does nothing', 'like random')
    """
    if any(moved.value >= NEGLIGIBLE and excess.low > 0 for moved, excess in changes):
        return "acts"
    if not all(np.isfinite(moved.high) for moved, _ in changes):
        return "unknown"
    return "does nothing" if all(moved.high < NEGLIGIBLE for moved, _ in changes) else "like random"


def classes(
    moved: Moved, place: Mapping[str, npt.NDArray[np.int64]], names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The classes that go down most when a concept is taken out, and up when it is added."""
    rows = []
    for change, on in SHOWN.items():
        if not len(place[on]):
            continue
        sign = -1 if change == ABLATED else 1
        changed = sign * moved.classes[change][place[on]]
        mean, often = changed.mean(0, dtype=np.float64), (changed > 0).mean(0)
        for number in np.argsort(-mean, kind="stable")[:_CLASSES].tolist():
            if mean[number] > 1e-6:
                rows.append(
                    {
                        "change": CHANGES[change],
                        "class": number,
                        "name": None if names is None else names[number],
                        "difference": sign * float(mean[number]),
                        "images": float(often[number]),
                    }
                )
    return rows


def finite(number: float) -> float | None:
    """None for what is not a number, as tables keep it."""
    return float(number) if np.isfinite(number) else None


def _mean(values: npt.NDArray[Any], resamples: int, seed: int) -> Interval:
    """The mean over images and its interval."""
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan)
    sums = cluster_sums(len(values), np.arange(len(values)), values, np.ones(len(values)))
    return Resamples(len(values), resamples, seed).interval(sums, ratio)


def _excess(itself: npt.NDArray[np.float64], beside: npt.NDArray[np.float64], resamples: int, seed: int) -> Interval:
    """By how much the mean of values (n,) exceeds that of random directions (k, n), both images and directions resampled."""
    directions, images = beside.shape
    if images < 2 or directions < 2:
        return Interval(itself.mean() - beside.mean() if images and directions else np.nan, np.nan, np.nan)
    random = np.random.default_rng(seed)
    weights = random.multinomial(images, np.full(images, 1 / images), size=resamples) / images
    others = random.multinomial(directions, np.full(directions, 1 / directions), size=resamples) / directions
    drawn = weights @ itself - np.einsum("ri,ki,rk->r", weights, beside, others)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(itself.mean() - beside.mean()), float(low), float(high))
