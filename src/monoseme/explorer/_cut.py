"""One neuron split as the page's controls say: a choice comes in, the view of the neuron so split goes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from fastapi import Query
from pydantic import BeforeValidator

from ..banks import Concept
from ..base import UsageError
from ..views import NeuronView, TreeView, view_tree
from ._opened import OpenedBank, on_one_core

if TYPE_CHECKING:
    from ..splitting import OneSplit, Splitter

Method = Literal["published", "calibrated"]
LARGEST = 1e30
"""The largest threshold that is taken for a number."""

_PUBLISHED = ("n_init", "max_iter", "seed")
_CALIBRATED = ("alpha", "max_cosine", "dimensions")


@dataclass(frozen=True)
class Choice:
    """How a neuron is to be split.

    method : of splitting, or the name of the bank's own where that is another
    top : number of exemplars
    min_size : fewest exemplars of a concept
    threshold, outlier : of the published method, None for others
    granularity : of the calibrated method, None for others
    band : where the exemplars are from, 1 for the top
    own : whether all this is as the bank has it, whose concepts are then shown
    """

    method: str
    top: int
    min_size: int
    threshold: float | None = None
    outlier: str | None = None
    granularity: float | None = None
    band: float = 1.0
    own: bool = True

    @classmethod
    def of(cls, bank: OpenedBank, asked: Asked) -> Self:
        """What was asked for, and the bank's own where nothing was.

        Raises
        ------
        UsageError
            A parameter cannot be meant.
        """
        known = bank.bank.info["parameters"]
        kept, theirs = bank.bank.heights.shape[1] + 1, str(bank.bank.info.get("method"))
        method = asked.method or theirs
        top = kept if asked.top is None else asked.top
        if not 2 <= top <= kept:
            raise UsageError(f"the bank keeps {kept} exemplars of each {bank.bank.start_name}; ask for 2 to {kept}")
        same = method == theirs and top == kept
        min_size = asked.min_size or int(known.get("min_size") or 5)
        same = same and min_size == int(known.get("min_size") or 5)
        made = cls(method, top, min_size, band=asked.band, own=same)
        if method == "published":
            mine = known if theirs == "published" else {}
            threshold = asked.threshold or mine.get("distance_threshold") or bank.auto_threshold
            outlier = asked.outlier or str(mine.get("outlier_threshold", "auto"))
            if same:
                same = math.isclose(threshold, mine["distance_threshold"], rel_tol=1e-12)
                same = same and _outlier(outlier) == _outlier(str(mine["outlier_threshold"]))
            made = replace(made, threshold=float(threshold), outlier=outlier, own=same)
        elif method == "calibrated":
            mine = known if theirs == "calibrated" else {}
            granularity = asked.granularity or float(mine.get("granularity", 0.5))
            made = replace(made, granularity=granularity, own=same and granularity == mine["granularity"])
        if not made.own:
            if method not in ("published", "calibrated"):
                raise UsageError(f"the method {method} has no controls here; choose published or calibrated")
            _parameters(made, known, theirs)  # what cannot be meant is refused before any work is done
        return made

    def splitter(self, bank: OpenedBank) -> Splitter:
        """The splitter that this means, fitted to the layer."""
        known = bank.bank.info["parameters"]
        given = _parameters(self, known, str(bank.bank.info.get("method")))
        from ..splitting import Calibrated, Published

        if self.method == "published":
            return Published(**given)
        return replace(Calibrated(**given), whitening=bank.tests.result().method.whitening)

    def parameters(self, bank: OpenedBank) -> dict[str, Any]:
        """The same as `disentangle` takes it."""
        known = bank.bank.info["parameters"]
        return _parameters(self, known, str(bank.bank.info.get("method")))


@dataclass(frozen=True)
class Asked:
    """What the address of a neuron's page says; None where it says nothing."""

    method: Method | None = None
    top: int | None = None
    min_size: int | None = None
    threshold: float | None = None
    outlier: str | None = None
    granularity: float | None = None
    band: float = 1.0


def _or_none(given: object) -> object:
    """A field of a form that is left empty says nothing."""
    return None if given == "" else given


_Empty = BeforeValidator(_or_none)


def asked(
    method: Annotated[Method | None, Query(description="how to split; the bank's by default"), _Empty] = None,
    top: Annotated[
        int | None, Query(ge=2, le=100_000, description="number of exemplars, at most the bank's"), _Empty
    ] = None,
    min_size: Annotated[
        int | None, Query(ge=1, le=100_000, description="fewest exemplars of a concept"), _Empty
    ] = None,
    threshold: Annotated[
        float | None,
        Query(gt=0, le=LARGEST, allow_inf_nan=False, description="published: distance at which the tree is cut"),
        _Empty,
    ] = None,
    outlier: Annotated[
        str | None,
        Query(max_length=24, description="published: squared distance that is too far, a quantile (q0.9), or auto"),
        _Empty,
    ] = None,
    granularity: Annotated[
        float | None, Query(gt=0, lt=1, description="calibrated: from one concept to many"), _Empty
    ] = None,
    band: Annotated[float, Query(gt=0, le=1, description="part of its strength that exemplars are taken at")] = 1.0,
) -> Asked:
    """The query of an address."""
    return Asked(method, top, min_size, threshold, outlier, granularity, band)


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
        method = bank.tests.result().method
        p_value, cosine = tests
        divides = (p_value <= method.level) & (cosine < method.widest_cosine)
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


def _outlier(text: str) -> float | str:
    """A number where it is one; the method says what else is right."""
    try:
        return float(text)
    except ValueError:
        return text


def _parameters(choice: Choice, known: dict[str, Any], theirs: str) -> dict[str, Any]:
    """Of the chosen method; what the page has no control for is the bank's, where that was made by the same method."""
    names = _PUBLISHED if choice.method == "published" else _CALIBRATED
    kept = {name: known[name] for name in names if name in known} if choice.method == theirs else {}
    given = {**kept, "min_size": choice.min_size}
    if choice.method == "published":
        from ..splitting import Published

        given |= {"distance_threshold": choice.threshold, "outlier_threshold": _outlier(choice.outlier or "auto")}
        Published(**given)
    else:
        from ..splitting import Calibrated

        given["granularity"] = choice.granularity
        Calibrated(**given)
    return given
