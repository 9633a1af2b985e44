"""Names for the concepts of a bank: those who know propose them, and what chance would give as well is taken out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...banks import NAMES, ConceptBank, Names
from ...base import Activations, Reporter, UsageError, as_activations, printable
from ...runs import Run
from .._enrichment import q_values
from .._images import require_fit
from ._asked import Asked, Namer, Proposal
from ._labels import LabelNamer

LONGEST = 200
"""Letters of a name that are kept."""


def name_concepts(
    bank: ConceptBank,
    data: Run | Activations | npt.ArrayLike,
    namer: Namer | None = None,
    *,
    concepts: Sequence[int] | None = None,
    q: float = 0.05,
    seed: int = 0,
    progress: Reporter | None = None,
) -> Names:
    """Name the concepts of a bank, and leave those without a name for which none fits better than chance.

    A name is chosen on half of a concept's exemplars and scored on the other half. It stands if random images would fit so well
    in so few cases that at most a share `q` of the names given is expected to be chance.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    data : Run, Activations or (N, C) array
        The run that it was made from, or the activations.
    namer : Namer
        `LabelNamer` (labels and hierarchies of them), `VocabularyNamer` (an encoder of images and texts), `CallableNamer` (a
        function of yours, such as a language model), or an object that answers as they do; by default the run's labels.
    concepts : sequence of int, optional
        Which; all by default.
    q : float
        False discovery rate of the names (Benjamini and Hochberg 1995, over the concepts).
    seed : int
        Of the random image sets that show how many would get a name by chance.
    progress : Reporter, optional
        Told of concepts.

    Raises
    ------
    UsageError
        The data are not those of the bank, there is no such concept, or what the namer needs is not there.

    Examples
    --------
    Neuron 0 fires for pugs and beagles alike, which is one concept, and a dog:

    >>> from monoseme.splitting import disentangle
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.integers(0, 6, 600)
    >>> acts = (8 * (kind < 2)[:, None] * [1.0, 1, 0] + rng.normal(size=(600, 3))).astype("float32")
    >>> bank = disentangle(acts, "published", select=[0], top=60, distance_threshold=90.0, outlier_threshold=99.0)
    >>> labels = np.array(["pug", "beagle", "cat", "cow", "oak", "elm"])[kind]
    >>> kinds = {"pug": "dog", "beagle": "dog", "dog": "animal", "cat": "animal", "cow": "animal", "oak": "tree", "elm": "tree"}
    >>> names = name_concepts(bank, acts, LabelNamer(labels, kinds))
    >>> names[0], names.of(0)["score"], round(names.of(0)["chance"], 2)
    ('dog', 1.0, 0.3...)
    >>> name_concepts(bank, acts, LabelNamer(rng.permutation(labels), kinds))[0] is None
    True
    """
    if not 0 < q < 1:
        raise UsageError(f"q is a false discovery rate between 0 and 1, not {q}")
    run = data if isinstance(data, Run) else None
    acts = as_activations(data.activations(bank.layer, bank.pooling) if isinstance(data, Run) else data)
    require_fit(bank, acts)
    if len(bank) == 0:
        raise UsageError("the bank holds no concepts; split the layer with other parameters")
    numbers = list(range(len(bank))) if concepts is None else sorted({bank[int(each)].number for each in concepts})
    if not numbers:
        raise UsageError("name at least one concept")
    namer = LabelNamer() if namer is None else namer
    asked = Asked.of(bank, acts, run, numbers, progress)
    rows = _decided(namer(asked), q)
    info = {
        "layer": bank.layer,
        "concepts": len(numbers),
        "source": namer.source,
        "score": namer.scored_by,
        "false_discovery_rate": q,
        "by_chance": None,
        "seed": seed,
    }
    if namer.tests:
        by_chance = _decided(namer(asked.at_random(np.random.default_rng(seed))), q)
        info["by_chance"] = sum(row["name"] is not None for row in by_chance) / len(numbers)
    about = bank.concepts.select(["concept", "key", "direction"]).take(pa.array(numbers)).to_pylist()
    table = [{**known, "source": namer.source, **row} for known, row in zip(about, rows, strict=True)]
    return Names(pa.Table.from_pylist(table, schema=NAMES), info)


def _decided(proposals: Sequence[Proposal], q: float) -> list[dict[str, object]]:
    """Which proposals stand."""
    p_values = np.array([np.nan if each.p_value is None else each.p_value for each in proposals])
    tested = np.isfinite(p_values)
    adjusted = p_values.copy()
    adjusted[tested] = q_values(p_values[tested])
    rows: list[dict[str, object]] = []
    for each, known, corrected in zip(proposals, tested.tolist(), adjusted.tolist(), strict=True):
        reason = each.reason
        if reason is None and known and corrected > q:
            reason = f"the best, {each.name}, fits no better than chance allows (q = {corrected:.2g})"
        stands = each.name is not None and reason is None
        rows.append(
            {
                "name": printable(each.name, LONGEST) if stands and each.name is not None else None,
                "score": each.score,
                "chance": each.chance,
                "p_value": each.p_value if known else None,
                "q_value": corrected if known else None,
                "images": each.images,
                "reason": None if stands else printable(reason or "no name was proposed", 2 * LONGEST),
                "runners_up": [{"name": printable(name, LONGEST), "score": score} for name, score in each.runners_up],
            }
        )
    return rows
