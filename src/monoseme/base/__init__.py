"""What every other room stands on: errors, progress, whole files, and the activations protocol."""

from ._activations import BLOCK_ROWS, Activations, ArrayActivations, Images, as_activations
from ._errors import MissingExtraError, MonosemeError, UsageError, counted, did_you_mean, first_line, join_words
from ._files import Lock, check_name, digest_bytes, digest_text, whole_folder, write_whole, writing
from ._holdout import held_out, with_digests
from ._labels import Labels
from ._progress import Bars, Lines, Reporter, Silent, Task, duration, reporter
from ._text import printable

__all__ = [
    "BLOCK_ROWS",
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
    "check_name",
    "counted",
    "did_you_mean",
    "digest_bytes",
    "digest_text",
    "duration",
    "first_line",
    "held_out",
    "join_words",
    "printable",
    "reporter",
    "whole_folder",
    "with_digests",
    "write_whole",
    "writing",
]
