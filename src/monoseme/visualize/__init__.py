"""Pictures: a bank and its run come in, matplotlib figures go out."""

from ._grids import commonest, concept_grid, overview, printable
from ._heat import heatmap_grid
from ._overlay import overlay

__all__ = ["commonest", "concept_grid", "heatmap_grid", "overlay", "overview", "printable"]
