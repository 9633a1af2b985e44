"""Banks side by side on one neuron: what each makes of its exemplars, and how far they agree."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from ..base import UsageError, counted
from ..base.html import Html, element, joined
from ..views import Agreement, NeuronView, agreements, one_kind, same_start
from ._bank import Bank, Direction
from ._choice import Choice
from ._groups import chip, groups
from ._images import opened
from ._marks import NameAnswer, name_answer
from ._opened import NotFound, Opened, OpenedBank
from ._page import HTML, page

router = APIRouter()

MOST = 4
"""Banks that are shown beside each other."""

With = Annotated[
    list[Annotated[str, Query(max_length=100)]] | None,
    Query(
        alias="with",
        description="names of the other banks; by default all of the layer that hold the direction",
        max_length=MOST,
    ),
]
Run = Annotated[Opened, Depends(opened)]


class SideConcept(BaseModel):
    """A concept of one side."""

    concept: int
    key: str
    name: NameAnswer
    size: int
    image_ids: list[int]


class Side(BaseModel):
    """What one bank makes of the neuron."""

    bank: str
    method: str
    exemplars: int
    dropped: int
    concepts: list[SideConcept]


class AgreementAnswer(BaseModel):
    """How far two banks agree: exemplars in both, those kept by both, two indices over these, counts and cosines."""

    banks: tuple[str, str]
    shared: int
    both_kept: int
    adjusted_rand: float | None
    normalised_information: float | None
    counts: list[list[int]]
    cosines: list[list[float]] | None


class BesideAnswer(BaseModel):
    """Banks side by side on one neuron."""

    layer: str
    direction: int
    sides: list[Side]
    agreements: list[AgreementAnswer]


@router.get("/api/banks/{layer}/{bank}/neuron/{direction}/beside")
def beside_json(bank: Bank, direction: Direction, run: Run, names: With = None) -> BesideAnswer:
    """Banks side by side on one neuron, as data."""
    sides = _sides(bank, direction, run, names)
    return BesideAnswer(
        layer=bank.layer,
        direction=direction,
        sides=[_side(each, view) for each, view in sides],
        agreements=[
            AgreementAnswer(
                banks=(sides[each.one][0].name, sides[each.other][0].name),
                shared=each.shared,
                both_kept=each.both_kept,
                adjusted_rand=each.rand,
                normalised_information=each.information,
                counts=each.counts.tolist(),
                cosines=None if each.cosines is None else each.cosines.tolist(),
            )
            for each in agreements([view for _, view in sides])
        ],
    )


@router.get("/banks/{layer}/{bank}/neuron/{direction}/beside", **HTML)
def beside_page(bank: Bank, direction: Direction, run: Run, names: With = None) -> Response:
    """Banks side by side on one neuron."""
    sides, place = _sides(bank, direction, run, names), bank.place()
    name = sides[0][1].name
    known = ", ".join(each.name for each, _ in sides)
    back = element("a", f"{name} alone", href=f"{place.base}/neuron/{direction}")
    head = element(
        "header",
        element("h1", name, element("span", f" of {bank.layer} in {counted(len(sides), 'bank')}", class_="faint")),
        element("nav", back, *_choices(bank, direction, run, sides), aria_label="other views", class_="steps"),
        class_="title",
    )
    parts = [head, element("p", known, class_="lead")]
    if len(sides) > 1:
        pairs = agreements([view for _, view in sides])
        parts.append(
            element("section", element("h2", "How far they agree"), *(_agreement(sides, each) for each in pairs))
        )
    else:
        parts.append(element("p", f"No other bank of the layer holds {name}.", class_="faint"))
    columns = [element("section", *_column(each, view), class_="side") for each, view in sides]
    parts.append(element("div", *columns, class_="beside"))
    title = f"{name} of {bank.layer}: {known}"
    return Response(page(place, title, parts), media_type="text/html; charset=utf-8")


def link(bank: OpenedBank, direction: int, run: Opened) -> Html:
    """To this page, from the neuron's; nothing where the layer has no other bank."""
    others = [name for layer, name in run.banks if layer == bank.layer and name != bank.name]
    address = f"{bank.place().base}/neuron/{direction}/beside"
    return element("a", "beside other banks", href=address, data_key="b", title="key b") if others else Html()


def _sides(
    bank: OpenedBank, direction: int, run: Opened, names: list[str] | None
) -> list[tuple[OpenedBank, NeuronView]]:
    """The bank and those it is compared with, each with its view of the direction."""
    own = bank.direction(direction)
    found = [(bank, own)]
    if names is None:
        for layer, name in run.banks:
            if layer == bank.layer and name != bank.name and len(found) < MOST:
                other = run.bank(layer, name)
                view = _view(other, direction)
                if view is not None and same_start(own, view):
                    found.append((other, view))
        return found
    for name in dict.fromkeys(names):
        other = run.bank(bank.layer, name)
        if name == bank.name:
            raise UsageError(f"{name} is the bank itself; name another to compare it with")
        found.append((other, other.direction(direction)))
    if len(found) > MOST:
        raise UsageError(f"at most {MOST} banks are shown beside each other, not {len(found)}")
    return found


