"""What a model and a bank see in a picture that is not in the run: concepts, neurons, images like it, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel

from ..banks import NAME
from ..base import MonosemeError, UsageError, printable
from ..base.html import data_uri
from ..images import BadImage, Thumbnails, decode
from ..use import RATE
from ._distribution import Sample
from ._network import ModelAnswer
from ._opened import NotFound, OpenedBank
from ._sight import Aim, HeatAnswer, Sight

if TYPE_CHECKING:
    from ..models import Model

PIXELS = 40_000_000
"""The most pixels of a picture that is tried."""
LONGEST = 20
"""How many times as long as wide a picture may be: brought to the model's input, a longer one would fill the memory."""
CONCEPTS, NEURONS, NEAREST, PREDICTIONS = 12, 8, 12, 5
"""How many of each are told."""
TILE = 140
SHOWN = Thumbnails(size=480, quality=85)

Floats = npt.NDArray[np.float32]


class Seen(BaseModel):
    """How strongly a picture shows something, and where.

    value : projection or activation
    below : the share of the run's images that show less of it
    strength : from the median image, at 0, to where the strongest hundredth of the images begins, at 1
    heat : where in the picture; None where that cannot be told
    """

    value: float
    below: float
    strength: float
    heat: HeatAnswer | None


class SeenConcept(Seen):
    """A concept: its key, direction and name or else commonest labels, the level from which it fires, and whether it does.

    Level and firing are not known before the whole layer has been read once.
    """

    concept: int
    key: str
    direction: int
    label: str
    level: float | None
    fires: bool | None


class SeenNeuron(Seen):
    """A neuron, and whether it was split in the bank, so that it has a page."""

    neuron: int
    split: bool


class NearImage(BaseModel):
    """An image of the run whose embedding points where the picture's does."""

    image_id: int
    uri: str
    label: str | None
    cosine: float


class Prediction(BaseModel):
    """What the model takes the picture for."""

    label: str
    probability: float


class TryAnswer(BaseModel):
    """What is seen in a picture.

    picture : the picture as it was decoded, small, as a data URI
    sample : how many images of the run the shares are of
    rate : the share of the run's images in which a concept fires
    firing : how many concepts fire, None before the whole layer has been read
    expected : how many do in an image like the run's
    no_heat : why there is nothing of where things are, None where there is
    model : what looked at it
    """

    width: int
    height: int
    picture: str
    sample: int
    rate: float
    firing: int | None
    expected: float
    concepts: list[SeenConcept]
    neurons: list[SeenNeuron]
    nearest: list[NearImage]
    predictions: list[Prediction]
    no_heat: str | None
    model: ModelAnswer | None = None


class Passed(NamedTuple):
    """A picture that has gone through the model.

    embedding : (C,)
    """

    picture: Image.Image
    embedding: Floats
    predictions: list[Prediction]


def decoded(content: bytes) -> Image.Image:
    """A picture that somebody sent, upright RGB.

    Raises
    ------
    UsageError
        It is none, or one that cannot be used.
    """
    try:
        picture = decode(content, max_pixels=PIXELS).image
    except BadImage as error:
        raise UsageError(f"this picture cannot be used: {error}; try it as JPEG, PNG or WebP") from error
    if max(picture.size) > LONGEST * min(picture.size):
        raise UsageError(
            f"this picture of {picture.width:,} x {picture.height:,} pixels is too narrow to be seen by the model; "
            "cut a part out of it"
        )
    return picture


def passed(model: Model, bank: OpenedBank, picture: Image.Image) -> Passed:
    """Send a picture through the model, as `embed` would."""
    import torch

    from ..models import Tap, Tapped

    tap = Tap(bank.layer, bank.bank.pooling or "mean")
    with torch.inference_mode():
        pixels: npt.NDArray[Any] = model.preprocess.pixels(picture)[None]
        found = Tapped(model, [tap], predictions=True)(model.preprocess.tensor(pixels, model.device))
    embedding = found.pooled[tap][0].float().cpu().numpy()
    if not np.isfinite(embedding).all():
        raise MonosemeError("the model gives no finite numbers for this picture; check its weights and precision")
    likeliest: list[Prediction] = []
    if found.output is not None:
        chances = found.output[0].softmax(0)
        for place in chances.argsort(descending=True)[:PREDICTIONS].tolist():
            name = f"class {place}" if model.classes is None else model.classes[place]
            likeliest.append(Prediction(label=printable(name, 60), probability=float(chances[place])))
    return Passed(picture, embedding, likeliest)


