"""A bank, its run and its model come in; what the model's predictions lose and gain with each concept goes out."""

from ._result import Causal, load_causal
from ._run import causal

__all__ = ["Causal", "causal", "load_causal"]
