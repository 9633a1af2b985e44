"""Runs: images and a model, or embeddings made elsewhere, come in; a folder that stands alone goes out, to be read lazily."""

from ._activations import RunActivations
from ._embed import embed
from ._import import import_run
from ._join import JoinedLabels, join_labels
from ._notebook import strip
from ._originals import Originals, model_of, originals, recorded_model, recorded_spec
from ._run import Run, open_run
from ._stream import Embedded, stream
from ._verify import verify_run

__all__ = [
    "Embedded",
    "JoinedLabels",
    "Originals",
    "Run",
    "RunActivations",
    "embed",
    "import_run",
    "join_labels",
    "model_of",
    "open_run",
    "originals",
    "recorded_model",
    "recorded_spec",
    "stream",
    "strip",
    "verify_run",
]
