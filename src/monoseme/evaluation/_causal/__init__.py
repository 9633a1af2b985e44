"""A bank, its run and its model come in; what the model's predictions lose and gain with each concept goes out.

`causal` itself is in `_run`, which needs torch.
"""

from ._result import Causal, load_causal

__all__ = ["Causal", "load_causal"]
