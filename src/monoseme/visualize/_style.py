"""How figures look: colours that colour-blind readers tell apart, sizes in pixels, and how figures become files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import MissingExtraError, UsageError, join_words, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#8c8c8c"
"""For what belongs to no concept."""
LINE = "#d0d0d0"
INK = "#222222"

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""The palette of Okabe and Ito (2008), told apart by colour-blind readers."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FORMATS = ("png", "svg", "pdf")
DPI = 100


class Mark(NamedTuple):
    """How the members of a class are drawn."""

    colour: str
    marker: str


def mark(number: int) -> Mark:
    """Colour and marker of a class: no two of the first 64 are alike, and neighbours differ in both.

    >>> len({mark(number) for number in range(64)})
    64
    """
    turn, place = divmod(number, len(COLOURS))
    return Mark(COLOURS[place], MARKERS[(place + turn) % len(MARKERS)])


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many pixels, which shows itself in notebooks.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing a picture", package="matplotlib", extra="visualize") from error

    class Picture(Figure):
        """A figure without pyplot: nothing keeps it alive but who holds it, and notebooks ask it for its picture."""

        def _repr_png_(self) -> bytes:
            return rendered(self, "png")

    return Picture(figsize=(width / DPI, height / DPI), dpi=DPI)


def panels(width: float, height: float, columns: int, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of plain axes, row by row."""
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    for each in axes:
        plain(each)
    return figure, axes


def plain(axes: Axes) -> None:
    """Only the lines that carry something."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=GREY)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)


def title(axes: Axes, text: str) -> None:
    """A heading at the left, drawn as it is: a label may look like mathematics."""
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold", parse_math=False)


def rendered(figure: Figure, suffix: str) -> bytes:
    """A figure as the bytes of a PNG, SVG or PDF file; the same figure gives the same bytes."""
    from matplotlib import rc_context

    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "monoseme"}):
        figure.savefig(buffer, format=suffix, metadata=dated.get(suffix))
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a .png, .svg or .pdf file, whole or not at all.

    Raises
    ------
    UsageError
        The suffix is another one.
    MonosemeError
        The file cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise UsageError(f"figures are written as {join_words(FORMATS)}, not {target.suffix or 'without a suffix'}")
    write_whole(target, rendered(figure, suffix))
    return target
