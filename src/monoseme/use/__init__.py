"""A bank put to use: a bank, its model and pictures come in; where in a picture a concept is, folders of images, the bank in
other tools' formats, and models that lack a concept or have more of it, go out.

`ConceptScorer` needs scikit-learn's base classes and is imported when first used.
"""

from typing import TYPE_CHECKING

from ._apply import Applied, apply_bank
from ._asked import mean_embedding, run_of_bank
from ._crops import Crop, concept_crops
from ._export import FORMATS, captum_concepts, export_bank
from ._fields import ReceptiveField, receptive_field
from ._firing import RATE, firing_levels
from ._folders import MANIFEST, export_images
from ._heatmaps import Heatmaps, heatmaps
from ._intervene import ablate, intervention, steer
from ._split_channels import SplitChannels, load_split, split_channels

if TYPE_CHECKING:
    from ._scorer import ConceptScorer

__all__ = [
    "FORMATS",
    "MANIFEST",
    "RATE",
    "Applied",
    "ConceptScorer",
    "Crop",
    "Heatmaps",
    "ReceptiveField",
    "SplitChannels",
    "ablate",
    "apply_bank",
    "captum_concepts",
    "concept_crops",
    "export_bank",
    "export_images",
    "firing_levels",
    "heatmaps",
    "intervention",
    "load_split",
    "mean_embedding",
    "receptive_field",
    "run_of_bank",
    "split_channels",
    "steer",
]


def __getattr__(name: str) -> object:
    if name != "ConceptScorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._scorer import ConceptScorer

    globals()[name] = ConceptScorer
    return ConceptScorer
