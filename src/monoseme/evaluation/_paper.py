"""The paper's own figures: how many concepts, how far apart, how close to their vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..banks import ConceptBank
from ._bootstrap import Floats
from ._distances import Means, Reading, pair_means
from ._figures import Figures
from ._sets import Sets


def paper(bank: ConceptBank, variants: Mapping[str, Sets], reading: Reading, chance: Floats, figures: Figures) -> None:
    """Distances within and between clusters, projection and cosine on concept against neuron, concepts, share kept.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    variants : mapping of Sets
        "concepts" and "random partitions", of the same images.
    reading : Reading
        Distances and means of these, in the bank's frame.
    chance : (n,)
        Distances of pairs within random sets of images, a mean for each set.
    figures : Figures
        Where to put them.

    Notes
    -----
    O'Mahony et al., Disentangling Neuron Representations with Concept Vectors, CVPR Workshops 2023, figures 4 and 5.
    """
    concepts = variants["concepts"]
    figures.mean("concepts per neuron", "concepts", np.bincount(concepts.direction, minlength=len(concepts.rows)))
    kept, all_of_them = (concepts.member >= 0).sum(1), (concepts.rows >= 0).sum(1)
    figures.share("exemplars kept", "concepts", kept, all_of_them)
    for name in ("concepts", "random partitions"):
        found = pair_means(reading.distances, variants[name], each_set=name == "concepts")
        split = variants[name].split
        figures.mean("distance within", name, np.where(split, found.within, np.nan))
        figures.mean("distance between", name, np.where(split, found.between, np.nan))
        if name == "concepts":
            figures.columns |= {"distance_within": found.own, "distance_between": found.others}
    spread = np.arange(len(chance)) % max(figures.directions, 1)
    figures.mean("distance within", "random sets", chance, spread)
    for name, start in (("concepts", bank.vectors), ("neurons", start_vectors(bank, concepts))):
        if start is None:
            continue
        projection, cosine = on_vectors(reading.means["concepts"], start)
        figures.mean("projection", name, projection, concepts.direction)
        figures.mean("cosine", name, cosine, concepts.direction)
        suffix = "" if name == "concepts" else "_neuron"
        figures.columns |= {f"projection{suffix}": projection, f"cosine{suffix}": cosine}


def on_vectors(means: Means, vectors: Floats) -> tuple[Floats, Floats]:
    """Mean projection and mean cosine (M,) of the images of each set on its own unit vector (M, C).

    A mean of projections is the projection of the mean, and a mean of cosines that of the mean unit embedding.
    """
    projection = np.einsum("mc,mc->m", means.raw, vectors, dtype=np.float64)
    return projection, np.einsum("mc,mc->m", means.unit, vectors, dtype=np.float64)


def start_vectors(bank: ConceptBank, concepts: Sets) -> Floats | None:
    """(M, C) float32, the direction that each concept was found from: a basis vector for neurons, None for scores."""
    if bank.starts is not None:
        return np.asarray(bank.starts[concepts.direction])
    if bank.info.get("parameters", {}).get("directions", "neurons") != "neurons":
        return None
    basis = np.zeros_like(bank.vectors)
    basis[np.arange(len(basis)), bank.directions[concepts.direction]] = 1
    return basis
