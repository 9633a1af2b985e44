"""Evaluation: a bank, its activations, labels and a second encoder come in; figures with baselines, causes and names go out."""

from ._catalogue import BASELINES, CATALOGUE
from ._causal import Causal, causal, load_causal
from ._evaluate import evaluate
from ._evaluation import Evaluation, load_evaluation
from ._independence import independence
from ._judge_run import judge_activations, judge_run
from ._matching import Matches, match_concepts, profiles
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
from ._study import (
    Answer,
    Question,
    Study,
    StudyConfig,
    StudyScore,
    csv_of,
    list_studies,
    new_study,
    open_study,
)

__all__ = [
    "BASELINES",
    "CATALOGUE",
    "Answer",
    "CallableNamer",
    "Causal",
    "ConceptMaterial",
    "Evaluation",
    "Hierarchy",
    "LabelNamer",
    "Matches",
    "Namer",
    "Proposal",
    "Question",
    "Study",
    "StudyConfig",
    "StudyScore",
    "TextSpace",
    "VocabularyNamer",
    "causal",
    "csv_of",
    "evaluate",
    "independence",
    "judge_activations",
    "judge_run",
    "list_studies",
    "load_causal",
    "load_evaluation",
    "match_concepts",
    "name_concepts",
    "new_study",
    "open_study",
    "profiles",
    "read_vocabulary",
    "text_space",
]
