"""Views: a bank and its run come in; what a page shows of a layer, a neuron or a concept goes out, as data.

Figures, the report and the explorer draw the same views.
"""

from ._cause import Cause
from ._concept import ConceptView, Evidence, predicted, view_concept
from ._layer import LayerView, view_layer
from ._measures import (
    METRICS,
    Alignment,
    Composition,
    Distances,
    Metric,
    alignments,
    composition,
    distances,
    similarities,
)
from ._neuron import Group, NeuronView, require_run, view_neuron
from ._plane import PROJECTIONS, Projection, check_projection, free_cells, plane
from ._title import Title, Titles
from ._tree import TreeView, leaf_order, view_tree

__all__ = [
    "METRICS",
    "PROJECTIONS",
    "Alignment",
    "Cause",
    "Composition",
    "ConceptView",
    "Distances",
    "Evidence",
    "Group",
    "LayerView",
    "Metric",
    "NeuronView",
    "Projection",
    "Title",
    "Titles",
    "TreeView",
    "alignments",
    "check_projection",
    "composition",
    "distances",
    "free_cells",
    "leaf_order",
    "plane",
    "predicted",
    "require_run",
    "similarities",
    "view_concept",
    "view_layer",
    "view_neuron",
    "view_tree",
]