def nearest(bank: OpenedBank, embedding: Floats) -> list[NearImage]:
    """The images of the run nearest to an embedding, by their cosine in the bank's frame; of copies the first."""
    frame, acts = bank.bank.frame, bank.acts
    wanted = frame(embedding)
    length = float(np.linalg.norm(wanted)) or 1.0
    cosines = np.empty(len(acts), dtype=np.float32)
    for first, block in acts.blocks():
        rows = frame(np.asarray(block, np.float32))
        lengths = np.linalg.norm(rows, axis=1)
        cosines[first : first + len(rows)] = rows @ wanted / (np.where(lengths > 0, lengths, 1) * length)
    firsts = acts.images().first_copies
    if firsts is not None:
        cosines[~firsts] = -2
    ids = np.argsort(-cosines, kind="stable")[:NEAREST]
    ids = ids[cosines[ids] > -2]
    facts = bank.run.images(ids, ["uri", "label"]).to_pylist()
    return [
        NearImage(image_id=int(image_id), cosine=float(cosines[image_id]), **fact)
        for image_id, fact in zip(ids, facts, strict=True)
    ]


def looked_at(
    model: Model,
    bank: OpenedBank,
    sight: Sight,
    found: Passed,
    sample: Sample,
    levels: Floats | None,
    asked: Sequence[int],
) -> TryAnswer:
    """All that is told of a picture but the images near it: of the strongest concepts and neurons, and of concepts asked for."""
    if asked and max(asked) >= len(bank.bank):
        raise NotFound(f"there is no concept {max(asked)}; the bank holds {len(bank.bank):,}, numbered from 0")
    projections = bank.bank.project(found.embedding[None])[0]
    concepts = _told(sample.concepts, projections, CONCEPTS, asked)
    neurons = _told(sample.neurons, found.embedding, NEURONS)
    basis = np.eye(len(found.embedding), dtype=np.float32)
    aims = [Aim(f"concept {number}", bank.bank.vectors[number], place) for place, number in enumerate(concepts)]
    aims += [Aim(f"neuron {number}", basis[number], None) for number in neurons]
    heats: list[HeatAnswer | None] = [None] * len(aims)
    why = None
    try:
        heats[:] = sight.picture(model, found.picture, aims, TILE)
    except MonosemeError as error:  # a layer without positions, or a preprocessing that does not say what it shows
        why = str(error)
    split = set(bank.bank.directions.tolist()) if bank.bank.start_name == "neuron" else set()
    return TryAnswer(
        width=found.picture.width,
        height=found.picture.height,
        picture=data_uri(SHOWN.make(found.picture), "image/jpeg"),
        sample=len(sample.concepts),
        rate=RATE,
        firing=None if levels is None else int((projections >= levels).sum()),
        expected=RATE * len(bank.bank),
        concepts=[
            _concept(bank, number, numbers, None if levels is None else float(levels[number]), heat)
            for (number, numbers), heat in zip(concepts.items(), heats, strict=False)
        ],
        neurons=[
            SeenNeuron(**numbers, heat=heat, neuron=number, split=number in split)
            for (number, numbers), heat in zip(neurons.items(), heats[len(concepts) :], strict=True)
        ],
        nearest=[],
        predictions=found.predictions,
        no_heat=why,
    )


def _told(answers: Any, values: Floats, count: int, asked: Sequence[int] = ()) -> dict[int, dict[str, float]]:
    """value, below and strength of the strongest, after those that were asked for."""
    strength, below = answers.strength(values), answers.below(values)
    order = [*asked, *np.argsort(-strength, kind="stable")[:count].tolist()]
    return {
        number: {"value": float(values[number]), "below": float(below[number]), "strength": float(strength[number])}
        for number in dict.fromkeys(order)
    }


def _concept(
    bank: OpenedBank, number: int, numbers: dict[str, float], level: float | None, heat: HeatAnswer | None
) -> SeenConcept:
    concept = bank.bank[number]
    return SeenConcept(
        **numbers,
        heat=heat,
        concept=number,
        key=concept.key,
        direction=concept.direction,
        label=printable(bank.titles.of(concept.key).given, NAME) or bank.labels.commonest(concept.image_ids, 2, 40),
        level=level,
        fires=None if level is None else numbers["value"] >= level,
    )
