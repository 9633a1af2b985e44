"""Box plots: how strongly exemplars fire, how far apart they are, how they lie to their concept and to the neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..base import UsageError
from ..views import NeuronView, alignments, distances
from ._style import GREY, INK, mark, panels, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = npt.NDArray[np.floating]
_BOX, _HIGH = 62, 340


def activation_boxes(view: NeuronView) -> Figure:
    """How strongly the neuron fires for the exemplars of each concept, and for those that were dropped.

    Parameters
    ----------
    view : NeuronView
        From `view_neuron`.
    """
    names = ["dropped" if group.concept is None else f"concept\n{group.concept}" for group in view.groups]
    figure, [axes] = panels(140 + _BOX * max(len(names), 5), _HIGH, 1)
    _boxes(axes, [view.activation[group.places] for group in view.groups], names, _colours(view, dropped=True))
    axes.set_ylabel(f"activation of {view.name}")
    title(axes, view.title)
    return figure


def distance_boxes(view: NeuronView) -> Figure:
    """Euclidean distances within each concept and between each two (O'Mahony et al. 2023, figure 4).

    Raises
    ------
    UsageError
        The neuron has no concept.
    """
    _require_concepts(view)
    found = distances(view)
    pairs = list(found.between)
    figure, [axes] = panels(140 + _BOX * max(len(found.within) + len(pairs), 5), _HIGH, 1)
    _boxes(
        axes,
        [*found.within.values(), *found.between.values()],
        [*(f"within\n{number}" for number in found.within), *(f"{one}\nto {other}" for one, other in pairs)],
        [*_colours(view), *[GREY] * len(pairs)],
    )
    axes.set_ylabel("Euclidean distance")
    axes.set_ylim(bottom=0)
    title(axes, view.title)
    return figure


def alignment_boxes(view: NeuronView) -> Figure:
    """Projection and cosine of each concept's exemplars on its vector and on the neuron (O'Mahony et al. 2023, figure 5).

    Raises
    ------
    UsageError
        The neuron has no concept.
    """
    _require_concepts(view)
    found = alignments(view)
    scores = view.start is None
    per = 1 if scores else 2
    figure, axes = panels(160 + 2 * _BOX * max(per * len(found), 3), _HIGH, 2)
    for each, name in zip(axes, ("projection", "cosine"), strict=True):
        values, labels, colours = [], [], []
        for (number, alignment), colour in zip(found.items(), _colours(view), strict=True):
            values.append(getattr(alignment, name))
            labels.append(f"concept\n{number}")
            colours.append(colour)
            if not scores:
                values.append(getattr(alignment, f"{name}_start"))
                labels.append(view.name.replace(" ", "\n", 1))
                colours.append(GREY)
        _boxes(each, values, labels, colours)
        each.set_ylabel(f"{name} of its exemplars")
        each.axhline(0, color=GREY, linewidth=0.6)
    title(axes[0], view.title)
    return figure


def _boxes(axes: Axes, values: Sequence[Values], names: Sequence[str], colours: Sequence[str]) -> None:
    """A box for each set: median, quartiles, whiskers to 1.5 times the quartiles' distance, and what lies beyond."""
    made = axes.boxplot(
        [np.asarray(each) for each in values],
        tick_labels=list(names),
        widths=0.6,
        patch_artist=True,
        medianprops={"color": INK, "linewidth": 1.4},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": GREY},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
    )
    for box, colour in zip(made["boxes"], colours, strict=True):
        box.set(facecolor=colour, alpha=0.55, edgecolor=colour)


def _colours(view: NeuronView, *, dropped: bool = False) -> list[str]:
    groups = [group for group in view.groups if dropped or group.concept is not None]
    return [GREY if group.concept is None else mark(place).colour for place, group in enumerate(groups)]


def _require_concepts(view: NeuronView) -> None:
    if not view.concepts:
        raise UsageError(f"{view.name} of {view.bank.layer} has no concept to measure; choose another one")
