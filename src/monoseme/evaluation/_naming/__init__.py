"""A bank and a way to name come in; a name for each concept goes out, tested on exemplars that it was not chosen on, or none."""

from ._asked import Asked, Namer, Proposal
from ._callable import CallableNamer, ConceptMaterial, Sibling
from ._hierarchy import Hierarchy
from ._labels import LabelNamer
from ._name import name_concepts
from ._texts import TextSpace, read_vocabulary, text_space
from ._vocabulary import VocabularyNamer

__all__ = [
    "Asked",
    "CallableNamer",
    "ConceptMaterial",
    "Hierarchy",
    "LabelNamer",
    "Namer",
    "Proposal",
    "Sibling",
    "TextSpace",
    "VocabularyNamer",
    "name_concepts",
    "read_vocabulary",
    "text_space",
]
