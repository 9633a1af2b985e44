"""Work of many seconds, of which pages ask how far it is and which they can stop: one job of a kind at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel

from ..base import MonosemeError, UsageError
from ._images import LARGEST
from ._opened import NotFound

router = APIRouter()

Kind = Literal["bank", "picture"]
State = Literal["running", "done", "failed", "stopped"]
BUSY: dict[Kind, str] = {
    "bank": "another bank is being written; wait until it is done",
    "picture": "another picture is being made; wait until it is done, or stop it",
}
"""What is said where a second job of a kind is asked for. Those of different kinds do not wait for each other."""
KEPT = 200
"""Jobs that are remembered once they have ended."""


class Taken(UsageError):
    """There is something of that name already, or something else is being done."""


class Stopped(Exception):
    """Ends the work of a job that somebody has stopped."""


class JobAnswer(BaseModel):
    """How far a job is: running, done, failed or stopped. Where it is done, `address` says where what it made is."""

    job: int
    kind: Kind
    state: State
    stage: str
    done: int
    total: int | None
    error: str | None
    address: str | None


@dataclass
class Job:
    """One job; a `Reporter`, so that it knows how far it is, and the work stops at its next step once `stop` was called."""

    number: int
    kind: Kind
    state: State = "running"
    stage: str = "waiting"
    done: int = 0
    total: int | None = None
    error: str | None = None
    address: str | None = None
    between: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called between two steps of the work."""
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, done: int = 0) -> Iterator[Job]:
        """A stage of it."""
        self.check()
        self.stage, self.total, self.done = description, total, done
        yield self

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self.done += amount
        self.check()
        self.between()

    def note(self, message: str) -> None:
        """Nobody listens."""

    def stop(self) -> None:
        """End it at its next step; nothing of it is kept."""
        self._stop.set()

    def check(self) -> None:
        """Raise `Stopped` if somebody has stopped it."""
        if self._stop.is_set():
            raise Stopped

    def answer(self) -> JobAnswer:
        """As JSON."""
        names = JobAnswer.model_fields.keys() - {"job"}
        return JobAnswer(job=self.number, **{name: getattr(self, name) for name in names})


class Jobs:
    """The jobs of a server, by number."""

    def __init__(self) -> None:
        self._known: dict[int, Job] = {}
        self._count = 0
        self._lock = threading.Lock()

    def begin(self, kind: Kind, work: Callable[[Job], str]) -> Job:
        """Begin work in a thread of its own; it gives the address of what it has made.

        Raises
        ------
        Taken
            Another one of the kind is running.
        """
        with self._lock:
            if any(job.state == "running" and job.kind == kind for job in self._known.values()):
                raise Taken(BUSY[kind])
            job = self._known[self._count] = Job(self._count, kind)
            self._count += 1
            ended = [number for number, known in self._known.items() if known.state != "running"]
            for number in ended[:-KEPT]:
                del self._known[number]

        def do() -> None:
            try:
                job.address = work(job)
                job.state = "done"
            except Stopped:
                job.state = "stopped"
            except MonosemeError as error:
                job.error, job.state = str(error), "failed"
            except Exception as error:
                job.error, job.state = f"it failed ({type(error).__name__}); see the terminal", "failed"
                raise

        threading.Thread(target=do, name=kind, daemon=True).start()
        return job

    def __getitem__(self, number: int) -> Job:
        found = self._known.get(number)
        if found is None:
            raise NotFound(f"there is no job {number}; {self._count} have been started, numbered from 0")
        return found


async def _jobs(request: Request) -> Jobs:
    found = request.app.state.jobs
    assert isinstance(found, Jobs)
    return found


TheJobs = Annotated[Jobs, Depends(_jobs)]
Number = Annotated[int, Path(ge=0, le=LARGEST)]


@router.get("/api/jobs/{job}")
def job_json(job: Number, jobs: TheJobs) -> JobAnswer:
    """How far a job is."""
    return jobs[job].answer()


@router.post("/api/jobs/{job}/stop", status_code=202)
def stop(job: Number, jobs: TheJobs) -> JobAnswer:
    """Stop a job at its next step; nothing of it is kept. One that has ended stays as it is."""
    jobs[job].stop()
    return jobs[job].answer()
