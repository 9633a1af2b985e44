"""Pictures: a bank and its run come in, matplotlib figures go out."""

from ..base import printable
from ..runs import commonest
from ._grids import concept_grid, overview

__all__ = ["commonest", "concept_grid", "overview", "printable"]
