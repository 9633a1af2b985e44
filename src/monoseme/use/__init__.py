"""A bank put to use: a bank and its run come in, images sorted into folders go out."""

from ._folders import MANIFEST, export_images

__all__ = ["MANIFEST", "export_images"]
