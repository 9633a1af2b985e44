"""Where in its exemplars a concept is: heatmaps laid over the photographs, and what the peaks see."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ..banks import Concept, ConceptBank
from ..base import Reporter, UsageError, counted
from ..images import ImageSource
from ..runs import Run, model_of, originals
from ..use import Heatmaps, concept_crops, heatmaps, mean_embedding, receptive_field
from ..views import require_run
from ._grids import Panel, given_name, grid_figure, panel_text
from ._overlay import overlay
from ._style import GREY, mark

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..models import Model

TILE, _GAP = 150, 6
_FINE = 2  # overlays are drawn so many times as large and then reduced, for smooth lines


def heatmap_grid(
    bank: ConceptBank,
    run: Run,
    direction: int | None = None,
    concepts: Sequence[int] | None = None,
    *,
    model: Model | str | None = None,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None,
    columns: int = 6,
    crops: bool = True,
    start: bool = False,
    lens: Lens | None = None,
    progress: Reporter | None = None,
) -> Figure:
    """The strongest exemplars of each concept of a direction, with the place where the concept is, and what is there.

    Photographs are as they are where a concept's heatmap reaches half of its peak in the picture, and fade elsewhere; zero is
    the average image of the run. Each picture has its own peak: the figure says where, not how much. Below are the crops
    round the peaks, as large as the effective receptive field.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from.
    direction : int, optional
        Whose concepts: a neuron's number, or a row of the directions.
    concepts : sequence of int, optional
        In place of a direction, which concepts.
    model : Model or str, optional
        The run's model; by default loaded as the run records it.
    images : optional
        Where the images are; by default where they were when the run was made.
    columns : int
        Exemplars of each concept.
    crops : bool
        Whether crops are shown.
    start : bool
        Whether the heatmap of the direction itself is shown too, on the same pictures, in grey.
    lens : Lens, optional
        In place of model and images, for several figures of one bank.
    progress : Reporter, optional
        Told of the forward passes.

    Raises
    ------
    UsageError
        The bank has no such direction or concept, belongs to another run, or model or images are not at hand.
    MonosemeError
        An image has changed or is gone.
    MissingExtraError
        matplotlib is not installed.
    """
    require_run(bank, run)
    if (direction is None) == (concepts is None):
        raise UsageError("name either a direction or concepts to show")
    if columns < 1:
        raise UsageError(f"show at least one exemplar of each concept, not {columns}")
    chosen = bank.for_direction(direction) if direction is not None else [bank[number] for number in concepts or ()]
    if not chosen:
        raise UsageError("there is no concept to show" + ("" if direction is None else f" in direction {direction}"))
    labels = run.shown_labels()
    panels: list[Panel] = []
    lens = lens or Lens(bank, run, model=model, images=images, progress=progress)
    for place, concept in enumerate(chosen):
        vectors = [concept.vector, *([_start(bank, concept)] if start else [])]
        maps, pictures = lens.look(concept.image_ids[:columns], np.stack(vectors))
        colour = mark(place).colour
        given = given_name(bank, concept.number)
        text = panel_text(f"concept {concept.number}", concept.image_ids, labels, given)
        panels.append((text, colour, _row(overlaid(maps, pictures, 0, colour, TILE), columns)))
        if start:
            text = f"{bank.start_name} {concept.direction}\non the same"
            panels.append((text, GREY, _row(overlaid(maps, pictures, 1, GREY, TILE), columns)))
        if crops:
            cut = [each[0].picture for each in concept_crops(maps, pictures)]
            panels.append(("what its\npeaks see", colour, _row(cut, columns)))
    what = f"{bank.start_name} {direction}" if direction is not None else counted(len(chosen), "concept")
    title = f"{what} of {bank.layer}: where in the pictures the concepts are"
    return grid_figure([(title, panels)], columns * (TILE + _GAP))


def _start(bank: ConceptBank, concept: Concept) -> npt.NDArray[np.float32]:
    """The direction that a concept was found from, in the bank's frame."""
    start = bank.start(concept.direction)
    if start is None:
        raise UsageError("the bank was made from scores, which are no directions and have no heatmap")
    return start


class Finder:
    """Looks for concepts in any pictures; the model's receptive field and the average image are read once.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from.
    model : Model
        The run's model.
    progress : Reporter, optional
        Told of the forward passes.
    """

    def __init__(self, bank: ConceptBank, run: Run, model: Model, progress: Reporter | None = None) -> None:
        self._bank, self._model, self._progress = bank, model, progress
        self._field = receptive_field(model, bank.layer)
        self._average = mean_embedding(run.activations(bank.layer, bank.pooling))

    def __call__(self, pictures: Sequence[Image.Image], vectors: npt.NDArray[np.float32]) -> Heatmaps:
        """The heatmaps of vectors (R, C) of the bank's frame on pictures, zero for the average image."""
        return heatmaps(
            self._bank,
            self._model,
            pictures,
            vectors,
            centre=self._average,
            field=self._field,
            progress=self._progress,
        )


class Lens:
    """Looks for concepts in a run's own photographs; the model, its receptive field and the average image are read once.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from.
    model, images : optional
        As `heatmap_grid` takes them.
    progress : Reporter, optional
        Told of the forward passes.

    Raises
    ------
    UsageError
        Model or images are not at hand.
    """

    def __init__(
        self,
        bank: ConceptBank,
        run: Run,
        *,
        model: Model | str | None = None,
        images: object | None = None,
        progress: Reporter | None = None,
    ) -> None:
        network = model_of(run, model)
        self._originals = originals(run, images)
        self._find = Finder(bank, run, network, progress)

    def look(
        self, image_ids: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32]
    ) -> tuple[Heatmaps, list[Image.Image]]:
        """The heatmaps of vectors (R, C) on images, zero for the average image, and these images."""
        with self._originals as photographs:  # closed in between; files open again when they are asked for
            pictures = photographs.load(image_ids)
        return self._find(pictures, vectors), pictures


def overlaid(maps: Heatmaps, pictures: Sequence[Image.Image], row: int, colour: str, size: int) -> list[Image.Image]:
    """Each picture, at most `size` pixels long, with what one of the vectors finds in it."""
    made = []
    for number, picture in enumerate(pictures):
        large = ImageOps.contain(picture, (size * _FINE, size * _FINE), Image.Resampling.LANCZOS)
        heat = maps.on_picture(number, row, large.size)
        fine = overlay(large, heat, colour=colour, line=2.0 * _FINE)
        made.append(ImageOps.contain(fine, (size, size), Image.Resampling.LANCZOS))
    return made


def _row(pictures: Sequence[Image.Image], columns: int) -> npt.NDArray[np.uint8]:
    """A row of whole pictures, each in the middle of its tile, on white; as high as the highest."""
    tiles = [ImageOps.contain(picture, (TILE, TILE), Image.Resampling.LANCZOS) for picture in pictures]
    tall = max(tile.height for tile in tiles)
    canvas = Image.new("RGB", (columns * (TILE + _GAP) - _GAP, tall), "white")
    for place, tile in enumerate(tiles):
        canvas.paste(tile, (place * (TILE + _GAP) + (TILE - tile.width) // 2, (tall - tile.height) // 2))
    return np.asarray(canvas)
