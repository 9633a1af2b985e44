"""Views: a bank and its run come in; what a page shows of a layer, a neuron or a concept goes out, as data.

Figures, the report and the explorer draw the same views.
"""

from ._beside import Agreement, agreements, same_start
from ._cause import Cause
from ._concept import ConceptView, Evidence, is_of, predicted, view_concept
from ._elsewhere import Nearby, nearest_by_profile, nearest_by_vector, one_kind, one_space
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
from ._titles import Title, Titles
from ._tree import TreeView, leaf_order, view_tree

__all__ = [
    "METRICS",
    "PROJECTIONS",
    "Agreement",
    "Alignment",
    "Cause",
    "Composition",
    "ConceptView",
    "Distances",
    "Evidence",
    "Group",
    "LayerView",
    "Metric",
    "Nearby",
    "NeuronView",
    "Projection",
    "Title",
    "Titles",
    "TreeView",
    "agreements",
    "alignments",
    "check_projection",
    "composition",
    "distances",
    "free_cells",
    "is_of",
    "leaf_order",
    "nearest_by_profile",
    "nearest_by_vector",
    "one_kind",
    "one_space",
    "plane",
    "predicted",
    "require_run",
    "same_start",
    "similarities",
    "view_concept",
    "view_layer",
    "view_neuron",
    "view_tree",
]
