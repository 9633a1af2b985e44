"""Concept banks: vectors, tables and provenance come in; they are asked, merged, saved and loaded."""

from ..base import bank_folder, list_banks
from ._bank import CONCEPTS, DIVISIONS, EXEMPLARS, TOP_IMAGES, Concept, ConceptBank
from ._dictionary import LayerDictionary, load_dictionary
from ._frame import Frame
from ._merge import merge_concepts
from ._names import NAMES, Names, load_names
from ._store import choose_bank, load_bank

__all__ = [
    "CONCEPTS",
    "DIVISIONS",
    "EXEMPLARS",
    "NAMES",
    "TOP_IMAGES",
    "Concept",
    "ConceptBank",
    "Frame",
    "LayerDictionary",
    "Names",
    "bank_folder",
    "choose_bank",
    "list_banks",
    "load_bank",
    "load_dictionary",
    "load_names",
    "merge_concepts",
]
