"""One direction of a bank as it is looked at: its exemplars with their embeddings, and the concepts they fall into."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..banks import Concept, ConceptBank
from ..base import Activations, Labels, UsageError, as_activations, counted
from ..runs import Run

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Group(NamedTuple):
    """Exemplars that belong together: those of one concept, or those that were dropped.

    concept : the concept's number, None for what was dropped
    places : (n,) ranks of its exemplars, strongest first
    """

    concept: int | None
    places: Ints


@dataclass(frozen=True)
class NeuronView:
    """The exemplars of one direction, strongest first.

    Attributes
    ----------
    bank : ConceptBank
        The bank that it is from.
    direction : int
        Neuron number, or row of the directions / column of the scores.
    band : float
        1 for the exemplars at the top, else the level they were taken at.
    image_ids, activation : (K,) int64 and float32
        The images, and how strongly the direction fires for them.
    concept, cluster : (K,) int64
        Number of the concept that each belongs to, -1 where it was dropped; cluster before any was dropped.
    embeddings : (K, C) float32
        In the bank's frame.
    start : (C,) float32 or None
        The direction itself as a unit vector; None for scores.
    merges, heights : (K - 1, 2) int32 and (K - 1,) float64
        Their Ward tree.
    concepts : tuple of Concept
        In the order of their numbers.
    division : mapping
        p_value, q_value and cosine of the first division, None where the method does not test.
    labels : Labels
        Of the images.
    run : Run or None
        Where thumbnails and facts of the images are.
    """

    bank: ConceptBank
    direction: int
    band: float
    image_ids: Ints
    activation: Floats
    concept: Ints
    cluster: Ints
    embeddings: Floats
    start: Floats | None
    merges: npt.NDArray[np.int32]
    heights: npt.NDArray[np.float64]
    concepts: tuple[Concept, ...]
    division: dict[str, Any]
    labels: Labels
    run: Run | None = None

    @property
    def name(self) -> str:
        """As ``neuron 35``."""
        at = "" if self.band == 1 else f" at {self.band:g} of its strength"
        return f"{self.bank.start_name} {self.direction}{at}"

    @property
    def title(self) -> str:
        """As ``neuron 35 of Mixed_7b: 2 concepts``."""
        return f"{self.name} of {self.bank.layer}: {counted(len(self.concepts), 'concept')}"

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The exemplars concept by concept, then those that were dropped, if any."""
        parts = [Group(concept.number, np.flatnonzero(self.concept == concept.number)) for concept in self.concepts]
        dropped = np.flatnonzero(self.concept < 0)
        return (*parts, Group(None, dropped)) if len(dropped) else tuple(parts)

    @cached_property
    def order(self) -> Ints:
        """(K,) ranks in the order of `groups`."""
        return np.concatenate([group.places for group in self.groups])

    @cached_property
    def places(self) -> dict[int, int]:
        """Of each concept its place among those of the neuron, which its colour and its letter follow."""
        return {concept.number: place for place, concept in enumerate(self.concepts)}

    @property
    def neuron(self) -> int | None:
        """The coordinate that the direction itself is; None where it is no neuron."""
        return self.direction if self.bank.start_name == "neuron" else None

    def vector(self, concept: int) -> Floats:
        """(C,) unit vector of one of its concepts."""
        return np.asarray(self.bank.vectors[concept])

    def __repr__(self) -> str:
        return f"<{self.title} in {len(self.image_ids)} exemplars>"


def view_neuron(
    bank: ConceptBank,
    direction: int,
    run: Run | None = None,
    *,
    acts: Activations | npt.ArrayLike | None = None,
    labels: Labels | None = None,
    band: float = 1.0,
) -> NeuronView:
    """Gather what there is to see of one neuron, or other direction, of a bank.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    direction : int
        Neuron number, or row of the directions.
    run : Run, optional
        The run that the bank was made from: embeddings, thumbnails, labels.
    acts : Activations or (N, C) array, optional
        The activations that the bank was made from, where there is no run.
    labels : Labels, optional
        Of the images; by default those of the run.
    band : float
        Where a bank holds bands, which: 1 for the top.

    Raises
    ------
    UsageError
        There is no such direction or band, or the run or the activations are not those that the bank was made from.

    Examples
    --------
    >>> from monoseme.splitting import disentangle
    >>> acts = np.random.default_rng(0).random((200, 8), dtype=np.float32)
    >>> bank = disentangle(acts, "published", top=20)
    >>> view = view_neuron(bank, 3, acts=acts)
    >>> view, view.embeddings.shape
    (<neuron 3 of array: 1 concept in 20 exemplars>, (20, 8))
    """
    if run is not None:
        require_run(bank, run)
    if acts is None:
        if run is None:
            raise UsageError("give the run that the bank was made from, or its activations")
        acts = run.activations(bank.layer, bank.pooling)
    acts = as_activations(acts)
    made_from = bank.info["activations"]
    if acts.shape != (made_from["images"], made_from["neurons"]):
        raise UsageError(
            f"the bank was made from {made_from['images']:,} x {made_from['neurons']:,} activations, not "
            f"{acts.shape[0]:,} x {acts.shape[1]:,}; give those it was made from"
        )
    row = _row(bank, direction, band)
    top = bank.heights.shape[1] + 1
    exemplars = bank.exemplars.slice(row * top, top)
    image_ids = exemplars["image_id"].to_numpy()
    concept = exemplars["concept"].fill_null(-1).to_numpy().astype(np.int64)
    division = bank.divisions.slice(row, 1).to_pylist()
    return NeuronView(
        bank=bank,
        direction=direction,
        band=band,
        image_ids=image_ids,
        activation=exemplars["activation"].to_numpy(),
        concept=concept,
        cluster=exemplars["cluster"].to_numpy().astype(np.int64),
        embeddings=bank.frame(np.asarray(acts[image_ids], dtype=np.float32)),
        start=bank.start(direction),
        merges=bank.merges[row],
        heights=bank.heights[row],
        concepts=tuple(bank[int(number)] for number in np.unique(concept[concept >= 0])),
        division={name: division[0][name] if division else None for name in ("p_value", "q_value", "cosine")},
        labels=shown_labels(bank, run, labels),
        run=run,
    )


def require_run(bank: ConceptBank, run: Run) -> None:
    """Refuse a run that the bank was not made from."""
    if not bank.is_of(len(run), run.manifest.images["digest"]):
        raise UsageError(
            f"the bank was not made from {run.path}, which holds {len(run):,} images; give the run it was made from"
        )


def shown_labels(bank: ConceptBank, run: Run | None, labels: Labels | None) -> Labels:
    """The labels that were given, else those of the run, else none."""
    if labels is not None:
        return labels
    return Labels.none(bank.info["activations"]["images"]) if run is None else run.shown_labels()


def _row(bank: ConceptBank, direction: int, band: float) -> int:
    """Row of a direction, at a band, in `directions`."""
    first = bank.position(direction)
    if bank.bands is None:
        if band != 1:
            raise UsageError("the bank holds no bands; make one with disentangle(..., bands=[0.5])")
        return first
    rows = np.flatnonzero(bank.directions == direction)
    found = rows[np.isclose(bank.bands[rows], band)]
    if len(found) == 0:
        levels = ", ".join(f"{level:g}" for level in np.unique(bank.bands[rows])[::-1])
        raise UsageError(f"the bank holds no band {band:g} of direction {direction}, only {levels}")
    return int(found[0])
