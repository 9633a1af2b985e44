"""What a second encoder makes of the concepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..base import Activations, UsageError, as_activations, counted
from ._bootstrap import Floats, Ints, correlation
from ._dictionary import unit
from ._distances import PairMeans, Reading, pair_means
from ._figures import Figures
from ._intruder import SHOWN, intruder_test
from ._scores import Scored
from ._sets import Bools, Sets
from ._similarity import clarity, monosemanticity, polysemanticity, redundancy

RANDOM_SETS = 256
MOST_IMAGES = 8192
ONE_IN = 8


@dataclass(frozen=True)
class Judge:
    """A second encoder's embeddings of the images.

    embeddings : (n, C) float32
    place : (N,) int64, row of each image, -1 where the judge does not have it
    """

    embeddings: npt.NDArray[np.float32]
    place: Ints

    @classmethod
    def of(cls, judge: Activations | npt.ArrayLike, acts: Activations) -> Judge:
        """Rows are matched by the images' digests where both sides know them, else they must be in the same order.

        Raises
        ------
        UsageError
            Another number of rows, no image in common, or embeddings that are not finite.
        """
        given = as_activations(judge)
        mine, theirs = acts.images().digests, given.images().digests
        if mine is None or theirs is None:
            if len(given) != len(acts):
                raise UsageError(
                    f"the judge has {counted(len(given), 'row')}, but there are {counted(len(acts), 'image')}; give an "
                    "embedding for each image, in the same order"
                )
            place = np.arange(len(acts))
        else:
            known, first = np.unique(theirs, return_index=True)
            found = np.minimum(np.searchsorted(known, mine), len(known) - 1)
            place = np.where(known[found] == mine, first[found], -1)
        if not (place >= 0).any():
            raise UsageError("the judge knows none of the images; embed the same images with it")
        embeddings = np.asarray(given[:], dtype=np.float32)
        if not np.isfinite(embeddings).all():
            raise UsageError("the judge's embeddings are not all finite; embed the images again")
        return cls(embeddings, place)

    @property
    def known(self) -> Bools:
        """(N,) which images the judge has."""
        has: Bools = self.place >= 0
        return has

    def __call__(self, rows: Ints) -> npt.NDArray[np.float32]:
        """Image numbers (n,) -> embeddings (n, C)."""
        return self.embeddings[self.place[rows]]

    def units(self, rows: Ints) -> npt.NDArray[np.float32]:
        """Image numbers (n,) -> embeddings at unit length (n, C)."""
        return self._units[self.place[rows]]

    @cached_property
    def _units(self) -> npt.NDArray[np.float32]:
        return unit(self.embeddings)


def judged(
    judge: Judge,
    variants: Mapping[str, Sets],
    layer: Reading,
    reading: Reading,
    chance: Mapping[str, tuple[Sets, Reading]],
    figures: Figures,
    random: np.random.Generator,
) -> None:
    """Distances, clarity, polysemanticity, redundancy and intruder tests in the judge's space.

    Parameters
    ----------
    judge : Judge
        The second encoder.
    variants : mapping of Sets
        "concepts", "random partitions" and "neurons", of images that the judge knows.
    layer, reading : Reading
        Distances and means of the same images in the layer's space and in the judge's.
    chance : mapping
        "random sets" of images, and their reading in the judge's space.
    figures : Figures
        Where to put them.
    random : Generator
        For intruder tests.
    """
    concepts = variants["concepts"]
    for name in ("concepts", "random partitions"):
        found = pair_means(reading.distances, variants[name], each_set=name == "concepts")
        own = pair_means(layer.distances, variants[name], each_set=False)
        _gaps(name, found, own, variants[name].split, figures)
        if name == "concepts":
            figures.columns |= {"judge_within": found.own, "judge_between": found.others}
    _correlated(concepts, layer.distances, reading.distances, figures, random)
    families = {name: (sets, reading) for name, sets in variants.items()} | dict(chance)
    for name, (sets, read_there) in families.items():
        means = read_there.means[name]
        values = {"clarity": clarity(means.unit, sets.sizes)}
        if name != "random partitions":
            values["redundancy"] = redundancy(means.raw)
            values["polysemanticity"] = polysemanticity(sets.padded(), judge)
            values["intruder of another neuron found"] = intruder_test(sets, judge.units, random, same_direction=False)
        if name != "neurons":
            values["intruder of the same neuron found"] = intruder_test(sets, judge.units, random, same_direction=True)
        for figure, each in values.items():
            figures.mean(figure, name, each, sets.direction)
        if name == "concepts":
            figures.columns |= {key.removesuffix(" found").replace(" ", "_"): each for key, each in values.items()}
    for figure in ("intruder of the same neuron found", "intruder of another neuron found"):
        figures.exact(figure, "chance", 1 / (SHOWN + 1))


class Monosemanticity:
    """Looks at scores: the monosemanticity score of each concept's ranking.

    Parameters
    ----------
    judge : Judge
        The second encoder.
    scored : Scored
        The images; those that the judge does not know do not take part, and of the others 8,192 are enough.
    direction : (M,) int64
        Of each concept.
    random : Generator
        For shuffling images.
    """

    def __init__(self, judge: Judge, scored: Scored, direction: Ints, random: np.random.Generator) -> None:
        known = np.flatnonzero(judge.known[scored.rows])
        self._known = known[:: max(1, -(-len(known) // MOST_IMAGES))]
        self._everyone = len(self._known) == len(scored.rows)
        self._units = judge.units(scored.rows[self._known])
        self._mixed = self._units[random.permutation(len(self._units))]
        self._direction = direction
        self._found: dict[str, Floats] = {}

    def __call__(self, name: str, concepts: Ints, where: Ints, scores: npt.NDArray[np.float32]) -> None:
        """Weigh the images by their scores."""
        mine = scores if self._everyone else scores[:, self._known]
        self._of(name)[concepts] = monosemanticity(mine, self._units)[where]
        if name == "concepts":
            self._of("shuffled images")[concepts[::ONE_IN]] = monosemanticity(mine[where[::ONE_IN]], self._mixed)

    def _of(self, kind: str) -> Floats:
        return self._found.setdefault(kind, np.full(len(self._direction), np.nan))

    def put(self, figures: Figures) -> None:
        """Add what was found."""
        for kind, values in self._found.items():
            figures.mean("monosemanticity score", kind, values, self._direction)
            if kind == "concepts":
                figures.columns["monosemanticity"] = values


def _gaps(name: str, judged: PairMeans, layer: PairMeans, split: Bools, figures: Figures) -> None:
    within, between, gap, own = (
        np.where(split, each, np.nan)
        for each in (judged.within, judged.between, judged.between - judged.within, layer.between - layer.within)
    )
    figures.mean("judge's distance within", name, within)
    figures.mean("judge's distance between", name, between)
    figures.mean("judge's distance between - within", name, gap)
    figures.sums("gaps correlated with the judge's", name, _moments(own, gap), correlation, int(np.isfinite(gap).sum()))


def _correlated(concepts: Sets, layer: Floats, judge: Floats, figures: Figures, random: np.random.Generator) -> None:
    """Correlation over all pairs of exemplars of all directions; beside it with each direction's pairs shuffled."""
    one, other = np.triu_indices(concepts.rows.shape[1], 1)
    parts: dict[str, list[npt.NDArray[np.float64]]] = {"concepts": [], "shuffled pairs": []}
    for rows, mine, theirs in zip(concepts.rows, layer, judge, strict=True):
        known = (rows[one] >= 0) & (rows[other] >= 0)
        x, y = mine[known].astype(np.float64), theirs[known].astype(np.float64)
        parts["concepts"].append(_moments(x, y).sum(0))
        parts["shuffled pairs"].append(_moments(x, random.permutation(y)).sum(0))
    for name, sums in parts.items():
        stacked = np.array(sums).reshape(-1, 6)
        count = int(stacked[:, 0].sum())
        figures.sums("distances correlated with the judge's", name, stacked, correlation, count)


def _moments(x: Floats, y: Floats) -> npt.NDArray[np.float64]:
    """(n, 6) terms of a correlation; zeros where either is not a number."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(known, x, 0), np.where(known, y, 0)
    return np.stack([known, x, y, x * x, y * y, x * y], axis=1, dtype=np.float64, casting="unsafe")
