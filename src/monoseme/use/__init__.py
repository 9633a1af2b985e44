"""A bank put to use: a bank, its model and pictures come in; where in a picture a concept is, folders of images, and models
that lack a concept or have more of it, go out.

`ConceptScorer` needs scikit-learn's base classes and is imported when first used.
"""

from typing import TYPE_CHECKING

from ._apply import Applied, apply_bank, run_behind
from ._asked import mean_embedding
from ._crops import Crop, concept_crops
from ._fields import ReceptiveField, receptive_field
from ._firing import firing_levels
from ._folders import MANIFEST, export_images
from ._heatmaps import Heatmaps, heatmaps
from ._intervene import ablate, intervention, steer

if TYPE_CHECKING:
    from ._scorer import ConceptScorer

__all__ = [
    "MANIFEST",
    "Applied",
    "ConceptScorer",
    "Crop",
    "Heatmaps",
    "ReceptiveField",
    "ablate",
    "apply_bank",
    "concept_crops",
    "export_images",
    "firing_levels",
    "heatmaps",
    "intervention",
    "mean_embedding",
    "receptive_field",
    "run_behind",
    "steer",
]


def __getattr__(name: str) -> object:
    if name != "ConceptScorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._scorer import ConceptScorer

    globals()[name] = ConceptScorer
    return ConceptScorer
