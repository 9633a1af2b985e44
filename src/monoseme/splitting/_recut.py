"""Cutting the trees of a bank at other thresholds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from ..banks import ConceptBank
from ..base import Activations, Reporter, Silent, UsageError, as_activations
from ._assemble import assemble
from ._disentangle import make_splitter, plain
from ._layer import Layer
from ._split import recorded
from ._starts import Starts
from ._trees import Trees
from ._work import split_all


def recut(
    bank: ConceptBank, acts: Activations | npt.ArrayLike, *, progress: Reporter | None = None, **parameters: Any
) -> ConceptBank:
    """The same exemplars and trees at other thresholds: no search for exemplars and no clustering anew.

    Parameters
    ----------
    bank : ConceptBank
        Made by ``method="published"``.
    acts : Activations or (N, C) array
        The activations it was made from.
    progress : Reporter, optional
        Where to tell progress.
    **parameters
        distance_threshold, outlier_threshold, min_size; what is not given stays.

    Raises
    ------
    UsageError
        The bank was made by another method, or from other activations.
    """
    acts, progress = as_activations(acts), progress or Silent()
    old = dict(bank.info["parameters"])
    if bank.info["method"] != "published":
        raise UsageError(
            f"the bank was made by the method {bank.info['method']}, whose trees are not cut at a threshold"
        )
    if "features" in old:
        raise UsageError("the bank's trees are not those of embeddings; split the layer anew with the same features")
    made_from = bank.info["activations"]
    if acts.shape != (made_from["images"], made_from["neurons"]):
        raise UsageError(
            f"the bank was made from {made_from['images']:,} x {made_from['neurons']:,} activations, not {acts.shape[0]:,} x "
            f"{acts.shape[1]:,}; give those it was made from"
        )
    for name, value in acts.provenance().items():
        if name in made_from and made_from[name] != value:
            raise UsageError(
                f"the bank was made from activations with {name} {made_from[name]}, not {value}; give those it was made from"
            )
    fields = {
        name: old[name]
        for name in ("distance_threshold", "outlier_threshold", "min_size", "n_init", "max_iter", "seed")
    }
    splitter = make_splitter("published", old["seed"], {**fields, **parameters})
    top = bank.heights.shape[1] + 1
    layer = Layer.behind(bank, acts)
    splitter = splitter.fitted(layer)
    starts = Starts(old["directions"], bank.directions, bank.starts)
    rows = bank.exemplars["image_id"].to_numpy().reshape(-1, top)
    activations = bank.exemplars["activation"].to_numpy().reshape(-1, top)
    parts = split_all(layer, starts, rows, splitter, progress, trees=Trees(bank.merges, bank.heights))
    info = {**bank.info, "parameters": {**old, "bootstrap": 0, **recorded(splitter)}}
    kept = bank.images_kept if len(bank) else 100
    return replace(assemble(layer, starts, rows, activations, parts, kept, plain(info), progress), bands=bank.bands)
