"""Reports: views of a bank come in, one HTML file that stands alone goes out."""

from ._report import report

__all__ = ["report"]
