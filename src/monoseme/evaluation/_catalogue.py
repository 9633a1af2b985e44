"""Every figure: its family, what is better, and what it says; and every baseline."""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    """What a figure is."""

    family: str
    better: str | None
    """"higher" or "lower", None where neither is."""
    meaning: str


_HIGHER, _LOWER = "higher", "lower"

CATALOGUE = {
    "concepts per neuron": Definition("paper", None, "concepts of a direction, those without any included"),
    "exemplars kept": Definition("paper", None, "share of a direction's exemplars that are in a concept"),
    "distance within": Definition(
        "paper",
        _LOWER,
        "Euclidean distance of two exemplars of one concept, mean of the split neurons (O'Mahony et al. 2023, figure 4)",
    ),
    "distance between": Definition(
        "paper", _HIGHER, "the same of two exemplars of different concepts of a neuron (O'Mahony et al. 2023, figure 4)"
    ),
    "projection": Definition(
        "paper", _HIGHER, "of a concept's exemplars on its vector and on the neuron (O'Mahony et al. 2023, figure 5)"
    ),
    "cosine": Definition(
        "paper",
        _HIGHER,
        "of a concept's exemplars with its vector and with the neuron (O'Mahony et al. 2023, figure 5)",
    ),
    "label purity": Definition(
        "separation", _HIGHER, "share of a concept's labelled exemplars with its commonest label, weighted by size"
    ),
    "label purity, split neurons": Definition("separation", _HIGHER, "the same for neurons with several concepts"),
    "with an enriched label": Definition(
        "separation", _HIGHER, "share of concepts with a label enriched at a false discovery rate of 5 %"
    ),
    "precision@10": Definition(
        "separation",
        _HIGHER,
        "of the 10 images that score highest, the share with the concept's label; for labels of at least 10 ranked images",
    ),
    "precision@50": Definition("separation", _HIGHER, "the same of 50; for labels of at least 50 ranked images"),
    "average precision": Definition("separation", _HIGHER, "of the concept's label in the ranking by score"),
    "judge's distance between - within": Definition(
        "judge",
        _HIGHER,
        "how much farther apart exemplars of different concepts of a neuron are than those of one (Dreyer et al., PURE, 2024)",
    ),
    "judge's distance within": Definition("judge", _LOWER, "mean of the split neurons"),
    "judge's distance between": Definition("judge", _HIGHER, "mean of the split neurons"),
    "distances correlated with the judge's": Definition(
        "judge", _HIGHER, "Pearson, over the pairs of a neuron's exemplars (Dreyer et al., PURE, 2024)"
    ),
    "gaps correlated with the judge's": Definition(
        "judge", _HIGHER, "Pearson of distance between minus within, over split neurons"
    ),
    "clarity": Definition(
        "judge", _HIGHER, "mean cosine of two exemplars of a concept (Dreyer et al., SemanticLens, 2025)"
    ),
    "polysemanticity": Definition(
        "judge",
        _LOWER,
        "1 - cosine of the centres of two clusters of its exemplars (Dreyer et al., SemanticLens, 2025)",
    ),
    "redundancy": Definition(
        "judge",
        _LOWER,
        "cosine of a concept's mean embedding with the nearest other's (Dreyer et al., SemanticLens, 2025)",
    ),
    "monosemanticity score": Definition(
        "judge", _HIGHER, "cosine of two images, weighted by the product of their projections (Pach et al. 2025)"
    ),
    "intruder of the same neuron found": Definition(
        "judge",
        _HIGHER,
        "share of tests in which the judge finds the image of another concept of the neuron among 5 + 1",
    ),
    "intruder of another neuron found": Definition(
        "judge", _HIGHER, "share of tests in which the judge finds the image of another neuron's concept among 5 + 1"
    ),
    "near-duplicates": Definition(
        "dictionary", _LOWER, "share of vectors with a cosine of at least 0.9 to a vector of another neuron"
    ),
    "images among exemplars": Definition("dictionary", None, "share of images that are an exemplar of any concept"),
    "images among top images": Definition("dictionary", None, "share of images that are a top image of any concept"),
    "variance explained": Definition(
        "dictionary", _HIGHER, "share of the embeddings' variance that lies in the span of the vectors"
    ),
    "sparsity in neurons": Definition(
        "dictionary", None, "Hoyer's of a vector: 0 all neurons alike, 1 one neuron only"
    ),
    "neurons for 90 %": Definition("dictionary", None, "fewest neurons that hold 90 % of a vector's squared length"),
}

BASELINES = {
    "neurons": "the neuron itself: its activation, its own unit vector, or its kept exemplars as one set (for near-duplicates "
    "and redundancy: the mean of these)",
    "random partitions": "the same exemplars of each neuron, parted at random into sets of the same sizes",
    "random sets": "as many images drawn at random from those that exemplars are chosen from",
    "random directions": "Gaussian directions; for near-duplicates with the mean and the covariance of the vectors",
    "shuffled labels": "labels shuffled among the labelled images",
    "shuffled images": "the judge's images shuffled",
    "shuffled pairs": "the pairs of each neuron shuffled, which leaves what neurons differ in",
    "mean vectors": "the mean of a concept's exemplars, where the bank's vectors are others",
    "centred vectors": "that mean minus the mean of the ranked images, where the bank's vectors are others",
    "detectors": "the bank's detectors, where it has any",
    "principal components": "as many principal components of the embeddings: the most that is possible",
    "chance": "what guessing gives",
}
"""What figures are compared with."""
