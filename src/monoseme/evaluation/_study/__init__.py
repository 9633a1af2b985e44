"""A study with people: questions drawn from a bank, their answers on the disk, and what they say of the concepts."""

from ._answers import Answer
from ._questions import TESTS, Question, StudyConfig
from ._score import StudyScore, csv_of
from ._study import Study, list_studies, new_study, open_study

__all__ = [
    "TESTS",
    "Answer",
    "Question",
    "Study",
    "StudyConfig",
    "StudyScore",
    "csv_of",
    "list_studies",
    "new_study",
    "open_study",
]
