"""Charts of a page as safe HTML: numbers in, SVG elements and small pictures out.

Colours are classes; `style` gives the rules for them, in light and dark and on paper.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..base.html import Html, data_uri, element
from ._neuron import NeuronView
from ._tree import TreeView

_PALE, _DEEP = (247, 251, 255), (8, 48, 107)
COLOURS = 8
"""Classes c0, c1, ... that the style sheet has; more concepts than that begin again."""


def style() -> str:
    """The style sheet of charts and of what pages have in common: colours, tables, facts."""
    return (files(__package__) / "assets" / "shared.css").read_text(encoding="utf-8")


def colour(place: int | None) -> str:
    """The class of a concept's colour by its place among those of the neuron; grey for None."""
    return "grey" if place is None else f"c{place % COLOURS}"


def histogram(counts: Mapping[int, int], name: str) -> Html:
    """Bars of counts by number, with both written."""
    pitch, high, top = 64, 120, 18
    most = max(counts.values(), default=1)
    parts: list[Html] = [element("title", name)]
    for place, (number, count) in enumerate(counts.items()):
        middle, bar = place * pitch + pitch / 2, max(1.0, high * count / most)
        kind = "fill-grey" if number == 0 else "fill-c0"
        parts += [
            element("rect", x=_n(middle - 22), y=_n(top + high - bar), width=44, height=_n(bar), class_=kind),
            element("text", f"{count:,}", x=_n(middle), y=_n(top + high - bar - 4), text_anchor="middle"),
            element("text", number, x=_n(middle), y=top + high + 16, text_anchor="middle"),
        ]
    return _svg(parts, max(1, len(counts)) * pitch, top + high + 22, name)


def tree(shape: TreeView, view: NeuronView) -> Html:
    """A dendrogram: branches in the colours of concepts, the cut, and a dot where the test was made."""
    wide, high, left, top = 560, 170, 34, 10
    count, most = len(shape.leaves), float(shape.heights.max(initial=0)) or 1.0

    def x(at: float) -> str:
        return _n(left + (at + 0.5) * wide / count)

    def y(height: float) -> str:
        return _n(top + high * (1 - height / most))

    parts = [element("title", f"Ward tree of the exemplars of {view.name}"), *branches(shape, view, x, y)]
    if shape.cut is not None and shape.cut <= most:
        parts.append(element("path", d=f"M{left} {y(shape.cut)}H{left + wide}", class_="cut"))
    if shape.p_value is not None and shape.divides is not None:
        for node in np.flatnonzero(np.isfinite(shape.p_value)):
            at = (shape.left[node, 0] + shape.right[node, 0]) / 2
            tip = element("title", told(shape.p_value[node], shape.divides[node]))
            kind = "dot yes" if shape.divides[node] else "dot"
            parts.append(element("circle", tip, cx=x(at), cy=y(shape.heights[node]), r=4, class_=kind))
    parts += [
        element("text", f"{most:.3g}", x=left - 6, y=top + 8, text_anchor="end"),
        element("text", "0", x=left - 6, y=top + high, text_anchor="end"),
    ]
    return _svg(parts, left + wide + 10, top + high + 8, f"Ward tree of the exemplars of {view.name}")


def branches(shape: TreeView, view: NeuronView, x: Callable[[float], str], y: Callable[[float], str]) -> list[Html]:
    """The branches of a tree, a path for each colour; `x` and `y` say where a place and a height are drawn."""
    paths: dict[str, list[str]] = {}
    for low, up, height, concept in zip(shape.left, shape.right, shape.heights, shape.concept, strict=True):
        branch = f"M{x(low[0])} {y(low[1])}V{y(height)}H{x(up[0])}V{y(up[1])}"
        paths.setdefault(colour(view.places.get(int(concept))), []).append(branch)
    return [element("path", d="".join(each), class_=f"branch {kind}") for kind, each in paths.items()]


def told(p_value: float, divides: bool) -> str:
    """What the test of a node found, in words."""
    return f"p = {p_value:.2g}: {'more than one concept' if divides else 'one concept'} below"


def boxes(rows: Sequence[tuple[str, str, npt.ArrayLike]], name: str) -> Html:
    """Box plots on one scale: the least, the quartiles, the median and the greatest of each set of numbers.

    Parameters
    ----------
    rows : sequence
        Of text, class of the colour, and numbers.
    name : str
        What the numbers are.
    """
    values = [np.asarray(each, dtype=np.float64).reshape(-1) for _, _, each in rows]
    known = [each for each in values if len(each)]
    low = min([0.0, *(float(each.min()) for each in known)])
    high = max([low + 1e-9, *(float(each.max()) for each in known)])
    left, wide, pitch = 130, 300, 22

    def x(value: float) -> float:
        return left + wide * (value - low) / (high - low)

    parts: list[Html] = [element("title", name)]
    for number, ((text, kind, _), each) in enumerate(zip(rows, values, strict=True)):
        middle = 8 + number * pitch + pitch / 2
        parts.append(element("text", text, x=left - 8, y=_n(middle + 4), text_anchor="end"))
        if not len(each):
            continue
        least, first, median, third, greatest = (x(v) for v in np.quantile(each, [0, 0.25, 0.5, 0.75, 1]))
        tip = element("title", f"{text}: median {np.median(each):.3g} of {len(each):,}")
        parts += [
            element("path", d=f"M{_n(least)} {_n(middle)}H{_n(greatest)}", class_="whisker"),
            element(
                "rect",
                tip,
                x=_n(first),
                y=_n(middle - 7),
                width=_n(max(third - first, 1)),
                height=14,
                class_=f"fill-{kind}",
            ),
            element("path", d=f"M{_n(median)} {_n(middle - 7)}v14", class_="median"),
        ]
    bottom = 8 + len(rows) * pitch
    parts += [
        element("path", d=f"M{left} {bottom}H{left + wide}", class_="axis"),
        element("text", f"{low:.3g}", x=left, y=bottom + 15, text_anchor="start"),
        element("text", f"{high:.3g}", x=left + wide, y=bottom + 15, text_anchor="end"),
        element("text", name, x=left + wide / 2, y=bottom + 15, text_anchor="middle"),
    ]
    return _svg(parts, left + wide + 10, bottom + 20, name)


def matrix(values: npt.NDArray[np.float64], name: str, *, side: int = 200, reverse: bool = False) -> Html:
    """A square matrix as a picture, deep blue for alike; the diagonal does not count for the scale."""
    apart = values[~np.eye(len(values), dtype=np.bool_)]
    low, high = (float(apart.min()), float(apart.max())) if len(apart) else (0.0, 1.0)
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    share = 1 - share if reverse else share
    pale, deep = np.array(_PALE), np.array(_DEEP)
    pixels = (pale + share[..., None] * (deep - pale)).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    alt = f"{name}, from {low:.3g} to {high:.3g}"
    return element(
        "img",
        src=data_uri(buffer.getvalue(), "image/png"),
        alt=alt,
        title=alt,
        width=side,
        height=side,
        class_="matrix",
    )


def _svg(parts: Sequence[Html], width: float, height: float, name: str) -> Html:
    box = {"viewBox": f"0 0 {_n(width)} {_n(height)}", "width": _n(width), "height": _n(height)}
    return element("svg", *parts, role="img", aria_label=name, **box)


def _n(number: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{number:.1f}".removesuffix(".0")
