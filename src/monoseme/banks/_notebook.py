"""How banks, concepts and dictionaries show themselves in a notebook, with pictures where their run is at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import MonosemeError, counted, html
from ..base.html import Html

if TYPE_CHECKING:
    from ..runs import Run
    from ._bank import Concept, ConceptBank
    from ._dictionary import LayerDictionary

TELLING, CONCEPTS, PICTURES = 3, 3, 4
"""Directions that a bank shows, concepts of each, and pictures of each concept: at most 36 in all."""
ENTRIES = 10
"""Entries that a dictionary shows."""


def concept_html(concept: Concept) -> Html:
    """A concept: its size and how sure it is, its commonest labels and strongest images."""
    bank = concept.bank
    run = None if bank is None else _run_of(bank)
    where = "direction" if bank is None else bank.start_name
    return html.card(
        f"concept {concept.number} of {where} {concept.direction}" + ("" if bank is None else f", layer {bank.layer}"),
        html.element("div", _figures(concept)),
        html.facts({**_said(concept), "labels": "" if run is None else _labels(run, concept), "key": concept.key}),
        Html() if run is None else _strip(run, concept),
    )


def bank_html(bank: ConceptBank) -> Html:
    """A bank: what it was made with, how many concepts its directions have, and the most telling of these."""
    several = [] if not len(bank) else bank.most_split(TELLING)
    start = bank.start_name
    run = _run_of(bank)
    parameters = bank.info.get("parameters", {})
    named = ("granularity", "level", "distance_threshold", "outlier_threshold", "top", "holdout")
    chosen = ", ".join(f"{name} {parameters[name]}" for name in named if parameters.get(name) is not None)
    tested = len(bank.divisions) and not bank.divisions["q_value"].null_count
    chart = html.bars(bank.histogram(), f"{start}s by number of concepts")
    return html.card(
        f"concept bank of {bank.layer}",
        html.facts(
            {
                "concepts": f"{len(bank):,} from {counted(len(bank.directions), start)}",
                "method": str(bank.info.get("method", "unknown")) + (f" ({chosen})" if chosen else ""),
                "more than one": f"{len(bank.polysemantic()):,} at a false discovery rate of 5 %" if tested else None,
            }
        ),
        html.element(
            "div", html.element("span", f"{start}s by number of concepts", style=html.FAINT), style="margin-top:6px"
        ),
        chart,
        *(_direction(bank, run, direction) for direction in several),
        html.facts({"next": html.code(f"bank.for_direction({several[0]})") if several else None}),
    )


def dictionary_html(dictionary: LayerDictionary) -> Html:
    """A dictionary: how much it brings together, and its entries with most members."""
    names = ("entry", "members", "directions", "images", "least_cosine")
    rows = dictionary.entries.slice(0, ENTRIES).select(names).to_pylist()
    more = len(dictionary) - len(rows)
    return html.card(
        f"dictionary of {dictionary.layer}",
        html.facts({"entries": f"{len(dictionary):,} from {counted(len(dictionary.members), 'concept')}"}),
        html.table(
            ("entry", "members", "directions", "images", "least cosine"),
            [[*(f"{row[name]:,}" for name in names[:4]), f"{row['least_cosine']:.2f}"] for row in rows],
        ),
        html.element("div", f"and {more:,} more", style=html.FAINT) if more > 0 else "",
    )


def _direction(bank: ConceptBank, run: Run | None, direction: int) -> Html:
    """One direction: a line for each of its concepts, with pictures where there are any."""
    concepts = bank.for_direction(direction)
    rows = []
    for concept in concepts[:CONCEPTS]:
        about = html.joined(
            [
                f"concept {concept.number}",
                html.element("div", _figures(concept), style=f"{html.FAINT};width:21em;white-space:normal"),
            ]
        )
        labels = Html() if run is None else html.element("div", _labels(run, concept))
        pictures = Html() if run is None else _strip(run, concept, PICTURES)
        rows.append((about, html.joined([pictures, labels])))
    more = len(concepts) - CONCEPTS
    heading = f"{bank.start_name} {direction}: {counted(len(concepts), 'concept')}"
    return html.table((heading + (f", {CONCEPTS} of them shown" if more > 0 else ""), ""), rows)


def _figures(concept: Concept) -> str:
    """Size, separation, p-value and stability in a line; what is unknown is left out."""
    parts = [counted(concept.size, "exemplar")]
    parts.append("the only one" if concept.separation is None else f"separation {concept.separation:.3g}")
    if concept.p_value is not None:
        parts.append(f"p {concept.p_value:.2g}")
    if concept.stability is not None:
        parts.append(f"stability {concept.stability:.2f}")
    return ", ".join(parts)


def _said(concept: Concept) -> dict[str, str]:
    """What people say of it; line breaks of a note are spaces."""
    said = concept.annotation
    if said is None:
        return {}
    rejected = "no concept worth having" if said.rejected else ""
    return {"name": said.name, "tags": ", ".join(said.tags), "note": said.note.replace("\n", " "), "rejected": rejected}


def _run_of(bank: ConceptBank) -> Run | None:
    """The run behind a bank, if it is still there and still the one that the bank was made from.

    Runs need Lance, which banks do without but for this: it is imported only when a notebook draws one.
    """
    from ..runs import open_run

    if bank.run is None:
        return None
    try:
        run = open_run(bank.run)
        return run if bank.is_of(len(run), run.manifest.images["digest"]) else None
    except (MonosemeError, OSError, KeyError):
        return None


def _strip(run: Run, concept: Concept, most: int = 12) -> Html:
    from ..runs import strip

    return strip(run, concept.image_ids, most)


def _labels(run: Run, concept: Concept) -> str:
    try:
        return run.shown_labels().commonest(concept.image_ids)
    except Exception:  # as for thumbnails
        return ""
