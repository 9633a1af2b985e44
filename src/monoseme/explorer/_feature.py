"""Images that drive a concept or a direction, made on demand: a job with its progress, kept in memory when it is done."""

from __future__ import annotations

import io
import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field, model_validator

from ..base.html import Html, element
from ..models import give_back_memory
from ._bank import Bank
from ._heat import concept_aim, direction_aim
from ._images import LARGEST
from ._jobs import Job, JobAnswer, TheJobs
from ._network import Network, TheNetwork
from ._opened import NotFound, OpenedBank
from ._sight import Aim

if TYPE_CHECKING:
    from ..models import Model

router = APIRouter()

STEPS = 96
"""Few, so that it takes seconds; `monoseme visualize --what features` takes its time."""
KEPT = 24
"""Finished images that are kept in memory."""

Key = tuple[str, str, tuple[int, int], str]


class Wanted(BaseModel):
    """What is to be driven: one concept, or one direction."""

    model_config = {"extra": "forbid"}
    concept: int | None = Field(default=None, ge=0, le=LARGEST)
    direction: int | None = Field(default=None, ge=0, le=LARGEST)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.concept is None) == (self.direction is None):
            raise ValueError("name either a concept or a direction")
        return self

    def aim(self, bank: OpenedBank) -> Aim:
        """Its vector."""
        if self.concept is not None:
            return concept_aim(bank, self.concept)
        assert self.direction is not None
        return direction_aim(bank, self.direction)

    def key(self, bank: OpenedBank) -> Key:
        """What the finished image is found by."""
        return bank.layer, bank.name, bank.stamp, self.model_dump_json()


class Features:
    """Images that are finished, and the one that is being made."""

    def __init__(self) -> None:
        self._made: OrderedDict[Key, tuple[int, bytes]] = OrderedDict()
        self._times: Counter[Key] = Counter()
        self._making: tuple[Key, Job] | None = None

    def begin(self, key: Key, job: Job) -> int:
        """Say what is being made; gives a seed, another one each time that the same is made."""
        self._making = (key, job)
        return self._times[key]

    def keep(self, key: Key, job: Job, content: bytes) -> str:
        """Keep a finished image; gives its address."""
        self._made.pop(key, None)
        self._made[key] = (job.number, content)
        self._times[key] += 1
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return _address(job.number)

    def find(self, key: Key) -> str | None:
        """The address of a finished image."""
        found = self._made.get(key)
        return None if found is None else _address(found[0])

    def running(self, key: Key) -> int | None:
        """The number of the job that makes it."""
        making = self._making
        return making[1].number if making is not None and making[0] == key and making[1].state == "running" else None

    def content(self, number: int) -> bytes:
        """The image that a job has made."""
        for made, content in list(self._made.values()):
            if made == number:
                return content
        raise NotFound(f"there is no such image any more; the last {KEPT} that were made are kept")


def _address(number: int) -> str:
    return f"/feature/{number}.png"


async def _features(request: Request) -> Features:
    found = request.app.state.features
    assert isinstance(found, Features)
    return found


TheFeatures = Annotated[Features, Depends(_features)]


@router.post("/api/banks/{layer}/{bank}/feature", status_code=202)
def begin(bank: Bank, wanted: Wanted, model: TheNetwork, jobs: TheJobs, features: TheFeatures) -> JobAnswer:
    """Make an image that drives a concept or a direction. It writes nothing into the run."""
    model.require()
    aim, key = wanted.aim(bank), wanted.key(bank)

    def work(job: Job) -> str:
        seed = features.begin(key, job)
        job.stage, job.between = "loading the model", model.give_way
        return features.keep(key, job, model.ask(lambda network: make(network, bank, aim, seed, job)).result())

    return jobs.begin("picture", work).answer()


@router.get(
    "/feature/{job}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The image that the job has made."}},
)
def picture(job: Annotated[int, Path(ge=0, le=LARGEST)], features: TheFeatures) -> Response:
    """A finished image."""
    return Response(features.content(job), media_type="image/png")


def make(model: Model, bank: OpenedBank, aim: Aim, seed: int, progress: Job) -> bytes:
    """An image that drives a direction of the bank's layer, as PNG."""
    from ..visualize.feature import feature_images

    progress.check()
    raw = bank.bank.frame.fold(aim.vector[None])
    try:
        made = feature_images(model, bank.layer, raw, steps=STEPS, seed=seed, progress=progress)
    finally:
        give_back_memory()
    with io.BytesIO() as file:
        made.picture(0).save(file, "PNG")
        return file.getvalue()


class _Slot(NamedTuple):
    name: str
    wanted: Wanted


def slots(bank: OpenedBank, direction: int, concepts: Sequence[int]) -> list[_Slot]:
    """What of a direction can be driven: itself, and concepts of it."""
    made = [_Slot(f"concept {number}", Wanted(concept=number)) for number in concepts]
    if bank.bank.start(direction) is not None:
        made.insert(0, _Slot(f"{bank.bank.start_name} {direction}", Wanted(direction=direction)))
    return made


def gallery(bank: OpenedBank, model: Network, features: Features, shown: Sequence[_Slot]) -> list[Html]:
    """The part of a page with images that drive something: those that are there, and buttons that make the others."""
    head = element("h2", "Images that drive it")
    if (missing := model.missing) is not None:
        return [head, element("p", f"They cannot be made: {missing}.", class_="faint small")]
    note = (
        "Noise, changed step by step until it drives one direction of the layer as far as it can; nothing is written."
    )
    address = f"/api{bank.place().base}/feature"
    figures = [
        _figure(address, slot, features.find(slot.wanted.key(bank)), features.running(slot.wanted.key(bank)))
        for slot in shown
    ]
    return [head, element("p", note, class_="faint small"), element("div", *figures, class_="drives")]


def _figure(address: str, slot: _Slot, made: str | None, job: int | None) -> Html:
    alt = f"an image that drives {slot.name}"
    empty = element("span", "not made yet", class_="faint small")
    whole: dict[str, Any] = {"data_feature": json.dumps(slot.wanted.model_dump(exclude_none=True)), "data_job": job}
    return element(
        "figure",
        element("div", empty if made is None else element("img", src=made, alt=alt), class_="drive", data_alt=alt),
        element("figcaption", slot.name),
        element("progress", hidden="", aria_label=f"making {alt}"),
        element("p", class_="state small"),
        element("button", "make it" if made is None else "make another", type="button", aria_label=f"make {alt}"),
        element("button", "stop", type="button", hidden="", class_="stop", aria_label=f"stop making {alt}"),
        data_address=address,
        **whole,
    )
