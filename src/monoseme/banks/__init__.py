"""Concept banks: vectors, tables and provenance come in; they are asked, merged, saved and loaded."""

from ..base import bank_folder, list_banks
from ._annotate import annotate
from ._annotations import NAME, NOTE, TAG, TAGS, Annotation, Annotations, load_annotations
from ._bank import CONCEPTS, DIVISIONS, EXEMPLARS, TOP_IMAGES, Concept, ConceptBank
from ._dictionary import LayerDictionary, load_dictionary
from ._frame import Frame
from ._merge import merge_concepts
from ._names import NAMES, Names, load_names
from ._store import choose_bank, find_keys, load_bank

__all__ = [
    "CONCEPTS",
    "DIVISIONS",
    "EXEMPLARS",
    "NAME",
    "NAMES",
    "NOTE",
    "TAG",
    "TAGS",
    "TOP_IMAGES",
    "Annotation",
    "Annotations",
    "Concept",
    "ConceptBank",
    "Frame",
    "LayerDictionary",
    "Names",
    "annotate",
    "bank_folder",
    "choose_bank",
    "find_keys",
    "list_banks",
    "load_annotations",
    "load_bank",
    "load_dictionary",
    "load_names",
    "merge_concepts",
]
