"""Which concepts of one bank are in another: of another layer, checkpoint or model, by what they make of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import linear_sum_assignment

from ..banks import ConceptBank
from ..base import Activations, Reporter, Silent, UsageError, as_activations, counted
from ._bootstrap import Ints
from ._enrichment import q_values
from ._images import gathered, require_fit

MAX_IMAGES = 4096
FEWEST = 20
Singles = npt.NDArray[np.float32]

PAIRS = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("other", pa.int32()),
        pa.field("other_key", pa.string()),
        pa.field("correlation", pa.float64()),
        pa.field("best_correlation", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("matched", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Matches:
    """Which concepts of a bank are in another bank. Made by `match_concepts`.

    Attributes
    ----------
    table : pyarrow.Table
        A row for each concept of the first bank: concept, key, its partner in the second (other, other_key; null where the
        second bank has fewer concepts), the correlation of the two over the images, the largest correlation with any concept of
        the second bank (best_correlation), p_value and q_value of a correlation so large with the best of as many concepts
        over shuffled images, and whether the pair counts as matched.
    unmatched, other_unmatched : (n,) int64
        Concepts of the first and of the second bank that have no match.
    info : dict
        How many images and concepts, and the level of false discoveries, as plain JSON values.
    """

    table: pa.Table
    unmatched: Ints
    other_unmatched: Ints
    info: Mapping[str, Any]

    @property
    def pairs(self) -> Ints:
        """(P, 2) the matched concepts of the two banks."""
        found = self.table.filter(pc.field("matched"))
        return np.stack([found["concept"].to_numpy(), found["other"].to_numpy()], axis=1).astype(np.int64)

    def __repr__(self) -> str:
        return (
            f"<{len(self.table) - len(self.unmatched):,} of {len(self.table):,} concepts matched over "
            f"{counted(self.info['images'], 'image')}>"
        )


def match_concepts(
    bank: ConceptBank,
    acts: Activations | npt.ArrayLike,
    other: ConceptBank,
    other_acts: Activations | npt.ArrayLike,
    *,
    q: float = 0.05,
    max_images: int = MAX_IMAGES,
    shuffles: int = 50,
    seed: int = 0,
    progress: Reporter | None = None,
) -> Matches:
    """Match the concepts of two banks one to one by their projections of the same images.

    Directions of different spaces have no cosine, but what they make of the same images can be compared: concepts are paired
    so that the sum of their correlations is largest. A pair counts as matched where its correlation is larger than what the
    best of the other bank's concepts reaches over shuffled images, at a false discovery rate of `q`. What is left in the
    first bank was lost in the other (by a fine-tuning, say), what is left in the second is new (in a deeper layer, say).

    Parameters
    ----------
    bank, other : ConceptBank
        From any layers of any models.
    acts, other_acts : Activations or (N, C) array
        The activations that each was made from. Where both know the images' digests, images are matched by these, else they
        must be the same images in the same order.
    q : float
        The share of false discoveries among the matched pairs.
    max_images : int
        The most images that are compared; more are sampled.
    shuffles : int
        How often images are shuffled for the null.
    seed : int
        Of the sample and the shuffles.
    progress : Reporter, optional
        Told of shuffles.

    Raises
    ------
    UsageError
        A bank and its activations do not fit, the two have fewer than 20 images in common, or a projection is not finite.

    Notes
    -----
    Kuhn's assignment as in `scipy.optimize.linear_sum_assignment`. The null of a concept is the largest correlation of its
    profile with any profile of the other bank when the images of one side are shuffled: so the number of concepts to choose
    from is allowed for. Its mean and standard deviation are estimated for each concept, its shape from the standardised
    values of all, so that few shuffles give small p-values. Images are taken to be independent draws: patches of one
    photograph are not, and make p-values too small.

    Examples
    --------
    A layer turned in space has the same concepts:

    >>> import monoseme as ms
    >>> rng = np.random.default_rng(0)
    >>> acts = (8 * np.eye(6)[np.arange(300) % 6] + rng.normal(size=(300, 6))).astype("float32")
    >>> turned = acts @ np.linalg.qr(rng.normal(size=(6, 6)))[0].astype("float32")
    >>> options = {"top": 30, "distance_threshold": 20.0, "outlier_threshold": 1e9}
    >>> bank = ms.disentangle(acts, "published", **options)
    >>> other = ms.disentangle(turned, "published", scores=acts, **options)
    >>> match_concepts(bank, acts, other, turned).pairs[:, 1].tolist() == list(range(len(bank)))
    True
    """
    sides = [(bank, as_activations(acts)), (other, as_activations(other_acts))]
    for each, its_acts in sides:
        require_fit(each, its_acts)
        if len(each) == 0:
            raise UsageError("a bank without concepts has nothing to match; split its layer with other parameters")
    if not 0 < q < 1 or shuffles < 2 or max_images < FEWEST:
        raise UsageError(f"q lies between 0 and 1, shuffles are at least 2 and images at least {FEWEST}")
    random = np.random.default_rng(seed)
    rows = _common(sides[0][1], sides[1][1])
    common = rows.shape[1]
    if common > max_images:
        rows = rows[:, np.sort(random.choice(common, max_images, replace=False))]
    mine, theirs = (profiles(each, its_acts, its) for (each, its_acts), its in zip(sides, rows, strict=True))
    found = mine.T @ theirs
    with (progress or Silent()).task("shuffling images", shuffles, "shuffles") as task:
        null = np.empty((shuffles, len(bank)))
        for shuffle in range(shuffles):
            null[shuffle] = (mine.T @ theirs[random.permutation(len(theirs))]).max(1)
            task.advance()
    partner = _assigned(found)
    return _matches(bank, other, found, partner, null, q, {"images": rows.shape[1], "common": common, "seed": seed})


def _common(acts: Activations, other: Activations) -> Ints:
    """(2, n) rows of the images that both have."""
    mine, theirs = acts.images().digests, other.images().digests
    if mine is None or theirs is None:
        if len(acts) != len(other):
            raise UsageError(
                f"there are {counted(len(acts), 'image')} on one side and {len(other):,} on the other, and no digests to match "
                "them by; give activations of the same images in the same order, or of runs"
            )
        rows = np.tile(np.arange(len(acts)), (2, 1))
    else:
        _, first, second = np.intersect1d(mine, theirs, return_indices=True)
        order = np.argsort(first)
        rows = np.stack([first[order], second[order]])
    if rows.shape[1] < FEWEST:
        raise UsageError(
            f"the two have {counted(rows.shape[1], 'image')} in common, which is too few to compare concepts; embed the same "
            f"images, at least {FEWEST}, with both"
        )
    return rows.astype(np.int64)


def profiles(bank: ConceptBank, acts: Activations, rows: Ints) -> Singles:
    """(n, M) projections of images on each concept, centred and of unit length; zero where they are all alike.

    The product of two profiles is the correlation of two concepts, whatever spaces they are from.

    Raises
    ------
    UsageError
        A projection is not finite.
    """
    order = np.argsort(rows, kind="stable")
    projected = np.empty((len(rows), len(bank)))
    projected[order] = bank.project(gathered(acts, rows[order]))
    if not np.isfinite(projected).all():
        place = rows[int(np.argmin(np.isfinite(projected).all(1)))]
        raise UsageError(f"image {place} has no finite projections on the concepts of {bank.layer}; leave it out")
    projected -= projected.mean(0)
    lengths = np.linalg.norm(projected, axis=0)
    spread = lengths > 1e-9 * max(float(lengths.max()), np.finfo(np.float64).tiny)
    return np.where(spread, projected / np.where(spread, lengths, 1), 0).astype(np.float32)


def _assigned(found: Singles) -> Ints:
    """(M,) the column of each row where the sum is largest, -1 for rows left over."""
    partner = np.full(len(found), -1)
    rows, columns = linear_sum_assignment(found, maximize=True)
    partner[rows] = columns
    return partner


def _p_values(correlation: npt.NDArray[np.float64], null: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(M,) from correlations (M,) and the null's largest (S, M)."""
    mean, spread = null.mean(0), np.maximum(null.std(0, ddof=1), 1e-12)
    by_chance = np.sort(((null - mean) / spread).reshape(-1))
    above = len(by_chance) - np.searchsorted(by_chance, (correlation - mean) / spread)
    return np.asarray((1 + above) / (1 + len(by_chance)))


