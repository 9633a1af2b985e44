"""A bank, its model and pictures come in; where in each picture a concept is comes out, as maps and crops."""

from ._asked import mean_embedding
from ._crops import Crop, concept_crops
from ._fields import ReceptiveField, receptive_field
from ._heatmaps import Heatmaps, heatmaps

__all__ = ["Crop", "Heatmaps", "ReceptiveField", "concept_crops", "heatmaps", "mean_embedding", "receptive_field"]
