"""Exemplar grids: what a neuron fires for, and the concepts it splits into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank
from ..base import Labels, UsageError, counted, printable
from ..runs import Run
from ..views import NeuronView, Titles, view_neuron
from ._style import GREY, LINE, mark, new_figure
from ._tiles import GAP, TILE, strip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABEL = 190

Panel = tuple[str, str, npt.NDArray[np.uint8]]
"""Text, colour, and the picture beside it."""


def concept_grid(
    bank: ConceptBank,
    run: Run,
    direction: int,
    *,
    columns: int = 12,
    rows: int | None = None,
    dropped: bool = True,
    before: bool = False,
) -> Figure:
    """The exemplars of one direction, concept by concept, then those that were dropped.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from, for the thumbnails.
    direction : int
        Neuron number, or row of the directions.
    columns, rows : int
        Pictures a row, and rows for each concept at most: 2 by default, but all before dropping.
    dropped : bool
        Whether the exemplars that belong to no concept are shown as well.
    before : bool
        Show the clusters as they were before outliers and small clusters were dropped; those that were dropped come last and
        are pale.

    Raises
    ------
    UsageError
        The bank has no such direction, or belongs to another run.
    MonosemeError
        The run holds no thumbnails.
    MissingExtraError
        matplotlib is not installed.
    """
    view = view_neuron(bank, direction, run)
    if before:
        clusters = counted(len(np.unique(view.cluster)), "cluster")
        title = f"{view.name} of {bank.layer}: {clusters} before any image was dropped"
        return grid_figure(
            [(title, _cluster_panels(view, run, columns, rows or len(view.image_ids)))], columns * (TILE + GAP)
        )
    return grid_figure([(view.title, _panels(view, run, columns, rows or 2, dropped=dropped))], columns * (TILE + GAP))


def overview(bank: ConceptBank, run: Run, directions: Sequence[int], *, columns: int = 12) -> Figure:
    """Several directions, one below the other: the strongest images of each, and a row for each of its concepts.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from.
    directions : sequence of int
        Which directions.
    columns : int
        Pictures a row.
    """
    sections: list[tuple[str, list[Panel]]] = []
    for direction in directions:
        view = view_neuron(bank, direction, run)
        text = f"strongest images\nof {bank.start_name} {direction}"
        top = (text, GREY, np.asarray(strip(run, view.image_ids[:columns], columns)))
        sections.append(("", [top, *_panels(view, run, columns, rows=1, dropped=False)]))
    if not sections:
        raise UsageError("name at least one direction to show")
    return grid_figure(sections, columns * (TILE + GAP))


def _panels(view: NeuronView, run: Run, columns: int, rows: int, *, dropped: bool) -> list[Panel]:
    panels = []
    for place, group in enumerate(view.groups):
        ids = view.image_ids[group.places]
        given = ""
        if group.concept is not None:
            name, colour = f"concept {group.concept}", mark(place).colour
            given = given_name(view.bank, group.concept)
        elif dropped:
            name, colour = "dropped", GREY
        else:
            continue
        panels.append(
            (panel_text(name, ids, view.labels, given), colour, np.asarray(strip(run, ids[: columns * rows], columns)))
        )
    return panels


def _cluster_panels(view: NeuronView, run: Run, columns: int, rows: int) -> list[Panel]:
    panels = []
    for cluster in dict.fromkeys(view.cluster.tolist()):
        mine = view.cluster == cluster
        kept, out = np.flatnonzero(mine & (view.concept >= 0)), np.flatnonzero(mine & (view.concept < 0))
        places = np.concatenate([kept, out])
        name = f"cluster {cluster}" + (f", {len(out)} dropped" if len(out) else "")
        colour = mark(view.places[int(view.concept[kept[0]])]).colour if len(kept) else GREY
        ids = view.image_ids[places]
        picture = strip(run, ids[: columns * rows], columns, pale=range(len(kept), len(ids)))
        panels.append((panel_text(name, ids, view.labels), colour, np.asarray(picture)))
    return panels


def panel_text(name: str, image_ids: npt.NDArray[np.int64], labels: Labels, given: str = "") -> str:
    """What stands at the left of pictures: which they are, how many, and the given name or else their commonest label."""
    called = printable(given, 24) or labels.commonest(image_ids, 1, width=16)
    return f"{name}\n{counted(len(image_ids), 'image')}\n{called}".rstrip()


def given_name(bank: ConceptBank, concept: int) -> str:
    """The name that people gave to a concept by the time the bank was loaded; empty where they gave none."""
    return Titles(bank.annotations).of(bank[concept].key).given


def grid_figure(sections: list[tuple[str, list[Panel]]], across: int) -> Figure:
    """Panels `across` pixels wide below each other, each with a coloured bar and a label at its left; a pixel of a tile is a pixel at 100 dpi."""
    width = _LABEL + across + 10
    heights = [28 * bool(title) + sum(panel[2].shape[0] + 10 for panel in panels) for title, panels in sections]
    height = sum(heights) + 22 * (len(sections) - 1) + 20
    figure = new_figure(width, height)
    from matplotlib.patches import Rectangle

    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    y = 10.0
    for number, (title, panels) in enumerate(sections):
        if number:
            axes.plot([10, width - 10], [y + 6, y + 6], color=LINE, linewidth=1)
            y += 22
        if title:
            axes.text(10, y + 10, printable(title, 120), fontsize=11, fontweight="bold", va="center", parse_math=False)
            y += 28
        for text, colour, picture in panels:
            tall = picture.shape[0]
            axes.add_patch(Rectangle((_LABEL - 14, y), 6, tall, color=colour, linewidth=0))
            axes.text(_LABEL - 24, y + tall / 2, text, fontsize=9, ha="right", va="center", parse_math=False)
            axes.imshow(
                picture, extent=(_LABEL, _LABEL + picture.shape[1], y + tall, y), interpolation="none", aspect="auto"
            )
            y += tall + 10
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure
