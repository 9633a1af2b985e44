"""Maps: the exemplars of a neuron, and all concepts of a layer, laid out so that alike ones are near each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..banks import ConceptBank
from ..base import UsageError, counted, printable
from ..runs import Run
from ..views import NeuronView, Projection, free_cells, plane, require_run
from ._grids import given_name
from ._style import COLOURS, GREY, Mark, mark, new_figure, panels, title
from ._tiles import tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE = 3


def exemplar_map(
    view: NeuronView, how: Projection = "tsne", *, dropped: bool = False, tile: int = 60, seed: int = 0
) -> Figure:
    """The exemplars of a neuron in a plane, each as its thumbnail in the colour of its concept; none covers another.

    Each thumbnail goes to a cell of a grid, such that all together move as little as possible.

    Parameters
    ----------
    view : NeuronView
        From `view_neuron` with a run, for the thumbnails.
    how : "tsne", "umap" or "pca"
        See `monoseme.views.plane`. UMAP is the paper's; it needs the extra and takes some ten seconds to start.
    dropped : bool
        Whether the exemplars of no concept are shown as well.
    tile : int
        Side of a thumbnail in pixels.
    seed : int
        Of the projection.

    Raises
    ------
    UsageError
        The view has no run, or there is nothing to show.
    MonosemeError
        The run holds no thumbnails.
    """
    if view.run is None:
        raise UsageError("a map shows thumbnails; make the view with the run: view_neuron(bank, direction, run)")
    groups = [group for group in view.groups if dropped or group.concept is not None]
    if not groups:
        raise UsageError(f"{view.name} of {view.bank.layer} has no concept; show what was dropped with dropped=True")
    places = np.concatenate([group.places for group in groups])
    cells = free_cells(plane(view.embeddings[places], how, seed=seed), aspect=1.5)
    marks = [Mark(GREY, "s") if group.concept is None else mark(place) for place, group in enumerate(groups)]
    own = [each for each, group in zip(marks, groups, strict=True) for _ in group.places]
    canvas = _on_grid(view.run, view.image_ids[places], cells, [each.colour for each in own], tile)
    head = 34 + 18 * len(groups)
    figure = new_figure(canvas.width + 20, canvas.height + head + 10)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(
        np.asarray(canvas),
        extent=(10, 10 + canvas.width, head + canvas.height, head),
        interpolation="none",
        aspect="auto",
    )
    axes.set_xlim(0, canvas.width + 20)
    axes.set_ylim(canvas.height + head + 10, 0)
    axes.text(10, 16, view.title, fontsize=10, fontweight="bold", va="center", parse_math=False)
    if len(view.concepts) > len(COLOURS):  # colours begin again, so that each thumbnail also shows its concept's marker
        top = int(cells[:, 1].max())
        for (column, row), each in zip(cells.tolist(), own, strict=True):
            x, y = 10 + column * (tile + 2) + 9, head + (top - row) * (tile + 2) + 9
            axes.plot([x], [y], each.marker, color=each.colour, markersize=8, markeredgecolor="white")
    for place, group in enumerate(groups):
        number = "dropped" if group.concept is None else f"concept {group.concept}"
        given = "" if group.concept is None else printable(given_name(view.bank, group.concept), 40)
        called = given or view.labels.commonest(view.image_ids[group.places], 3, width=24)
        y = 38 + 18 * place
        axes.plot([14], [y], marks[place].marker, color=marks[place].colour, markersize=7)
        text = f"{number}: {counted(len(group.places), 'image')}" + (f" ({called})" if called else "")
        axes.text(24, y, text, fontsize=8, va="center", parse_math=False)
    return figure


def concept_map(
    bank: ConceptBank,
    run: Run | None = None,
    how: Projection = "tsne",
    *,
    cells: int = 14,
    tile: int = 52,
    seed: int = 0,
) -> Figure:
    """All concepts of a layer in a plane: a point each, and beside it what is where.

    The second panel divides the plane into cells and shows, for each cell with concepts, the strongest image of the concept
    nearest to its middle (after Carter et al., Activation Atlas, Distill 2019).

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    run : Run, optional
        The run that it was made from, for the second panel.
    how : "tsne", "umap" or "pca"
        See `monoseme.views.plane`.
    cells : int
        Cells across, and up.
    tile : int
        Side of a cell in pixels.
    seed : int
        Of the projection.

    Raises
    ------
    UsageError
        The bank has no concepts, or was made from another run.
    """
    if len(bank) == 0:
        raise UsageError("the bank has no concepts to map; split with a finer granularity")
    if run is not None:
        require_run(bank, run)
    at = plane(bank.vectors, how, seed=seed)
    side = cells * (tile + 2)
    pictures = run is not None and run.manifest.thumbnails is not None
    figure, axes = panels(side * (2 if pictures else 1) + 140, side + 70, 2 if pictures else 1)
    known = bank.concepts["stability"].null_count == 0
    name = "stability" if known else "number of exemplars"
    value = bank.concepts["stability" if known else "size"].to_numpy()
    shown = axes[0].scatter(
        at[:, 0], at[:, 1], c=value, s=max(4.0, min(24.0, 20_000 / len(at))), cmap="viridis", linewidths=0
    )
    bar = figure.colorbar(shown, ax=axes[0], shrink=0.6, label=name)
    bar.ax.tick_params(labelsize=7)
    title(axes[0], f"{len(bank):,} concepts of {bank.layer}")
    if run is not None and pictures:
        _atlas(axes[1], bank, run, at, cells, tile)
    for each in axes:
        each.set_xticks([])
        each.set_yticks([])
        each.spines[:].set_visible(False)
    return figure


def _atlas(axes: object, bank: ConceptBank, run: Run, at: npt.NDArray[np.float64], cells: int, tile: int) -> None:
    chosen, where = middle_of_cells(at, cells)
    best = bank.top["image_id"].to_numpy().reshape(len(bank), -1)[chosen, 0]
    canvas = _on_grid(run, best, where, ["#ffffff"] * len(chosen), tile, columns=cells, rows=cells)
    axes.imshow(np.asarray(canvas), interpolation="none")  # type: ignore[attr-defined]
    title(axes, "the strongest image of a concept in each part")  # type: ignore[arg-type]


def middle_of_cells(at: npt.NDArray[np.float64], cells: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each cell of a grid over points (n, 2) that holds any, the point nearest to its middle, and the cell (column, row).

    >>> middle_of_cells(np.array([[0.0, 0], [0.2, 0.2], [1, 1]]), 2)
    (array([1, 2]), array([[0, 0],
           [1, 1]]))
    """
    low, span = at.min(0), np.ptp(at, axis=0)
    scaled = (at - low) / np.where(span > 0, span, 1) * cells
    where = np.minimum(scaled.astype(np.int64), cells - 1)
    off = ((scaled - where - 0.5) ** 2).sum(1)
    code = where[:, 0] * cells + where[:, 1]
    order = np.lexsort((off, code))
    first = order[np.flatnonzero(np.diff(code[order], prepend=-1))]
    return first, where[first]


def _on_grid(
    run: Run,
    image_ids: npt.NDArray[np.int64],
    cells: npt.NDArray[np.int64],
    colours: list[str],
    tile: int,
    *,
    columns: int | None = None,
    rows: int | None = None,
) -> Image.Image:
    """Thumbnails with coloured edges at (column, row) on white, rows counted from the bottom."""
    columns, rows = columns or int(cells[:, 0].max()) + 1, rows or int(cells[:, 1].max()) + 1
    pitch = tile + 2
    canvas = Image.new("RGB", (columns * pitch, rows * pitch), "white")
    draw = ImageDraw.Draw(canvas)
    inner = tile - 2 * _EDGE
    for picture, (column, row), colour in zip(tiles(run, image_ids, inner), cells.tolist(), colours, strict=True):
        x, y = column * pitch, (rows - 1 - row) * pitch
        draw.rectangle((x, y, x + tile - 1, y + tile - 1), fill=colour)
        canvas.paste(picture, (x + _EDGE, y + _EDGE))
    return canvas
