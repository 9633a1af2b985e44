"""Pictures: views of a bank come in, matplotlib figures go out."""

from ._boxes import activation_boxes, alignment_boxes, distance_boxes
from ._catalogue import PICTURES, Kind, Pictures, kind_of, needs_only_the_run
from ._dendrogram import dendrogram
from ._firing import FiringPictures, firing_pictures
from ._grids import concept_grid, overview
from ._heat import Finder, Lens, heatmap_grid, overlaid
from ._maps import concept_map, exemplar_map
from ._matrices import similarity_matrices
from ._overlay import overlay
from ._style import FORMATS, GREY, mark, rendered, save_figure
from ._tiles import strip, tiles
from ._vectors import concept_composition, concept_histogram, singular_similarity

__all__ = [
    "FORMATS",
    "GREY",
    "PICTURES",
    "Finder",
    "FiringPictures",
    "Kind",
    "Lens",
    "Pictures",
    "activation_boxes",
    "alignment_boxes",
    "concept_composition",
    "concept_grid",
    "concept_histogram",
    "concept_map",
    "dendrogram",
    "distance_boxes",
    "exemplar_map",
    "firing_pictures",
    "heatmap_grid",
    "kind_of",
    "mark",
    "needs_only_the_run",
    "overlaid",
    "overlay",
    "overview",
    "rendered",
    "save_figure",
    "similarity_matrices",
    "singular_similarity",
    "strip",
    "tiles",
]
