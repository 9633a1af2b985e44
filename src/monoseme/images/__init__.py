"""Images: from what the user names (folders, lists, tar, Parquet, data sets, patches of these) to upright RGB images
in a fixed order, each with its name, label and content digest, or with the reason why it cannot be used.
"""

from ._ahead import Batch, Loader, Thumbnails, Work, default_workers
from ._decode import MAX_PIXELS, BadImage, decode
from ._names import shown
from ._open import open_images
from ._plain import as_file
from ._samples import photographs
from ._source import Entry, ImageSource, Loaded

__all__ = [
    "MAX_PIXELS",
    "BadImage",
    "Batch",
    "Entry",
    "ImageSource",
    "Loaded",
    "Loader",
    "Thumbnails",
    "Work",
    "as_file",
    "decode",
    "default_workers",
    "open_images",
    "photographs",
    "shown",
]
