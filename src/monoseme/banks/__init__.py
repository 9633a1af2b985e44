"""Concept banks: vectors, tables and provenance come in; they are asked, saved and loaded."""

from ._bank import CONCEPTS, EXEMPLARS, TOP_IMAGES, Concept, ConceptBank
from ._frame import Frame
from ._store import bank_folder, list_banks, load_bank

__all__ = [
    "CONCEPTS",
    "EXEMPLARS",
    "TOP_IMAGES",
    "Concept",
    "ConceptBank",
    "Frame",
    "bank_folder",
    "list_banks",
    "load_bank",
]
