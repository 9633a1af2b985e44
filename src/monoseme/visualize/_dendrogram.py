"""The Ward tree of a neuron's exemplars: where it was cut, how sure each split is, and the images at its leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..splitting import NodeTests
from ..views import NeuronView, TreeView, view_tree
from ._style import GREY, INK, mark, new_figure, plain, title
from ._tiles import tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _HIGH, _STEPS, _TILE = 70, 90, 380, 4, 44
_NAMED = 6


def dendrogram(view: NeuronView, tests: NodeTests | None = None) -> Figure:
    """The tree of a neuron's exemplars, coloured by concept.

    Parameters
    ----------
    view : NeuronView
        From `view_neuron`.
    tests : NodeTests, optional
        Where given, each node with enough images below it has a dot: a full one where the calibrated test finds more than
        one concept below it, an empty one where it does not; the highest show their p-values.

    Returns
    -------
    matplotlib.figure.Figure
        With the images below the leaves, where the run has thumbnails.
    """
    tree = view_tree(view, tests)
    count = len(tree.leaves)
    pitch = max(12.0, min(48.0, 1100 / count))
    pictures = view.run is not None and view.run.manifest.thumbnails is not None
    steps = min(_STEPS, max(1, int(np.ceil(_TILE / pitch))))
    below = steps * (_TILE + 2) + 10 if pictures else 10
    width, height = _LEFT + count * pitch + _RIGHT, _HIGH + below + 40
    figure = new_figure(width, height)
    axes = figure.add_axes((_LEFT / width, (below + 8) / height, count * pitch / width, _HIGH / height))
    _branches(axes, tree, view)
    if pictures:
        margin = _TILE / 2  # the outermost tiles stand out beyond their leaves
        leaves = figure.add_axes(
            ((_LEFT - margin) / width, 4 / height, (count * pitch + 2 * margin) / width, below / height)
        )
        _leaves(leaves, tree, view, pitch, steps)
    return figure


def _branches(axes: Axes, tree: TreeView, view: NeuronView) -> None:
    from matplotlib.collections import LineCollection

    lines = [
        [(left[0], left[1]), (left[0], high), (right[0], high), (right[0], right[1])]
        for left, right, high in zip(tree.left, tree.right, tree.heights, strict=True)
    ]
    colours = [_ink(view, int(concept)) for concept in tree.concept]
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=1.3, capstyle="round"))
    top = float(tree.heights.max(initial=1.0))
    axes.set_xlim(-0.5, len(tree.leaves) - 0.5)
    axes.set_ylim(0, 1.08 * top)
    axes.set_ylabel("Ward distance")
    plain(axes)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    title(axes, view.title)
    edge = len(tree.leaves) - 0.5
    if tree.cut is not None:
        axes.axhline(tree.cut, color=INK, linestyle="--", linewidth=1)
        axes.annotate(
            f"cut at {tree.cut:.3g}",
            (edge, tree.cut),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
        )
    if tree.p_value is not None and tree.divides is not None:
        _dots(axes, tree)


def _dots(axes: Axes, tree: TreeView) -> None:
    assert tree.p_value is not None
    assert tree.divides is not None
    across = (tree.left[:, 0] + tree.right[:, 0]) / 2
    tested = np.flatnonzero(np.isfinite(tree.p_value))
    full = tested[tree.divides[tested]]
    empty = tested[~tree.divides[tested]]
    axes.plot(
        across[empty],
        tree.heights[empty],
        "o",
        color=INK,
        markerfacecolor="white",
        markersize=5,
        label="one concept below",
    )
    axes.plot(across[full], tree.heights[full], "o", color=INK, markersize=6, label="more than one concept below")
    for node in tested[np.argsort(-tree.heights[tested], kind="stable")][:_NAMED]:
        text = f"p = {tree.p_value[node]:.2g}"
        at = (float(across[node]), float(tree.heights[node]))
        axes.annotate(text, at, xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK)
    axes.legend(
        axes.lines[-2:],
        ["tested: one concept below", "more than one"],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        fontsize=8,
        frameon=False,
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def _leaves(axes: Axes, tree: TreeView, view: NeuronView, pitch: float, steps: int) -> None:
    """Thumbnails below their leaves, in several rows where the leaves stand close."""
    assert view.run is not None
    wide, high = len(tree.leaves) * pitch, steps * (_TILE + 2) + 10
    axes.axis("off")
    for place, (rank, tile) in enumerate(
        zip(tree.leaves, tiles(view.run, view.image_ids[tree.leaves], _TILE), strict=True)
    ):
        centre, y = (place + 0.5) * pitch, 8 + place % steps * (_TILE + 2)
        ink = _ink(view, int(view.concept[rank]))
        axes.plot([centre, centre], [0, y], color=ink, linewidth=1)
        left, right = centre - _TILE / 2, centre + _TILE / 2
        axes.imshow(np.asarray(tile), extent=(left, right, y + _TILE, y), interpolation="none", aspect="auto", zorder=3)
        axes.plot([left, right], [y, y], color=ink, linewidth=2.5, solid_capstyle="butt", zorder=4)
    axes.set_xlim(-_TILE / 2, wide + _TILE / 2)
    axes.set_ylim(high, 0)


def _ink(view: NeuronView, concept: int) -> str:
    """The colour of a concept, grey for none."""
    return mark(view.places[concept]).colour if concept in view.places else GREY
