"""What becomes of a neuron's exemplars: concepts with their images, what was dropped, and how all of it lies together."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..banks import Concept
from ..base import counted
from ..base.html import Html, element, joined
from ..views import NeuronView, Titles, alignments, distances, free_cells, similarities
from ..views.charts import boxes, colour, matrix
from ..views.pieces import marks, note, number
from ._choice import Choice
from ._cut import Cut, letter, vectors_of
from ._heat import direction_address, group_address
from ._images import address, described, listed, tile
from ._marks import called
from ._opened import NEURONS, OpenedBank

MATRIX = 16
"""Concepts whose cosines are shown; a table of more helps nobody."""
CELL, ROOM = 44, 1.9


def summary(found: Cut) -> Html:
    """What the choice makes of the neuron, in a sentence."""
    view, choice = found.view, found.choice
    kept = int((view.concept >= 0).sum())
    text = [f"{counted(len(view.concepts), 'concept')}: {kept} of its {len(view.image_ids)} strongest images"]
    if choice.threshold is not None:
        clusters = int((view.heights >= choice.threshold).sum()) + 1
        text.append(f"cut at {choice.threshold:.4g} into {counted(clusters, 'cluster')}")
    if view.division["p_value"] is not None:
        q = view.division["q_value"]
        sure = f"divided with p = {view.division['p_value']:.2g}"
        text.append(sure if q is None else f"{sure}, q = {q:.2g} over all {view.bank.start_name}s")
    if view.division["cosine"] is not None:
        text.append(f"cosine of the two sides {view.division['cosine']:.2f}")
    whose = "as in the bank" if choice.own else "as chosen here"
    return joined(["; ".join(text), " ", element("span", whose, class_="chip own" if choice.own else "chip")])


def groups(bank: OpenedBank, view: NeuronView, choice: Choice) -> Html:
    """The concepts that a choice has made with all their images, then the images that were dropped."""
    tiles = _tiles(bank, view.direction, view.band)

    def pictures(places: npt.NDArray[np.int64], heat: str) -> Html:
        return listed([tiles[place] for place in places.tolist()], heat)

    made, titles = [], bank.titles
    for place, concept in enumerate(view.concepts):
        members = np.flatnonzero(view.concept == concept.number)
        heat = group_address(bank, view.direction, choice, place)
        heading = _heading(bank, choice.own, place, concept, titles)
        lines = [heading, note(titles.said(concept.key)), _facts(view, concept), pictures(members, heat)]
        made.append(element("article", *lines, class_=f"group bar-{colour(place)}"))
    dropped = np.flatnonzero(view.concept < 0)
    if len(dropped):
        head = element("h3", f"dropped: {counted(len(dropped), 'image')}")
        itself = direction_address(bank, view.direction)
        made.append(element("article", head, pictures(dropped, itself), class_="group dropped bar-grey"))
    return joined(made)


def similar(found: Cut) -> Html:
    """Cosines of the concept vectors with each other and with the direction that they were found from."""
    view = found.view
    shown = view.concepts[:MATRIX]
    if not shown:
        return element("p", "There is no concept, hence no vector.", class_="faint")
    vectors = vectors_of(shown, view.embeddings.shape[1])
    start = None if view.start is None else vectors @ view.start.astype(np.float64)
    cosines = vectors @ vectors.T
    head = [element("td"), *(element("th", chip(place), scope="col") for place in range(len(shown)))]
    head += [element("th", view.name, scope="col")] if start is not None else []
    rows = []
    for place in range(len(shown)):
        cells = [element("th", chip(place), scope="row")]
        for other, value in enumerate(cosines[place]):
            alike = "" if other == place else f" h{min(9, max(0, int(value * 10)))}"
            cells.append(element("td", f"{value:.2f}", class_=f"number{alike}"))
        cells += [element("td", f"{start[place]:.2f}", class_="number")] if start is not None else []
        rows.append(element("tr", *cells))
    table = element(
        "table",
        element("caption", "cosine of each two concept vectors", class_="hidden"),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        class_="cosines",
    )
    more = len(view.concepts) - len(shown)
    rest = element("p", f"and {counted(more, 'further concept')}", class_="faint") if more > 0 else Html()
    return joined([table, rest])


def charts_of(bank: OpenedBank, found: Cut) -> Html:
    """The matrix of all exemplars, their map, and how they lie to their concepts and to the neuron."""
    view = found.view
    name = "cosine of each two exemplars, concept by concept"
    name += "" if view.neuron is None else ", the neuron itself left out"
    cosine = similarities(view.embeddings, "cosine", without=view.neuron)[np.ix_(view.order, view.order)]
    parts = [
        _figure(matrix(cosine, name, side=260), name),
        _figure(_map(bank, found), "exemplars, alike ones near each other"),
    ]
    if view.concepts:
        on_vector, on_start = [], []
        for place, each in enumerate(alignments(view).values()):
            kind, whose = colour(place), letter(place)
            on_vector.append((f"{whose} on its vector", kind, each.projection))
            on_start.append((f"{whose} on its vector", kind, each.cosine))
            if each.projection_start is not None and each.cosine_start is not None:
                on_vector.append((f"{whose} on the {view.bank.start_name}", "grey", each.projection_start))
                on_start.append((f"{whose} on the {view.bank.start_name}", "grey", each.cosine_start))
        parts.append(_figure(boxes(on_vector, "projection"), "projection of each concept's images"))
        parts.append(_figure(boxes(on_start, "cosine"), "cosine of each concept's images"))
    if 1 < len(view.concepts) <= 6:
        apart = distances(view)
        rows = [
            (f"within {letter(view.places[one])}", colour(view.places[one]), each) for one, each in apart.within.items()
        ]
        rows += [
            (f"{letter(view.places[one])} to {letter(view.places[other])}", "grey", each)
            for (one, other), each in apart.between.items()
        ]
        parts.append(_figure(boxes(rows, "Euclidean distance"), "how far apart images are"))
    return joined(parts)


@lru_cache(NEURONS)
def _tiles(bank: OpenedBank, direction: int, band: float) -> list[Html]:
    """The picture of each exemplar of a direction, the same whatever it is split into."""
    view, facts = bank.direction(direction, band), bank.facts(direction, band)
    said = [f", rank {rank + 1}, activation {value:.3g}" for rank, value in enumerate(view.activation.tolist())]
    rows = zip(view.image_ids.tolist(), facts, said, strict=True)
    return [tile(bank.run, image_id, fact, text, place=rank) for rank, (image_id, fact, text) in enumerate(rows)]


def _heading(bank: OpenedBank, own: bool, place: int, concept: Concept, titles: Titles) -> Html:
    named: object = f"concept {letter(place)}"
    if own:
        named = element("a", f"concept {concept.number}", href=f"{bank.place().base}/concept/{concept.number}")
    return element("h3", chip(place), " ", named, " ", called(titles.of(concept.key)), marks(titles.said(concept.key)))


def _facts(view: NeuronView, concept: Concept) -> Html:
    lines = [counted(concept.size, "image")]
    if labels := view.labels.commonest(concept.image_ids, 4, 40):
        lines.append(labels)
    if view.start is not None:
        lines.append(f"cosine with the {view.bank.start_name} {concept.vector @ view.start:.2f}")
    known = (("separation", concept.separation), ("p", concept.p_value), ("stability", concept.stability))
    lines += [f"{name} {number(value)}" for name, value in known if value is not None]
    return element("p", " · ".join(lines), class_="faint")


def chip(place: int) -> Html:
    """The letter of a concept in its colour."""
    return element("span", letter(place), class_=f"chip dye-{colour(place)}")


def _map(bank: OpenedBank, found: Cut) -> Html:
    """Thumbnails where the exemplars lie, each moved to a cell of its own and framed in the colour of its concept."""
    view = found.view
    if len(view.image_ids) < 3:
        return Html()
    cells = free_cells(bank.plane(view.direction, view.band, len(view.image_ids)), aspect=1.5, room=ROOM)
    facts = bank.facts(view.direction, view.band)
    wide, high = (int(each) + 1 for each in cells.max(0))
    parts = []
    for rank, (across, up) in enumerate(cells.tolist()):
        kind = colour(view.places.get(int(view.concept[rank])))
        left, top = across * CELL + 2, (high - 1 - up) * CELL + 2
        source = address(bank.run, int(view.image_ids[rank]))
        tip = element("title", described(int(view.image_ids[rank]), facts[rank]))
        inside = Html()
        if source is not None:
            inside = element(
                "image",
                href=source,
                x=left,
                y=top,
                width=CELL - 4,
                height=CELL - 4,
                preserveAspectRatio="xMidYMid slice",
            )
        frame = element("rect", x=left, y=top, width=CELL - 4, height=CELL - 4, class_=f"frame {kind}")
        parts.append(element("g", tip, inside, frame))
    name = f"map of the exemplars of {view.name}"
    box = {"viewBox": f"0 0 {wide * CELL} {high * CELL}"}
    return element("svg", *parts, role="img", aria_label=name, class_="map", **box)


def _figure(content: Html, caption: str) -> Html:
    return element("figure", content, element("figcaption", caption))
