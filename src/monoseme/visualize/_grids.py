"""Exemplar grids: what a neuron fires for, and the concepts it splits into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ..banks import Concept, ConceptBank
from ..base import MissingExtraError, UsageError, counted
from ..runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers; the first is for what belongs to no concept.
GREY = "#8c8c8c"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

_TILE, _GAP, _LABEL = 88, 6, 190


def concept_grid(
    bank: ConceptBank, run: Run, direction: int, *, columns: int = 12, rows: int = 2, dropped: bool = True
) -> Figure:
    """The exemplars of one direction, concept by concept, then those that were dropped.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from, for the thumbnails.
    direction : int
        Neuron number, or row of the directions.
    columns, rows : int
        Pictures a row, and rows for each concept at most.
    dropped : bool
        Whether the exemplars that belong to no concept are shown as well.

    Raises
    ------
    UsageError
        The bank has no such direction, or belongs to another run.
    MonosemeError
        The run holds no thumbnails.
    MissingExtraError
        matplotlib is not installed.
    """
    panels = _panels(bank, run, direction, columns, rows, dropped=dropped)
    title = f"{start_name(bank)} {direction} of {bank.layer}: {counted(len(bank.for_direction(direction)), 'concept')}"
    return figure_of([(title, panels)], columns * (_TILE + _GAP))


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
    sections = []
    for direction in directions:
        ids = bank.exemplars_of(direction)["image_id"].to_numpy()[:columns]
        top = (f"strongest images\nof {start_name(bank)} {direction}", GREY, _strip(run, ids, columns))
        sections.append(("", [top, *_panels(bank, run, direction, columns, rows=1, dropped=False)]))
    if not sections:
        raise UsageError("name at least one direction to show")
    return figure_of(sections, columns * (_TILE + _GAP))


Panel = tuple[str, str, npt.NDArray[np.uint8]]


def _panels(bank: ConceptBank, run: Run, direction: int, columns: int, rows: int, *, dropped: bool) -> list[Panel]:
    check_run(bank, run)
    panels = []
    for place, concept in enumerate(bank.for_direction(direction)):
        strip = _strip(run, concept.image_ids[: columns * rows], columns)
        panels.append((concept_label(run, concept), COLOURS[place % len(COLOURS)], strip))
    exemplars = bank.exemplars_of(direction)
    out = exemplars["image_id"].to_numpy()[exemplars["concept"].is_null().to_numpy(zero_copy_only=False)]
    if dropped and len(out):
        panels.append((f"dropped\n{counted(len(out), 'image')}", GREY, _strip(run, out[: columns * rows], columns)))
    return panels


def check_run(bank: ConceptBank, run: Run) -> None:
    """Raise a `UsageError` when a bank was not made from a run."""
    made_from = bank.info.get("activations", {})
    if made_from.get("images") != len(run) or made_from.get("listing_digest") not in (
        None,
        run.manifest.images["digest"],
    ):
        raise UsageError(
            f"the bank was not made from {run.path}, which holds {len(run):,} images; give the run it was made from"
        )


def concept_label(run: Run, concept: Concept) -> str:
    """What stands at the left of a concept's pictures: number, images, commonest label."""
    label = commonest(run, concept.image_ids, 1, width=16)
    return f"concept {concept.number}\n{counted(concept.size, 'image')}\n{label}".rstrip()


def commonest(run: Run, image_ids: npt.ArrayLike, limit: int = 3, width: int = 60) -> str:
    """The commonest labels of some images, as ``apple 21, tomato 6``; empty where there are no labels."""
    labels = [label for label in run.images(image_ids, ["label"])["label"].to_pylist() if label is not None]
    order = sorted(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{printable(name, width)} {count}" for name, count in order[:limit])


def printable(text: str, limit: int = 60) -> str:
    """Text from elsewhere made fit for a terminal or a figure: no control or direction marks, bounded length."""
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _strip(run: Run, image_ids: npt.NDArray[np.int64], columns: int) -> npt.NDArray[np.uint8]:
    """Rows of square tiles on white."""
    lines = max(1, -(-len(image_ids) // columns))
    pitch = _TILE + _GAP
    canvas = Image.new("RGB", (columns * pitch - _GAP, lines * pitch - _GAP), "white")
    for place, thumbnail in enumerate(run.thumbnails(image_ids)):
        tile = ImageOps.fit(thumbnail, (_TILE, _TILE), Image.Resampling.LANCZOS)
        canvas.paste(tile, (place % columns * pitch, place // columns * pitch))
    return np.asarray(canvas)


def figure_of(sections: list[tuple[str, list[Panel]]], across: int) -> Figure:
    """Panels `across` pixels wide below each other, each with a coloured bar and a label at its left; a pixel of a tile is a pixel at 100 dpi."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError as error:
        raise MissingExtraError("drawing a picture", package="matplotlib", extra="visualize") from error
    width = _LABEL + across + 10
    heights = [28 * bool(title) + sum(panel[2].shape[0] + 10 for panel in panels) for title, panels in sections]
    height = sum(heights) + 22 * (len(sections) - 1) + 20
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    y = 10.0
    for number, (title, panels) in enumerate(sections):
        if number:
            axes.plot([10, width - 10], [y + 6, y + 6], color="#d0d0d0", linewidth=1)
            y += 22
        if title:
            axes.text(10, y + 10, printable(title, 120), fontsize=11, fontweight="bold", va="center")
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


def start_name(bank: ConceptBank) -> str:
    """What a bank calls its directions."""
    kind = bank.info.get("parameters", {}).get("directions", "neurons")
    return {"neurons": "neuron", "svd": "singular direction", "scores": "score"}.get(kind, "direction")