def _matches(
    bank: ConceptBank,
    other: ConceptBank,
    found: Singles,
    partner: Ints,
    null: npt.NDArray[np.float64],
    q: float,
    info: dict[str, Any],
) -> Matches:
    paired = np.flatnonzero(partner >= 0)
    correlation = np.full(len(bank), np.nan)
    correlation[paired] = found[paired, partner[paired]]
    p_value, q_value = np.full(len(bank), np.nan), np.full(len(bank), np.nan)
    p_value[paired] = _p_values(correlation[paired], null[:, paired])
    q_value[paired] = q_values(p_value[paired])
    matched = np.zeros(len(bank), dtype=np.bool_)
    matched[paired] = q_value[paired] <= q
    without = partner < 0
    columns: dict[str, Any] = {
        "concept": bank.concepts["concept"],
        "key": bank.concepts["key"],
        "other": pa.array(partner, mask=without),
        "other_key": other.concepts["key"].take(pa.array(partner, mask=without)),
        "correlation": pa.array(correlation, mask=without),
        "best_correlation": found.max(1).astype(np.float64),
        "p_value": pa.array(p_value, mask=without),
        "q_value": pa.array(q_value, mask=without),
        "matched": matched,
    }
    table = pa.table(columns).cast(PAIRS)
    taken = np.zeros(len(other), dtype=np.bool_)
    taken[partner[matched]] = True
    about = {
        "concepts": len(bank),
        "others": len(other),
        "matched": int(matched.sum()),
        "q": q,
        "shuffles": len(null),
        "layers": [bank.layer, other.layer],
        **info,
    }
    return Matches(table, np.flatnonzero(~matched), np.flatnonzero(~taken), about)
