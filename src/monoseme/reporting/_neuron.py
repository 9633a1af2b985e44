"""The part of a report that is about one direction: its strongest images, its concepts with their evidence, and charts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..banks import NAME
from ..base import counted, printable
from ..base.html import Html, element, joined
from ..views import ConceptView, NeuronView, TreeView, alignments, distances, similarities
from ..views.charts import boxes, colour, matrix, tree
from ..views.pieces import marks, note
from ..visualize import mark
from ._pictures import Pictures

_NEURONS = 8


def section(view: NeuronView, concepts: Sequence[ConceptView], shape: TreeView, pictures: Pictures) -> Html:
    """All that a report shows of one direction."""
    strongest = pictures.row(view.image_ids, f"strongest images of {view.name}")
    parts = [
        element("h2", f"{view.name}: {counted(len(view.concepts), 'concept')}"),
        element("p", _sure(view), class_="sure"),
        _row("grey", "strongest images", "", strongest),
    ]
    parts += [_concept(each, place, pictures) for place, each in enumerate(concepts)]
    dropped = view.image_ids[view.concept < 0]
    if len(dropped):
        shown = pictures.row(dropped, "images that were dropped")
        parts.append(_row("grey", f"dropped: {counted(len(dropped), 'image')}", "", shown))
    parts.append(_charts(view, shape))
    return element("section", *parts, id=f"n{view.direction}", class_="neuron")


def _sure(view: NeuronView) -> str:
    kept = int((view.concept >= 0).sum())
    text = f"{kept} of its {len(view.image_ids)} strongest images are in a concept"
    if view.division["p_value"] is not None:
        text += (
            f"; divided with p = {view.division['p_value']:.2g}, q = {view.division['q_value']:.2g} over all directions"
        )
    if view.division["cosine"] is not None:
        text += f", cosine of the two sides {view.division['cosine']:.2f}"
    return text


def _concept(found: ConceptView, place: int, pictures: Pictures) -> Html:
    concept = found.concept
    labels = ", ".join(f"{printable(name, 40)} {count}" for name, count in found.labels[:4])
    name = f"concept {concept.number}"
    called = printable(found.title.given, NAME)
    alt = f"exemplars of {name}" + (f": {called or labels}" if called or labels else "")
    lines = [element("p", labels, class_="labels")] if labels else []
    lines.append(note(found.annotation))
    if found.title.by == "automatic":
        lines.append(element("p", found.title.detail))
    elif found.nameless is not None:
        lines.append(element("p", f"no name: {found.nameless}"))
    evidence = [
        element("span", f"{each.name} ", element("b", f"{each.value:.3g}"), title=each.meaning)
        for each in found.evidence
    ]
    lines.append(element("p", counted(concept.size, "image"), *(joined([", ", each]) for each in evidence)))
    if found.cause is not None:
        lines.append(element("p", found.cause.sentence))
    if found.predictions:
        said = ", ".join(f"{printable(name, 30)} {count}" for name, count in found.predictions[:3])
        lines.append(element("p", f"the model says: {said}"))
    made_of = found.composition
    strongest = ", ".join(
        f"{neuron} ({value:.2f})"
        for neuron, value in zip(made_of.neurons[:_NEURONS], made_of.values[:_NEURONS], strict=True)
    )
    lines.append(element("p", f"made of neurons {strongest}"))
    if found.nearest:
        near = ", ".join(f"{number} (cosine {cosine:.2f})" for number, cosine in found.nearest)
        lines.append(element("p", f"nearest concepts of other neurons: {near}"))
    lines.append(element("p", "key ", element("code", concept.key), class_="key"))
    shown = joined([pictures.row(concept.image_ids, alt), pictures.heat(concept, mark(place).colour)])
    title = joined([name, f": {called}" if called else "", marks(found.annotation)])
    return _row(colour(place), title, joined(lines), shown)


def _row(kind: str, name: object, text: object, pictures: Html) -> Html:
    """A block with a bar in its colour: heading, pictures, and what is to be said."""
    return element("div", element("h3", name), pictures, element("div", text, class_="about"), class_=f"row bar-{kind}")


def _charts(view: NeuronView, shape: TreeView) -> Html:
    order = np.ix_(view.order, view.order)
    cosine = similarities(view.embeddings, "cosine", without=view.neuron)[order]
    name = "cosine of each two exemplars, concept by concept" + (
        " (without the neuron itself)" if view.neuron is not None else ""
    )
    parts = [
        _figure(tree(shape, view), "Ward tree; a full dot: the test finds more than one concept below"),
        _figure(matrix(cosine, name), name),
    ]
    if view.concepts:
        parts += [_figure(_alignment(view), "exemplars on their concept's vector and on the neuron")]
    if len(view.concepts) > 1:
        parts += [_figure(_distances(view), "how far apart exemplars are")]
    return element("div", *parts, class_="charts")


def _alignment(view: NeuronView) -> Html:
    rows = []
    for place, (number, found) in enumerate(alignments(view).items()):
        rows.append((f"on concept {number}", colour(place), found.cosine))
        if found.cosine_start is not None:
            rows.append((f"on {view.bank.start_name} {view.direction}", "grey", found.cosine_start))
    return boxes(rows, "cosine")


def _distances(view: NeuronView) -> Html:
    found = distances(view)
    rows = [(f"within {number}", colour(place), each) for place, (number, each) in enumerate(found.within.items())]
    rows += [(f"{one} to {other}", "grey", each) for (one, other), each in found.between.items()]
    return boxes(rows, "Euclidean distance")


def _figure(content: Html, caption: str) -> Html:
    return element("figure", content, element("figcaption", caption))
