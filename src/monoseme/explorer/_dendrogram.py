"""The tree of a neuron's exemplars as a picture that fills whatever room there is; the line across it is the page's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..base.html import Html, element, joined
from ..views.charts import branches, colour, told
from ._cut import Cut

WIDE, HIGH, LEAF = 1000, 300, 10


def dendrogram(found: Cut) -> Html:
    """Branches in the colours of concepts, a mark in it below each exemplar, and a dot at each node that was tested.

    The picture is stretched to its place, while lines and dots keep their size: a dot is a line of no length with a round end.
    """
    tree, view = found.tree, found.view
    count, most = len(tree.leaves), top_of(tree.heights)

    def x(at: float) -> str:
        return f"{(at + 0.5) * WIDE / count:.1f}"

    def y(height: float) -> str:
        return f"{HIGH * (1 - height / most):.1f}"

    leaves: dict[str, list[str]] = {}
    for at, concept in enumerate(view.concept[tree.leaves].tolist()):
        mark = f"M{at * WIDE / count:.1f} {HIGH + LEAF / 2}h{WIDE / count:.1f}"
        leaves.setdefault(colour(view.places.get(concept)), []).append(mark)
    parts = branches(tree, view, x, y)
    parts += [element("path", d="".join(each), class_=f"leaf {kind}") for kind, each in leaves.items()]
    parts += _dots(found, x, y)
    name = f"Ward tree of the {count} strongest images of {view.name}; it ends at {tree.heights.max(initial=0):.4g}"
    box = {"viewBox": f"0 0 {WIDE} {HIGH + LEAF}", "preserveAspectRatio": "none"}
    heights = ",".join(f"{height:.8g}" for height in tree.heights)
    return element(
        "svg", element("title", name), *parts, role="img", aria_label=name, data_most=repr(most), data_heights=heights,
        data_threshold=None if tree.cut is None else repr(tree.cut), **box,
    )  # fmt: skip


def top_of(heights: np.ndarray) -> float:
    """The height at the upper edge of the picture: a little above the highest merge."""
    most = float(heights.max(initial=0)) * 1.06
    return most if most > 0 else 1.0


def _dots(found: Cut, x: Callable[[float], str], y: Callable[[float], str]) -> list[Html]:
    tree = found.tree
    if tree.p_value is None or tree.divides is None:
        return []
    parts = []
    for node in np.flatnonzero(np.isfinite(tree.p_value)):
        at = (tree.left[node, 0] + tree.right[node, 0]) / 2
        divides = bool(tree.divides[node])
        tip = element("title", told(tree.p_value[node], divides))
        point = f"M{x(at)} {y(tree.heights[node])}h0.01"
        rings = [element("path", d=point, class_="spot")]
        rings += [] if divides else [element("path", d=point, class_="spot hole")]
        parts.append(element("g", tip, joined(rings)))
    return parts
