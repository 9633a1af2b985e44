"""What every other room stands on: errors, progress, whole files, and the activations protocol."""

from ._activations import BLOCK_ROWS, Activations, ArrayActivations, Images, as_activations
from ._errors import MissingExtraError, MonosemeError, UsageError, did_you_mean, join_words
from ._files import Lock, digest_bytes, digest_text, whole_folder, write_whole, writing
from ._progress import Bars, Lines, Reporter, Silent, Task, duration, reporter

__all__ = [
    "BLOCK_ROWS",
    "Activations",
    "ArrayActivations",
    "Bars",
    "Images",
    "Lines",
    "Lock",
    "MissingExtraError",
    "MonosemeError",
    "Reporter",
    "Silent",
    "Task",
    "UsageError",
    "as_activations",
    "did_you_mean",
    "digest_bytes",
    "digest_text",
    "duration",
    "join_words",
    "reporter",
    "whole_folder",
    "write_whole",
    "writing",
]
