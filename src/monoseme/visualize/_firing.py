"""Where concepts fire in new images: what `apply_bank` has scored, drawn image by image into folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ..banks import ConceptBank
from ..base import MonosemeError, Reporter, Silent, UsageError, first_line, whole_folder
from ..images import ImageSource, open_images
from ..runs import Run, model_of
from ..use import Heatmaps, concept_crops, heatmaps, mean_embedding, receptive_field, run_of_bank
from ._heat import overlaid
from ._style import mark

if TYPE_CHECKING:
    from ..models import Model

INDEX = "index.parquet"
SIZE = 480
QUALITY = 88
_FIELDS = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("entry", pa.int64(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("level", pa.float32(), nullable=False),
        pa.field("box", pa.list_(pa.int32(), 4)),
    ]
)


@dataclass(frozen=True)
class FiringPictures:
    """What was drawn. Made by `firing_pictures`.

    images : how many images have a concept that fires
    pictures : how many heatmaps, or crops, were written, for one folder
    heatmaps, crops : the folders, None where not asked for
    """

    images: int
    pictures: int
    heatmaps: Path | None
    crops: Path | None

    def __repr__(self) -> str:
        return f"<{self.pictures:,} places where concepts fire in {self.images:,} images>"


def firing_pictures(
    bank: ConceptBank,
    scores: str | PathLike[str],
    *,
    heatmaps: str | PathLike[str] | None = None,
    crops: str | PathLike[str] | None = None,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None,
    concepts: Sequence[int] | None = None,
    most: int = 3,
    model: Model | str | None = None,
    run: Run | str | PathLike[str] | None = None,
    batch_size: int = 16,
    overwrite: bool = False,
    progress: Reporter | None = None,
) -> FiringPictures:
    """Draw where concepts fire in images that `apply_bank` has scored: heatmaps over the images, and crops of the places.

    A folder holds one JPEG for each image and concept that fires in it, as ``concept-12/000034.jpg`` for image 34 of the
    listing, and ``index.parquet``: file, entry, uri, concept, score, level (from which it fires), box (left, top, right,
    bottom in pixels of the image; of crops). Images are read and drawn some at a time. A folder is there when all is done, or
    not at all.

    Parameters
    ----------
    bank : ConceptBank
        That was applied.
    scores : path
        The file that `apply_bank` wrote.
    heatmaps, crops : path, optional
        The folders to make, one or both.
    images : optional
        Where the images are now, as `embed` takes them; by default where they were when they were scored.
    concepts : sequence of int, optional
        Which; all by default.
    most : int
        Concepts of an image at most, those first that lie farthest above their level.
    model, run : optional
        As `apply_bank` takes them.
    batch_size : int
        Images at a time.
    overwrite : bool
        Replace folders that this has made before.
    progress : Reporter, optional
        Told of images.

    Raises
    ------
    UsageError
        No folder is asked for, the file is of another bank, or model, run or images are not at hand.
    MonosemeError
        An image has changed since it was scored, or a folder cannot be written.
    """
    folders = {name: Path(each) for name, each in (("heatmaps", heatmaps), ("crops", crops)) if each is not None}
    if not folders or len({each.absolute() for each in folders.values()}) < len(folders):
        raise UsageError("name a folder for heatmaps, one for crops, or two different ones")
    if most < 1 or batch_size < 1:
        raise UsageError(f"draw at least one concept of at least one image at a time, not {most} of {batch_size}")
    for each in folders.values():
        if each.is_dir() and any(each.iterdir()) and not (each / INDEX).is_file():
            raise UsageError(f"{each} is not empty and was not made by this; choose another folder")
    chosen = None if concepts is None else {bank[int(number)].number for number in concepts}
    about = _about(bank, Path(scores))
    made_from = run_of_bank(bank, run, "whose images say when concepts fire")
    eye = _Eye.of(bank, made_from, model)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in folders}
    seen = 0
    with ExitStack() as stack:
        source = stack.enter_context(open_images(about["images"] if images is None else images))
        aside = {name: stack.enter_context(whole_folder(each, replace=overwrite)) for name, each in folders.items()}
        file = stack.enter_context(pq.ParquetFile(scores))
        with (progress or Silent()).task("drawing", file.metadata.num_rows, "images") as task:
            for batch in file.iter_batches(batch_size):
                found = list(_firing(batch.to_pylist(), np.asarray(about["levels"]), chosen, most))
                seen += len(found)
                for drawn in _drawn(eye, source, found):
                    for name, folder in aside.items():
                        rows[name].append(drawn.written(folder, name == "crops"))
                task.advance(len(batch))
        for name, folder in aside.items():
            pq.write_table(pa.Table.from_pylist(rows[name], schema=_FIELDS), folder / INDEX, compression="zstd")
    count = max(len(each) for each in rows.values())
    return FiringPictures(seen, count, folders.get("heatmaps"), folders.get("crops"))


@dataclass(frozen=True)
class _Eye:
    """What looks: the model, what its positions see, and the average image."""

    bank: ConceptBank
    model: Model
    field: Any
    average: Any

    @classmethod
    def of(cls, bank: ConceptBank, run: Run, model: Model | str | None) -> _Eye:
        network = model_of(run, model)
        average = mean_embedding(run.activations(bank.layer, bank.pooling))
        return cls(bank, network, receptive_field(network, bank.layer), average)

    def maps(self, pictures: Sequence[Image.Image], concepts: Sequence[int]) -> Heatmaps:
        """Zero for the average image."""
        return heatmaps(self.bank, self.model, pictures, concepts, centre=self.average, field=self.field)


class _Firing(NamedTuple):
    """An image in which concepts fire."""

    row: dict[str, Any]
    concepts: list[int]
    levels: list[float]


class _Drawn(NamedTuple):
    """One place: an image and a concept."""

    row: dict[str, Any]
    concept: int
    level: float
    heat: Image.Image
    crop: Image.Image
    box: tuple[int, int, int, int]

    def written(self, folder: Path, crop: bool) -> dict[str, Any]:
        """Its row of the index, after its file."""
        file = f"concept-{self.concept}/{self.row['entry']:06d}.jpg"  # a name from elsewhere makes no path
        (folder / file).parent.mkdir(exist_ok=True)
        (self.crop if crop else self.heat).convert("RGB").save(folder / file, quality=QUALITY)
        return {
            "file": file,
            "entry": self.row["entry"],
            "uri": self.row["uri"],
            "concept": self.concept,
            "score": self.row["scores"][self.concept],
            "level": self.level,
            "box": list(self.box) if crop else None,
        }


def _about(bank: ConceptBank, path: Path) -> dict[str, Any]:
    """What the file says of itself, if it is of this bank."""
    try:
        about: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"monoseme"])
        keys, levels = about["keys"], about["levels"]
        known = isinstance(about["images"], str) and len(levels) == len(bank)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise UsageError(
            f"{path} holds no scores ({first_line(error, 160)}); make it with monoseme apply or apply_bank"
        ) from error
    if not known or keys != bank.concepts["key"].to_pylist():
        raise UsageError(f"{path} holds the scores of another bank; apply this one first")
    return about


def _firing(
    rows: Sequence[dict[str, Any]], levels: np.ndarray[Any, Any], chosen: set[int] | None, most: int
) -> Iterator[_Firing]:
    for row in rows:
        fired = [number for number in row["fired"] or () if chosen is None or number in chosen]
        fired.sort(key=lambda number: (levels[number] - row["scores"][number], number))
        if fired:
            yield _Firing(row, fired[:most], [float(levels[number]) for number in fired[:most]])


def _drawn(eye: _Eye, source: ImageSource, found: Sequence[_Firing]) -> Iterator[_Drawn]:
    """The places of some images, image by image."""
    if not found:
        return
    pictures = [_picture(source, each.row) for each in found]
    concepts = sorted({number for each in found for number in each.concepts})
    maps = eye.maps(pictures, concepts)
    for place, each in enumerate(found):
        own = _of_one(maps, place)
        for number, level in zip(each.concepts, each.levels, strict=True):
            column = concepts.index(number)
            crop = concept_crops(own, pictures[place : place + 1], column)[0][0]
            size = min(SIZE, max(pictures[place].size))
            heat = overlaid(own, pictures[place : place + 1], column, mark(0).colour, size)[0]
            yield _Drawn(each.row, number, level, heat, crop.picture, crop.box)


def _of_one(maps: Heatmaps, place: int) -> Heatmaps:
    some = slice(place, place + 1)
    windows = None if maps.windows is None else maps.windows[some]
    return replace(
        maps, values=maps.values[some], projections=maps.projections[some], sizes=maps.sizes[some], windows=windows
    )


def _picture(source: ImageSource, row: dict[str, Any]) -> Image.Image:
    entry = row["entry"]
    if not 0 <= entry < len(source) or source.entry(entry).uri != row["uri"]:
        raise MonosemeError(f"{source.spec} no longer holds {row['uri']} at its place; apply the bank again")
    loaded = source.load(entry)
    if loaded.digest != row["digest"]:
        raise MonosemeError(f"image {row['uri']} has changed since it was scored; apply the bank again")
    return loaded.image
