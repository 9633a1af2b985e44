"""One neuron split as the page's controls say: a choice comes in, the view of the neuron so split goes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..banks import Concept
from ..views import NeuronView, TreeView, view_tree
from ._choice import Choice
from ._later import on_one_core
from ._opened import OpenedBank

if TYPE_CHECKING:
    from ..splitting import OneSplit


@dataclass(frozen=True)
class Cut:
    """A neuron split as was chosen.

    choice : how
    view : the neuron; numbers of concepts are the bank's own only where the choice is
    tree : its tree, with the significance of its nodes where that is known yet
    waiting : whether that is still being computed
    """

    choice: Choice
    view: NeuronView
    tree: TreeView
    waiting: bool


def cut(bank: OpenedBank, direction: int, choice: Choice) -> Cut:
    """Split one neuron, without a look at any other.

    Raises
    ------
    NotFound
        There is no such direction or band.
    """
    base = bank.direction(direction, choice.band)
    kind = "bank"
    if not choice.own:
        kept = len(base.image_ids)
        has = {"published": "raw", "calibrated": "whitened"}
        if bank.bank.info.get("method") != choice.method or choice.top < kept:
            kind = has[choice.method]
        one = bank.one(direction, choice.band, choice.top, kind)
        splitter, centre = choice.splitter(bank), _centre(bank)
        split = on_one_core(lambda: one.split(splitter, centre))
        base = _split_view(base, choice, split, one.merges, one.heights)
    tests = bank.node_tests((direction, choice.band, choice.top, kind), base)
    tree = replace(view_tree(base), cut=choice.threshold)
    if tests is not None:
        p_value, cosine = tests
        divides = bank.tests.result().divides(p_value, cosine)
        tree = replace(tree, p_value=p_value, cosine=cosine, divides=divides)
    return Cut(choice, base, tree, tests is None)


def vectors_of(concepts: Sequence[Concept], width: int) -> npt.NDArray[np.float64]:
    """(m, C) the vectors of some concepts, of none as well."""
    return np.array([concept.vector for concept in concepts], dtype=np.float64).reshape(len(concepts), width)


def letter(place: int) -> str:
    """A short name of the concept at a place among those of a neuron.

    >>> letter(0), letter(25), letter(26)
    ('A', 'Z', 'AA')
    """
    return ("" if place < 26 else letter(place // 26 - 1)) + chr(ord("A") + place % 26)


def _centre(bank: OpenedBank) -> np.ndarray | None:
    if bank.bank.info["parameters"].get("vector") != "centred":
        return None
    whitening = bank.tests.result().method.whitening
    assert whitening is not None
    return np.asarray(whitening.mean)


def _split_view(
    base: NeuronView, choice: Choice, split: OneSplit, merges: np.ndarray, heights: np.ndarray
) -> NeuronView:
    ids = base.image_ids[: choice.top]

    def known(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    concepts = tuple(
        Concept(
            number=place,
            key="",
            direction=base.direction,
            vector=vector,
            image_ids=ids[split.concept == place],
            separation=known(split.separation[place]),
            p_value=known(split.p_value[place]),
        )
        for place, vector in enumerate(split.vectors)
    )
    division = dict.fromkeys(("p_value", "q_value", "cosine"))
    if split.division is not None:
        division |= {"p_value": split.division[0], "cosine": known(split.division[1])}
    return replace(
        base,
        image_ids=ids,
        activation=base.activation[: choice.top],
        concept=split.concept,
        cluster=split.clusters,
        embeddings=base.embeddings[: choice.top],
        merges=merges,
        heights=heights,
        concepts=concepts,
        division=division,
    )
