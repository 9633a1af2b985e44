"""Evaluation: a bank, its activations, labels and a second encoder come in; figures with baselines, causes and names go out.

Importing this loads no torch, so that pages which only show what was found answer at once; the names that need torch are
imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._catalogue import BASELINES, CATALOGUE
from ._causal import Causal, load_causal
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

if TYPE_CHECKING:
    from ._causal._run import causal
    from ._evaluate import evaluate

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

_NEED_TORCH = {"causal": "._causal._run", "evaluate": "._evaluate"}


def __getattr__(name: str) -> object:
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_NEED_TORCH[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
