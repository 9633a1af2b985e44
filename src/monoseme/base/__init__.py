"""What every other room stands on: errors, progress, whole files, safe HTML, and the activations protocol."""

from . import html
from ._activations import BLOCK_ROWS, Activations, ArrayActivations, Images, as_activations
from ._errors import MissingExtraError, MonosemeError, UsageError, counted, did_you_mean, first_line, join_words
from ._files import Lock, check_name, digest_bytes, digest_text, sync, whole_file, whole_folder, write_whole, writing
from ._holdout import held_out, with_digests
from ._labels import Labels
from ._layout import ANNOTATIONS, ANNOTATIONS_LOCK, STUDIES, TABLE, bank_folder, list_banks, run_of
from ._progress import Bars, Lines, Reporter, Silent, Task, duration, reporter
from ._results import write_result
from ._text import printable

__all__ = [
    "ANNOTATIONS",
    "ANNOTATIONS_LOCK",
    "BLOCK_ROWS",
    "STUDIES",
    "TABLE",
    "Activations",
    "ArrayActivations",
    "Bars",
    "Images",
    "Labels",
    "Lines",
    "Lock",
    "MissingExtraError",
    "MonosemeError",
    "Reporter",
    "Silent",
    "Task",
    "UsageError",
    "as_activations",
    "bank_folder",
    "check_name",
    "counted",
    "did_you_mean",
    "digest_bytes",
    "digest_text",
    "duration",
    "first_line",
    "held_out",
    "html",
    "join_words",
    "list_banks",
    "printable",
    "reporter",
    "run_of",
    "sync",
    "whole_file",
    "whole_folder",
    "with_digests",
    "write_result",
    "write_whole",
    "writing",
]
