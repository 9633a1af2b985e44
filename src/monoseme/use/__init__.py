"""A bank put to use: a bank, its model and pictures come in; where in a picture a concept is, folders of images, and models
that lack a concept or have more of it, go out.
"""

from ._apply import Applied, apply_bank
from ._asked import mean_embedding
from ._crops import Crop, concept_crops
from ._fields import ReceptiveField, receptive_field
from ._firing import firing_levels
from ._folders import MANIFEST, export_images
from ._heatmaps import Heatmaps, heatmaps
from ._intervene import ablate, intervention, steer

__all__ = [
    "MANIFEST",
    "Applied",
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
    "steer",
]
