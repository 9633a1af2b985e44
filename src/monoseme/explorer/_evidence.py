"""What is known of a concept beside its images: evidence, labels, predictions, the neurons that it is made of."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from ..base import counted, printable
from ..base.html import Html, element, joined
from ..views import ConceptView, is_of
from ._opened import OpenedBank

LABELS = 12
CLASSES = 5
"""Classes that are named for each change."""


def evidence(view: ConceptView) -> Html:
    """The reasons to believe in it, and what the model does without it where that was tried."""
    if not view.evidence:
        return element("p", "Nothing is known but its images.", class_="faint")
    rows = [
        joined([element("dt", each.name), element("dd", element("b", f"{each.value:.3g}"), f" {each.meaning}")])
        for each in view.evidence
    ]
    caused = Html() if view.cause is None else element("p", view.cause.sentence)
    return joined([caused, element("dl", *rows, class_="facts")])


def made_of(bank: OpenedBank, view: ConceptView) -> list[Html]:
    """Columns of counts: labels, predictions, what the model says without it, neurons."""
    composed = view.composition
    whole = view.concept.size
    parts = []
    if view.labels:
        parts.append(_counts("Labels of its exemplars", view.labels, whole))
    if view.predictions:
        parts.append(_counts("What the model says of them", view.predictions, whole))
    parts += [_enriched(bank, view), _classes(view)]
    neurons = [
        element(
            "li",
            element("meter", value=f"{abs(value):.3f}", max="1", aria_label=f"{value:.2f}"),
            " ",
            element("b", f"{value:.2f}"),
            f" neuron {neuron}",
        )
        for neuron, value in zip(composed.neurons.tolist(), composed.values.tolist(), strict=True)
    ]
    note = element("p", f"These hold {composed.share:.0%} of the vector's squared length.", class_="faint small")
    parts.append(
        element("div", element("h2", "Neurons it is made of"), element("ul", *neurons, class_="plain counts"), note)
    )
    return parts


def _counts(name: str, counts: Sequence[tuple[str, int]], whole: int) -> Html:
    items = [
        element(
            "li",
            element("meter", value=count, max=whole, aria_label=f"{count} of {whole}"),
            " ",
            element("b", count),
            f" {printable(label, 60)}",
        )
        for label, count in counts[:LABELS]
    ]
    more = len(counts) - LABELS
    rest = element("p", f"and {counted(more, 'further one')}", class_="faint small") if more > 0 else Html()
    return element("div", element("h2", name), element("ul", *items, class_="plain counts"), rest)


def _enriched(bank: OpenedBank, view: ConceptView) -> Html:
    """Labels that its exemplars have more often than the data set, where the bank was evaluated."""
    evaluation = bank.evaluation if bank.evaluated else None
    if evaluation is None or not is_of(evaluation, bank.bank):
        return Html()
    mine = evaluation.enriched.filter(pc.field("concept") == view.concept.number).to_pylist()
    rows = [
        element(
            "li",
            element("b", each["count"]),
            f" {printable(each['label'], 60)}, {each['expected']:.2g} by chance, p = {each['p_value']:.2g}",
        )
        for each in sorted(mine, key=lambda each: each["p_value"])[:LABELS]
    ]
    if not rows:
        return Html()
    return element(
        "div", element("h2", "Labels more frequent than by chance"), element("ul", *rows, class_="plain counts")
    )


def _classes(view: ConceptView) -> Html:
    """The classes whose probability moves most without it and with more of it, where that was tried."""
    if view.cause is None:
        return Html()
    rows = []
    for moved, said in ((view.cause.down, "taken out of its own images"), (view.cause.up, "added to random images")):
        names = ", ".join(f"{printable(name, 40)} {difference:+.2g}" for name, difference in moved[:CLASSES])
        if names:
            rows.append(element("li", element("b", said), f": {names}"))
    if not rows:
        return Html()
    return element("div", element("h2", "Classes that move with it"), element("ul", *rows, class_="plain counts"))
