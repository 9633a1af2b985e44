"""All directions of a layer at a glance: how many concepts each has, how sure that is, and what they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..banks import ConceptBank, Names
from ..base import Labels
from ..runs import Run
from ._neuron import require_run, shown_labels
from ._title import Titles

if TYPE_CHECKING:
    from ..evaluation import Evaluation

DIRECTIONS = pa.schema(
    [
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("concepts", pa.int32(), nullable=False),
        pa.field("kept", pa.int32(), nullable=False),
        pa.field("p_value", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("separation", pa.float64()),
        pa.field("stability", pa.float64()),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class LayerView:
    """What there is to see of a layer.

    Attributes
    ----------
    bank : ConceptBank
        The bank.
    directions : pyarrow.Table
        A row a direction: direction, concepts (how many), kept (exemplars that are in one), p_value and q_value (of the first
        division), separation and stability (the least of its concepts), labels (what each concept is called: its name, else
        its commonest label; empty text where it has neither).
    histogram : mapping
        {concepts: directions}, as the paper counts them.
    labels : Labels
        Of the images.
    run, evaluation
        What else is known; None where it is not.
    """

    bank: ConceptBank
    directions: pa.Table
    histogram: dict[int, int]
    labels: Labels
    run: Run | None = None
    evaluation: Evaluation | None = None

    @property
    def kind(self) -> str:
        """What its directions are called: neuron, singular direction, score or direction."""
        return self.bank.start_name

    def __repr__(self) -> str:
        return f"<layer {self.bank.layer}: {len(self.directions):,} directions, {len(self.bank):,} concepts>"


def view_layer(
    bank: ConceptBank,
    run: Run | None = None,
    *,
    labels: Labels | None = None,
    evaluation: Evaluation | None = None,
    names: Names | None = None,
) -> LayerView:
    """Gather what there is to see of all directions of a bank.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    run : Run, optional
        The run that it was made from.
    labels : Labels, optional
        Of the images; by default those of the run.
    evaluation : Evaluation, optional
        Of the bank.
    names : Names, optional
        Of its concepts.

    Raises
    ------
    UsageError
        The run is not the one that the bank was made from.
    """
    if run is not None:
        require_run(bank, run)
    known = shown_labels(bank, run, labels)
    return LayerView(bank, _directions(bank, Titles.of(bank, known, names)), bank.histogram(), known, run, evaluation)


def _directions(bank: ConceptBank, titles: Titles) -> pa.Table:
    """A row for each direction; the bands of one are taken together, and the tests are those of its top."""
    numbers, first = np.unique(bank.directions, return_index=True)
    owner = np.searchsorted(numbers, bank.concepts["direction"].to_numpy())
    kept = np.bincount(owner, bank.concepts["size"].to_numpy(), minlength=len(numbers))
    tests = bank.divisions.take(pa.array(first)) if len(bank.divisions) else None
    unknown = pa.nulls(len(numbers), pa.float64())
    texts: list[list[str]] = [[] for _ in numbers]
    for number, (place, members) in enumerate(zip(owner.tolist(), _members(bank), strict=True)):
        title = titles(number, members)
        texts[place].append("" if title is None else title.text)
    return pa.table(
        {
            "direction": numbers,
            "concepts": np.bincount(owner, minlength=len(numbers)),
            "kept": kept,
            "p_value": unknown if tests is None else tests["p_value"],
            "q_value": unknown if tests is None else tests["q_value"],
            "separation": _least(bank.concepts["separation"], owner, len(numbers)),
            "stability": _least(bank.concepts["stability"], owner, len(numbers)),
            "labels": texts,
        },
        schema=DIRECTIONS,
    )


def _members(bank: ConceptBank) -> list[npt.NDArray[np.int64]]:
    """The exemplars of each concept, from one look at the table."""
    concept = bank.exemplars["concept"].fill_null(-1).to_numpy()
    order = np.argsort(concept, kind="stable")
    bounds = np.searchsorted(concept[order], np.arange(len(bank) + 1))
    ids = bank.exemplars["image_id"].to_numpy()[order]
    return [ids[bounds[each] : bounds[each + 1]] for each in range(len(bank))]


def _least(column: pa.ChunkedArray, owner: npt.NDArray[np.int64], count: int) -> pa.Array:
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    least = np.full(count, np.inf)
    known = np.isfinite(values)
    np.minimum.at(least, owner[known], values[known])
    return pa.array(least, mask=np.isinf(least), type=pa.float64())
