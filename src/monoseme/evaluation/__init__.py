"""Evaluation: a bank, its activations, labels and a second encoder come in; figures with baselines, causes and names go out."""

from ._catalogue import BASELINES, CATALOGUE
from ._causal import Causal, causal, load_causal
from ._evaluate import evaluate
from ._evaluation import Evaluation, load_evaluation
from ._independence import independence
from ._judge_run import judge_activations, judge_run
from ._matching import Matches, match_concepts
from ._naming import (
    CallableNamer,
    ConceptMaterial,
    Hierarchy,
    LabelNamer,
    Namer,
    Proposal,
    TextSpace,
    VocabularyNamer,
    name_concepts,
    read_vocabulary,
    text_space,
)

__all__ = [
    "BASELINES",
    "CATALOGUE",
    "CallableNamer",
    "Causal",
    "ConceptMaterial",
    "Evaluation",
    "Hierarchy",
    "LabelNamer",
    "Matches",
    "Namer",
    "Proposal",
    "TextSpace",
    "VocabularyNamer",
    "causal",
    "evaluate",
    "independence",
    "judge_activations",
    "judge_run",
    "load_causal",
    "load_evaluation",
    "match_concepts",
    "name_concepts",
    "read_vocabulary",
    "text_space",
]
