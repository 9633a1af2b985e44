"""The vectors as a dictionary of the layer: repeats, coverage, composition in neurons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank
from ._bootstrap import Floats, Ints, Resamples, cluster_sums, ratio
from ._distances import Means
from ._figures import Figures
from ._sets import Bools, Sets

NEAR = 0.9
GROUPS = 1024
MOST_FOR_VARIANCE = 8192
MOST_RANDOM = 1024


def dictionary(
    bank: ConceptBank,
    variants: Mapping[str, Sets],
    means: Mapping[str, Means],
    sample: npt.NDArray[np.float32],
    pool: Bools,
    figures: Figures,
    random: np.random.Generator,
) -> None:
    """Near-duplicates, coverage and sparsity.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    variants, means : mappings
        Sets of images and their means: "concepts", "neurons", "random sets".
    sample : (n, C) float32
        Embeddings of images in the bank's frame, to measure variance on.
    pool : (N,) bool
        The images that exemplars were chosen from.
    figures : Figures
        Where to put them.
    random : Generator
        For random directions and random images.
    """
    vectors, concepts = bank.vectors, variants["concepts"]
    likes = {
        "concepts": (vectors, concepts.direction),
        "neurons": (unit(means["neurons"].raw), variants["neurons"].direction),
        "random directions": (same_spectrum(vectors, random), concepts.direction),
    }
    for name, (each, direction) in likes.items():
        some = np.arange(len(each))[:: max(1, len(each) // MOST_RANDOM)] if name == "random directions" else None
        nearest, cosine = nearest_other(each, direction, some)
        figures.mean(
            "near-duplicates",
            name,
            np.where(np.isnan(cosine), np.nan, cosine >= NEAR),
            direction if some is None else direction[some],
        )
        if name == "concepts":
            figures.columns |= {"nearest_concept": nearest, "nearest_cosine": cosine}
    compositions = {"concepts": (vectors, concepts), "random sets": (means["random sets"].raw, variants["random sets"])}
    for name, (each, sets) in compositions.items():
        sparsity, needed = hoyer(each), effective(each)
        figures.mean("sparsity in neurons", name, sparsity, sets.direction)
        figures.mean("neurons for 90 %", name, needed, sets.direction)
        if name == "concepts":
            figures.columns |= {"sparsity": sparsity, "neurons_90": needed}
    by_image = Resamples(GROUPS, len(figures.by_direction), int(random.integers(2**31)))
    _coverage(bank, concepts, pool, by_image, figures, random)
    _variance(vectors, sample, by_image, figures, random)


def nearest_other(vectors: Floats, direction: Ints, some: Ints | None = None) -> tuple[Floats, Floats]:
    """For each unit vector (M, C), or some of them, the number of the nearest of another direction and its cosine.

    NaN where there is none.

    >>> found = nearest_other(np.array([[1.0, 0], [1, 0], [0.6, 0.8]]), np.array([0, 0, 1]))
    >>> found[0].tolist(), found[1].tolist()
    ([2.0, 2.0, 0.0], [0.6, 0.6, 0.6])
    """
    some = np.arange(len(vectors)) if some is None else some
    nearest, cosine = np.full((2, len(some)), np.nan)
    for begin in range(0, len(some), 512):
        here = slice(begin, begin + 512)
        likeness = vectors[some[here]] @ vectors.T
        likeness[direction[some[here], None] == direction] = -np.inf
        best = likeness.argmax(1)
        value = likeness[np.arange(len(best)), best]
        there = np.isfinite(value)
        nearest[here][there], cosine[here][there] = best[there], value[there]
    return nearest, cosine


def same_spectrum(vectors: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """As many random unit vectors, Gaussian with the mean and the covariance of the given ones (M, C)."""
    if len(vectors) == 0:
        return vectors
    mean = vectors.mean(0)
    about = (vectors - mean) / np.float32(np.sqrt(len(vectors)))
    if len(about) > about.shape[1]:  # the same in distribution, with fewer products
        strengths, axes = np.linalg.eigh(about.T @ about)
        about = np.sqrt(np.maximum(strengths, 0))[:, None] * axes.T
    mixed = random.standard_normal((len(vectors), len(about)), dtype=np.float32)
    return unit(mixed @ about + mean)


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows scaled to unit length; zero rows stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def hoyer(vectors: Floats) -> Floats:
    """Sparsity (M,) of vectors (M, C): ``(sqrt(C) - |v|_1 / |v|_2) / (sqrt(C) - 1)``; NaN for zero vectors and C = 1.

    Notes
    -----
    Hoyer, Non-negative Matrix Factorization with Sparseness Constraints, JMLR 2004, section 3.1.

    Examples
    --------
    >>> hoyer(np.array([[0.0, 2, 0, 0], [1, 1, 1, 1]])).tolist()
    [1.0, 0.0]
    """
    root = np.sqrt(vectors.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = np.abs(vectors).sum(1, dtype=np.float64) / np.linalg.norm(vectors, axis=1)
        return np.asarray((root - shape) / (root - 1))


def effective(vectors: Floats, share: float = 0.9) -> Floats:
    """Fewest components (M,) that hold a share of each vector's squared length; NaN for zero vectors.

    >>> effective(np.array([[3.0, 0, 1], [1, 1, 1]])).tolist()
    [1.0, 3.0]
    """
    squares = np.sort(np.square(vectors, dtype=np.float64), axis=1)[:, ::-1].cumsum(1)
    total = squares[:, -1:]
    needed = (squares < share * total * (1 - 1e-12)).sum(1) + 1
    return np.where(total[:, 0] > 0, needed, np.nan)


def _coverage(
    bank: ConceptBank,
    concepts: Sets,
    pool: Bools,
    by_image: Resamples,
    figures: Figures,
    random: np.random.Generator,
) -> None:
    """Which share of the images any concept shows, of those that it could; the interval is over images."""
    group = random.integers(0, GROUPS, len(pool))
    top = bank.top["image_id"].to_numpy()
    shown = {"images among exemplars": concepts.rows[concepts.member >= 0], "images among top images": top}
    chances = {"images among exemplars": concepts.sizes, "images among top images": np.bincount(bank.top["concept"])}
    for figure, rows in shown.items():
        possible = pool if pool[rows].all() else np.ones_like(pool)
        images = int(possible.sum())
        covered = np.bincount(rows, minlength=len(pool)) > 0
        sums = cluster_sums(GROUPS, group, covered & possible, possible)
        figures.interval(figure, "concepts", by_image.interval(sums, ratio), images)
        # Drawn at random, an image is missed by a set of s images with probability 1 - s / N.
        missed = np.log1p(-np.minimum(chances[figure] / images, 1 - 1e-12)).sum()
        figures.exact(figure, "random sets", -np.expm1(missed))


def _variance(
    vectors: Floats,
    sample: npt.NDArray[np.float32],
    by_image: Resamples,
    figures: Figures,
    random: np.random.Generator,
) -> None:
    """Share of the variance in the span; random directions hold their number over C on average, the best are the PCA's."""
    width = vectors.shape[1]
    about = sample[:: max(1, len(sample) // MOST_FOR_VARIANCE)] - sample.mean(0)
    total = np.square(about, dtype=np.float64).sum(1)
    if len(vectors) == 0 or len(sample) < 2 or not total.any():
        return
    strengths, axes = np.linalg.eigh(vectors.T @ vectors)
    spanned = axes[:, strengths > strengths[-1] * width * np.finfo(np.float32).eps]
    held = total if spanned.shape[1] == width else np.square(about @ spanned).sum(1)
    sums = cluster_sums(GROUPS, random.integers(0, GROUPS, len(about)), held, total)
    figures.interval("variance explained", "concepts", by_image.interval(sums, ratio), len(about))
    figures.exact("variance explained", "random directions", spanned.shape[1] / width)
    principal = np.linalg.eigvalsh(about.T @ about)[::-1][: spanned.shape[1]].sum(dtype=np.float64) / total.sum()
    figures.exact("variance explained", "principal components", min(float(principal), 1.0))
