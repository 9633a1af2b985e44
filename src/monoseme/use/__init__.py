"""A bank put to use: a bank, its model and pictures come in; where in a picture a concept is, and folders of images, go out."""

from ._asked import mean_embedding
from ._crops import Crop, concept_crops
from ._fields import ReceptiveField, receptive_field
from ._folders import MANIFEST, export_images
from ._heatmaps import Heatmaps, heatmaps

__all__ = [
    "MANIFEST",
    "Crop",
    "Heatmaps",
    "ReceptiveField",
    "concept_crops",
    "export_images",
    "heatmaps",
    "mean_embedding",
    "receptive_field",
]
