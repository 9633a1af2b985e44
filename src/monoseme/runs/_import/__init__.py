"""Embeddings that were made elsewhere become a run."""

from ._run import import_run

__all__ = ["import_run"]
