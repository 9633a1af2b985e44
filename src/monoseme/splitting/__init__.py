"""Splitting: activations and directions come in, a concept bank goes out."""

from ._calibrated import Calibrated
from ._circuit import Circuit, attributed, set_beside, shares
from ._disentangle import check_method, disentangle
from ._features import Features
from ._frame import Scaling
from ._kmeans import kmeans_gram
from ._layer import Layer
from ._nodes import NodeTests, leaves_below
from ._one import OneDirection, OneSplit
from ._published import Published
from ._recut import recut
from ._split import Exemplars, Split, Splitter, Tests
from ._starts import Starts, svd_directions
from ._trees import Trees, ward_trees

__all__ = [
    "Calibrated",
    "Circuit",
    "Exemplars",
    "Features",
    "Layer",
    "NodeTests",
    "OneDirection",
    "OneSplit",
    "Published",
    "Scaling",
    "Split",
    "Splitter",
    "Starts",
    "Tests",
    "Trees",
    "attributed",
    "check_method",
    "disentangle",
    "kmeans_gram",
    "leaves_below",
    "recut",
    "set_beside",
    "shares",
    "svd_directions",
    "ward_trees",
]
