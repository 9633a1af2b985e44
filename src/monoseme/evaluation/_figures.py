"""Figures as they are found, and as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._bootstrap import Floats, Interval, Ints, Numbers, Resamples, Statistic, cluster_sums, ratio
from ._catalogue import CATALOGUE
from ._sets import Bools

FIGURES = pa.schema(
    [
        pa.field("family", pa.string(), nullable=False),
        pa.field("figure", pa.string(), nullable=False),
        pa.field("of", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("better", pa.string()),
    ]
)


class Figures:
    """Collects figures with their intervals, and columns of the table of concepts."""

    def __init__(self, split: Bools, resamples: int, seed: int) -> None:
        self.split = split
        """(D,) whether a direction has several concepts."""
        self.directions = len(split)
        self.by_direction = Resamples(len(split), resamples, seed)
        self.columns: dict[str, Floats] = {}
        self._rows: list[dict[str, Any]] = []

    def mean(self, figure: str, of: str, values: Numbers, directions: Ints | None = None) -> None:
        """The mean of values (n,) that belong to directions (n,); without these there is a value for each direction."""
        self.share(figure, of, values, np.ones(len(values)), directions)

    def share(self, figure: str, of: str, part: Numbers, whole: Numbers, directions: Ints | None = None) -> None:
        """The sum of parts over the sum of wholes, both (n,). What is not a number is left out."""
        where = np.arange(len(part)) if directions is None else directions
        known = np.isfinite(part) & np.isfinite(whole)
        sums = cluster_sums(self.directions, where[known], np.asarray(part)[known], np.asarray(whole)[known])
        self.sums(figure, of, sums, ratio, int(known.sum()))

    def sums(self, figure: str, of: str, sums: npt.NDArray[np.float64], statistic: Statistic, count: int) -> None:
        """A statistic of sums (D, S) over the directions."""
        self.interval(figure, of, self.by_direction.interval(sums, statistic), count)

    def interval(self, figure: str, of: str, interval: Interval, count: int) -> None:
        """A figure whose interval is known already."""
        family, better, _ = CATALOGUE[figure]
        numbers = {name: _finite(number) for name, number in interval._asdict().items()}
        row = {"family": family, "figure": figure, "of": of, **numbers, "count": count, "better": better}
        self._rows.append(row)

    def exact(self, figure: str, of: str, value: float) -> None:
        """A figure that follows from a formula, such as a chance level."""
        self.interval(figure, of, Interval(value, np.nan, np.nan), 0)

    def table(self) -> pa.Table:
        """A row a figure and what it is of, in the catalogue's order."""
        place = {name: number for number, name in enumerate(CATALOGUE)}
        return pa.Table.from_pylist(sorted(self._rows, key=lambda row: place[row["figure"]]), schema=FIGURES)


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
