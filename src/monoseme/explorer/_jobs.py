"""Writing a choice into a bank: work of many seconds, one at a time, that pages ask after."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from ..banks import ConceptBank
from ..base import MonosemeError, UsageError, bank_folder, list_banks
from ._bank import Bank
from ._choice import LARGEST as LARGEST_THRESHOLD
from ._choice import Asked, Choice, Method
from ._images import LARGEST, opened
from ._opened import NotFound, Opened, OpenedBank
from ._page import bank_address

router = APIRouter()


class Taken(UsageError):
    """There is something of that name already, or something else is being done."""


class Save(BaseModel):
    """A choice and the name of the bank to make of it."""

    model_config = {"extra": "forbid"}
    name: str = Field(max_length=100)
    method: Method | None = None
    top: int | None = Field(None, ge=2, le=100_000)
    min_size: int | None = Field(None, ge=1, le=100_000)
    threshold: float | None = Field(None, gt=0, le=LARGEST_THRESHOLD, allow_inf_nan=False)
    outlier: str | None = Field(None, max_length=24)
    granularity: float | None = Field(None, gt=0, lt=1)


class JobAnswer(BaseModel):
    """How far a job is: running, done or failed."""

    job: int
    state: str
    stage: str
    done: int
    total: int | None
    error: str | None
    address: str | None


@dataclass
class Job:
    """One bank that is being made; a `Reporter`, so that it knows how far it is."""

    number: int
    state: str = "running"
    stage: str = "waiting"
    done: int = 0
    total: int | None = None
    error: str | None = None
    address: str | None = None

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, done: int = 0) -> Iterator[Job]:
        """A stage of it."""
        self.stage, self.total, self.done = description, total, done
        yield self

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self.done += amount

    def note(self, message: str) -> None:
        """Nobody listens."""

    def answer(self) -> JobAnswer:
        """As JSON."""
        names = JobAnswer.model_fields.keys() - {"job"}
        return JobAnswer(job=self.number, **{name: getattr(self, name) for name in names})


@dataclass
class Jobs:
    """All jobs of a server, by number."""

    known: list[Job] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> Job:
        """A new one.

        Raises
        ------
        Taken
            Another one is running.
        """
        with self.lock:
            if any(job.state == "running" for job in self.known):
                raise Taken("another bank is being written; wait until it is done")
            self.known.append(Job(len(self.known)))
            return self.known[-1]


async def _jobs(request: Request) -> Jobs:
    found = request.app.state.jobs
    assert isinstance(found, Jobs)
    return found


@router.post("/api/banks/{layer}/{bank}/save", status_code=202)
def save(
    bank: Bank, choice: Save, run: Annotated[Opened, Depends(opened)], jobs: Annotated[Jobs, Depends(_jobs)]
) -> JobAnswer:
    """Split every direction of the layer as was chosen for one, and keep the result as a bank of the run."""
    folder = bank_folder(run.path, bank.layer, choice.name)
    if (bank.layer, choice.name) in list_banks(run.path) or folder.exists():
        raise Taken(f"the run has a bank {choice.name!r} of {bank.layer} already; choose another name")
    asked = Asked(**{name: getattr(choice, name) for name in Save.model_fields if name != "name"})
    wanted = Choice.of(bank, asked)
    if wanted.own:
        raise UsageError("this is the bank as it is; move the line or change a parameter first")
    kind = bank.bank.info["parameters"].get("directions")
    if kind == "scores":
        raise UsageError("the bank was made from scores that the run does not keep; split them again in Python")
    job = jobs.begin()

    def work() -> None:
        try:
            make(bank, wanted, job).save(folder)
            job.address, job.state = bank_address(bank.layer, choice.name), "done"
        except MonosemeError as error:
            job.error, job.state = str(error), "failed"
        except Exception as error:
            job.error, job.state = f"it failed ({type(error).__name__}); see the terminal", "failed"
            raise

    threading.Thread(target=work, name="bank", daemon=True).start()
    return job.answer()


@router.get("/api/jobs/{job}")
def job_json(job: Annotated[int, Path(ge=0, le=LARGEST)], jobs: Annotated[Jobs, Depends(_jobs)]) -> JobAnswer:
    """How far a job is."""
    if job >= len(jobs.known):
        raise NotFound(f"there is no job {job}; {len(jobs.known)} have been started, numbered from 0")
    return jobs.known[job].answer()


def make(bank: OpenedBank, choice: Choice, progress: Job) -> ConceptBank:
    """The whole layer split as was chosen: the bank's own trees cut anew where that is all, else from the start."""
    from ..splitting import disentangle, recut

    known, old = bank.bank.info["parameters"], bank.bank
    parameters = choice.parameters(bank)
    if "features" in known:
        raise UsageError("the bank was split by circuit, for which the model is needed; split it anew with --circuit")
    same_trees = old.info.get("method") == choice.method == "published" and choice.top == old.heights.shape[1] + 1
    if same_trees:
        names = ("distance_threshold", "outlier_threshold", "min_size")
        return recut(old, bank.acts, progress=progress, **{name: parameters[name] for name in names})
    kind = known.get("directions", "neurons")
    rows = old.directions if old.bands is None else old.directions[old.bands == 1]
    first = {} if old.starts is None or kind == "svd" else {"directions": old.starts[: len(rows)]}
    seed = parameters.pop("seed", known["seed"])
    return disentangle(
        bank.acts,
        choice.method,  # type: ignore[arg-type]  # one of the two by now
        **({"directions": kind} | first),
        select=rows.tolist(),
        top=choice.top,
        bands=known.get("bands") or (),
        scaling=known["scaling"],
        vector=known["vector"],
        holdout=known["holdout"],
        bootstrap=known["bootstrap"] if choice.method == "calibrated" else 0,
        max_per_photograph=known.get("max_per_photograph"),
        seed=seed,
        progress=progress,
        **parameters,
    )
