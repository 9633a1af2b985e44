"""How alike the exemplars of a neuron are: matrices in the order of its concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..views import METRICS, NeuronView, similarities
from ._style import mark, new_figure, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES = {"cosine": "cosine", "pearson": "Pearson", "euclidean": "distance"}
_SIDE, _PITCH = 240, 330


def similarity_matrices(view: NeuronView) -> Figure:
    """Cosine, Pearson's correlation and Euclidean distance of each two exemplars of a neuron, concept by concept.

    For neurons also without the neuron's own coordinate, in which its exemplars are alike by choice.

    Parameters
    ----------
    view : NeuronView
        From `view_neuron`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    variants = [None] if view.neuron is None else [None, view.neuron]
    wide, high = len(METRICS) * _PITCH + 30, len(variants) * _PITCH + 40
    figure = new_figure(wide, high)
    figure.suptitle(
        view.title, x=0.01, y=1 - 10 / high, ha="left", va="top", fontsize=10, fontweight="bold", parse_math=False
    )
    for row, without in enumerate(variants):
        for column, metric in enumerate(METRICS):
            matrix = similarities(view.embeddings, metric, without=without)[np.ix_(view.order, view.order)]
            apart = matrix[~np.eye(len(matrix), dtype=np.bool_)]
            least, most = (float(apart.min()), float(apart.max())) if len(apart) else (0.0, 1.0)
            left, bottom = 40 + column * _PITCH, high - 60 - row * _PITCH - _SIDE
            each = figure.add_axes((left / wide, bottom / high, _SIDE / wide, _SIDE / high))
            colours = "viridis_r" if metric == "euclidean" else "viridis"  # bright is alike in all of them
            shown = each.imshow(matrix, cmap=colours, vmin=least, vmax=most, interpolation="nearest")
            _bounds(each, view)
            name = _NAMES[metric] if without is None else f"{_NAMES[metric]} without neuron {without}"
            title(each, name)
            beside = figure.add_axes(((left + _SIDE + 8) / wide, bottom / high, 10 / wide, _SIDE / high))
            bar = figure.colorbar(shown, cax=beside)
            bar.ax.tick_params(labelsize=7)
    return figure


def _bounds(axes: Axes, view: NeuronView) -> None:
    """White lines between concepts, and a bar of each one's colour at the left."""
    from matplotlib.patches import Rectangle
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(axes.transAxes, axes.transData)
    begin, ticks, names = 0, [], []
    for place, group in enumerate(view.groups):
        end = begin + len(group.places)
        if begin:
            axes.axhline(begin - 0.5, color="white", linewidth=1)
            axes.axvline(begin - 0.5, color="white", linewidth=1)
        if group.concept is not None:
            bar = Rectangle(
                (-0.035, begin - 0.5),
                0.02,
                end - begin,
                color=mark(place).colour,
                linewidth=0,
                transform=across,
                clip_on=False,
            )
            axes.add_patch(bar)
        ticks.append((begin + end - 1) / 2)
        names.append("dropped" if group.concept is None else str(group.concept))
        begin = end
    axes.set_xticks([])
    axes.set_yticks(ticks, names, fontsize=7, rotation=90, va="center")
    axes.tick_params(length=0, pad=8)
    axes.spines[:].set_visible(False)