def _view(other: OpenedBank, direction: int) -> NeuronView | None:
    try:
        return other.direction(direction)
    except NotFound:
        return None


def _side(bank: OpenedBank, view: NeuronView) -> Side:
    return Side(
        bank=bank.name,
        method=str(bank.bank.info.get("method")),
        exemplars=len(view.image_ids),
        dropped=int((view.concept < 0).sum()),
        concepts=[
            SideConcept(
                concept=each.number,
                key=each.key,
                name=name_answer(bank.titles.of(each.key, view.labels.counts(each.image_ids))),
                size=each.size,
                image_ids=each.image_ids.tolist(),
            )
            for each in view.concepts
        ],
    )


def _choices(bank: OpenedBank, direction: int, run: Opened, sides: list[tuple[OpenedBank, NeuronView]]) -> list[Html]:
    """Links to each single other bank, where there are several."""
    others = [name for layer, name in run.banks if layer == bank.layer and name != bank.name]
    address = f"{bank.place().base}/neuron/{direction}/beside"
    shown = {each.name for each, _ in sides}
    alone = [element("a", f"with {name}", href=f"{address}?with={name}") for name in others if len(others) > 1]
    return [*alone, *([element("a", "with all", href=address)] if alone and len(shown) < len(others) + 1 else [])]


def _agreement(sides: list[tuple[OpenedBank, NeuronView]], found: Agreement) -> Html:
    (one, mine), (other, theirs) = sides[found.one], sides[found.other]
    lines = [f"{found.shared} of {len(mine.image_ids)} and {len(theirs.image_ids)} exemplars are in both lists"]
    lines.append(f"{found.both_kept} of these are in a concept on both sides")
    if found.rand is not None and found.information is not None:
        lines.append(f"over them the adjusted Rand index is {found.rand:.2f}")
        lines.append(f"the normalised mutual information {found.information:.2f} (1: the same division)")
    parts = [element("h3", f"{one.name} and {other.name}"), element("p", "; ".join(lines) + ".")]
    tables = [_table(sides, found, found.counts, "exemplars that are in both lists, by their concepts")]
    if found.cosines is None:
        parts.append(element("p", "The vectors are of different spaces and cannot be compared.", class_="faint"))
    elif found.cosines.size:
        said = "cosines of the concepts' vectors"
        if not one_kind(one.bank, other.bank):
            said += ", of which one bank has the images' means and the other what differs from all images"
        tables.append(_table(sides, found, found.cosines, said))
    return joined([*parts, element("div", *tables, class_="charts")])


def _table(
    sides: list[tuple[OpenedBank, NeuronView]], found: Agreement, values: npt.NDArray[np.number], caption: str
) -> Html:
    """A table with a row for each concept of one side and a column for each of the other; one more for what was dropped."""
    names = [
        [chip(place) if place < len(sides[side][1].concepts) else "dropped" for place in range(count)]
        for side, count in zip((found.one, found.other), values.shape, strict=True)
    ]
    most = float(np.abs(values).max(initial=0)) or 1.0
    form = "d" if values.dtype.kind == "i" else ".2f"
    body = []
    for name, row in zip(names[0], values.tolist(), strict=True):
        depth = [min(9, max(0, int(9.99 * each / most))) for each in row]
        cells = [
            element("td", f"{each:{form}}", class_=f"number h{deep}") for each, deep in zip(row, depth, strict=True)
        ]
        body.append(element("tr", element("th", name, scope="row"), *cells))
    one, other = (sides[side][0].name for side in (found.one, found.other))
    corner = element("td", f"{one} / {other}", class_="faint small")
    head = element("tr", corner, *(element("th", each, scope="col") for each in names[1]))
    table = element("table", element("thead", head), element("tbody", *body), class_="cosines")
    label = f"{caption}: {one} against {other}"
    inside = element("div", table, class_="scrolling", tabindex="0", role="region", aria_label=label)
    return element("figure", inside, element("figcaption", caption))


def _column(bank: OpenedBank, view: NeuronView) -> list[Html]:
    choice = Choice.own_of(bank)
    heading = element("a", bank.name, href=f"{bank.place().base}/neuron/{view.direction}")
    kept = int((view.concept >= 0).sum())
    known = {"threshold": choice.threshold, "outliers": choice.outlier, "granularity": choice.granularity}
    how = ", ".join(
        f"{name} {value if isinstance(value, str) else f'{value:.4g}'}" for name, value in known.items() if value
    )
    said = f"{counted(len(view.concepts), 'concept')}: {kept} of {len(view.image_ids)} images; {choice.method}, {how}".rstrip(
        ", "
    )
    if view.division["p_value"] is not None:
        said += f"; divided with p = {view.division['p_value']:.2g}"
    return [element("h2", heading), element("p", said, class_="faint"), groups(bank, view, choice)]
