"""What concept vectors are made of, which singular directions they are near, and how many concepts neurons have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank
from ..base import UsageError
from ..views import NeuronView, composition
from ._style import GREY, INK, mark, panels, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STRONGEST = 12
_WORTH_NAMING = 0.15


def concept_composition(view: NeuronView) -> Figure:
    """Each concept vector of a neuron by its components: all of them in order, and the strongest by their neurons.

    Parameters
    ----------
    view : NeuronView
        From `view_neuron`.

    Raises
    ------
    UsageError
        The neuron has no concept.
    """
    if not view.concepts:
        raise UsageError(f"{view.name} of {view.bank.layer} has no concept vector; choose another one")
    figure, axes = panels(1000, 60 + 190 * len(view.concepts), 2, len(view.concepts), width_ratios=[3, 2])
    for place, concept in enumerate(view.concepts):
        line, bars = axes[2 * place], axes[2 * place + 1]
        colour = mark(place).colour
        line.plot(concept.vector, color=colour, linewidth=0.7)
        line.axhline(0, color=GREY, linewidth=0.6)
        line.set_xlim(0, len(concept.vector) - 1)
        line.set_ylabel(f"concept {concept.number}")
        made_of = composition(concept.vector, _STRONGEST)
        rows = np.arange(len(made_of.neurons))[::-1]
        bars.barh(
            rows,
            made_of.values,
            color=[INK if neuron == view.neuron else colour for neuron in made_of.neurons.tolist()],
            height=0.7,
        )
        bars.set_yticks(rows, [str(neuron) for neuron in made_of.neurons], fontsize=7)
        bars.axvline(0, color=GREY, linewidth=0.6)
        bars.set_title(f"{made_of.share:.0%} of its squared length", loc="right", fontsize=8, color=GREY)
    axes[-2].set_xlabel("neuron")
    axes[-1].set_xlabel("component")
    title(axes[0], view.title)
    return figure


def singular_similarity(view: NeuronView, singular: npt.ArrayLike, *, named: int = 3) -> Figure:
    """The cosine of each concept vector of a neuron, and of the neuron itself, with each singular direction of the layer.

    Parameters
    ----------
    view : NeuronView
        From `view_neuron`.
    singular : (R, C) array
        The directions, as ``svd_directions(acts)[1]`` gives them.
    named : int
        How many of the nearest to name, of those with a cosine worth it.

    Raises
    ------
    UsageError
        The neuron has no concept, or the directions have another width.
    """
    if not view.concepts:
        raise UsageError(f"{view.name} of {view.bank.layer} has no concept vector; choose another one")
    cosines = view.bank.cosines(singular)
    rows = [
        (f"concept {concept.number}", mark(place).colour, cosines[concept.number])
        for place, concept in enumerate(view.concepts)
    ]
    if view.start is not None:
        rows.append((view.name, GREY, np.asarray(singular, dtype=np.float32) @ view.start))
    from matplotlib.ticker import NullLocator

    figure, axes = panels(900, 60 + 150 * len(rows), 1, len(rows), sharex=True, sharey=True)
    for each, (name, colour, values) in zip(axes, rows, strict=True):
        order = np.arange(len(values))
        each.vlines(order, 0, values, color=colour, linewidth=0.9)
        each.axhline(0, color=GREY, linewidth=0.6)
        each.set_xscale("symlog", linthresh=1)
        each.set_xticks([0, *(10**power for power in range(6) if 10**power < len(values))], minor=False)
        each.xaxis.set_minor_locator(NullLocator())
        each.set_ylabel(name)
        nearest = [p for p in np.argsort(-np.abs(values), kind="stable")[:named] if abs(values[p]) >= _WORTH_NAMING]
        text = ", ".join(f"{place} ({values[place]:.2f})" for place in nearest)
        each.set_title(f"nearest: {text}" if text else "", loc="right", fontsize=8, color=GREY)
    axes[-1].set_xlabel("singular direction, the strongest first")
    title(axes[0], f"cosine with the singular directions: {view.title}")
    return figure


def concept_histogram(bank: ConceptBank) -> Figure:
    """How many directions have how many concepts, as the paper counts them.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    """
    counts = bank.histogram()
    numbers = np.arange(max(counts, default=0) + 1)
    heights = [counts.get(int(number), 0) for number in numbers]
    text = f"{len(bank):,} concepts of {len(np.unique(bank.directions)):,} {bank.start_name}s of {bank.layer}"
    figure, [axes] = panels(max(100 + 8 * len(text), 140 + 60 * len(numbers)), 320, 1)
    bars = axes.bar(numbers, heights, color=[GREY if number == 0 else mark(0).colour for number in numbers], width=0.75)
    axes.bar_label(bars, [f"{height:,}" for height in heights], fontsize=8, padding=2)
    axes.set_xticks(numbers)
    axes.set_xlabel("concepts")
    axes.set_ylabel(f"{bank.start_name}s")
    axes.margins(y=0.12)
    title(axes, text)
    return figure
