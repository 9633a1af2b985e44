"""A bank in the formats of other tools."""

from ._captum import captum_concepts
from ._export import FORMATS, export_bank

__all__ = ["FORMATS", "captum_concepts", "export_bank"]
