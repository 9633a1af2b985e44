"""Pictures: a bank and its run come in, matplotlib figures go out."""

from ._grids import commonest, concept_grid, overview, printable

__all__ = ["commonest", "concept_grid", "overview", "printable"]
