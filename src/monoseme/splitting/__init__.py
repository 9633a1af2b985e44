"""Splitting: activations and directions come in, a concept bank goes out."""

from ._disentangle import check_method, disentangle, recut
from ._frame import Scaling
from ._kmeans import kmeans_gram
from ._published import Published
from ._split import Exemplars, Split, Splitter
from ._starts import svd_directions
from ._trees import Trees, ward_trees

__all__ = [
    "Exemplars",
    "Published",
    "Scaling",
    "Split",
    "Splitter",
    "Trees",
    "check_method",
    "disentangle",
    "kmeans_gram",
    "recut",
    "svd_directions",
    "ward_trees",
]
