"""What the controls of a neuron's page say: a query comes in, a choice of method and parameters goes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import BeforeValidator

from ..base import UsageError
from ._opened import OpenedBank

if TYPE_CHECKING:
    from ..splitting import Splitter

Method = Literal["published", "calibrated"]
LARGEST = 1e30
"""The largest threshold that is taken for a number."""

_FIXED = {"published": ("n_init", "max_iter", "seed"), "calibrated": ("alpha", "max_cosine", "dimensions")}
"""Parameters that the page has no controls for."""


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


async def asked(
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
    def own_of(cls, bank: OpenedBank, band: float = 1.0) -> Self:
        """As the bank was made."""
        known, method = bank.bank.info["parameters"], str(bank.bank.info.get("method"))
        made = cls(method, bank.bank.heights.shape[1] + 1, int(known.get("min_size") or 5), band=band)
        if method == "published":
            outlier = str(_outlier(str(known["outlier_threshold"])))
            return replace(made, threshold=float(known["distance_threshold"]), outlier=outlier)
        return replace(made, granularity=float(known["granularity"])) if method == "calibrated" else made

    @classmethod
    def of(cls, bank: OpenedBank, asked: Asked) -> Self:
        """What was asked for, and the bank's own where nothing was.

        Raises
        ------
        UsageError
            A parameter cannot be meant.
        """
        mine = cls.own_of(bank, asked.band)
        if asked.top is not None and not 2 <= asked.top <= mine.top:
            kind = bank.bank.start_name
            raise UsageError(f"the bank keeps {mine.top} exemplars of each {kind}; ask for 2 to {mine.top}")
        method = asked.method or mine.method
        made = mine
        if method != mine.method:
            made = cls(method, mine.top, mine.min_size, band=asked.band)
        made = replace(made, top=asked.top or made.top, min_size=asked.min_size or made.min_size)
        if method == "published":
            threshold = asked.threshold or made.threshold or bank.auto_threshold
            outlier = str(_outlier(asked.outlier or made.outlier or "auto"))
            made = replace(made, threshold=threshold, outlier=outlier)
        elif method == "calibrated":
            made = replace(made, granularity=asked.granularity or made.granularity or 0.5)
        made = replace(made, own=made == mine)
        if not made.own:
            made.parameters(bank)  # what cannot be meant is refused before any work is done
        return made

    def query(self) -> dict[str, Any]:
        """What an address says to mean this choice: nothing but the band where it is the bank's own."""
        band = {} if self.band == 1 else {"band": self.band}
        names = ("method", "top", "min_size", "threshold", "outlier", "granularity")
        values = {} if self.own else {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None} | band

    def parameters(self, bank: OpenedBank) -> dict[str, Any]:
        """Of the method, as `disentangle` takes them; the bank's own where the page has no control for them.

        Raises
        ------
        UsageError
            A parameter cannot be meant, or the method is one that the page does not know.
        """
        from ..splitting import Calibrated, Published

        if self.method not in _FIXED:
            raise UsageError(f"the method {self.method} has no controls here; choose published or calibrated")
        known = bank.bank.info["parameters"]
        same = bank.bank.info.get("method") == self.method
        given = {name: known[name] for name in _FIXED[self.method] if same and name in known}
        given["min_size"] = self.min_size
        if self.method == "published":
            given |= {"distance_threshold": self.threshold, "outlier_threshold": _outlier(self.outlier or "auto")}
            Published(**given)
        else:
            given["granularity"] = self.granularity
            Calibrated(**given)
        return given

    def splitter(self, bank: OpenedBank) -> Splitter:
        """The splitter that this means, fitted to the layer."""
        from ..splitting import Calibrated, Published

        given = self.parameters(bank)
        if self.method == "published":
            return Published(**given)
        return replace(Calibrated(**given), whitening=bank.tests.result().method.whitening)


def _outlier(text: str) -> float | str:
    """A number where it is one; the method says what else is right."""
    try:
        return float(text)
    except ValueError:
        return text
