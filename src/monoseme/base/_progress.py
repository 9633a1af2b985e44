"""Progress of long work, told to whoever listens: a terminal, plain lines, or nobody.

Work takes a `Reporter` and opens a `Task` for each stage; how that looks is the caller's business, so that the same
functions serve a notebook, a terminal, a log file and a test.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Task(Protocol):
    """One stage of work under way."""

    def advance(self, amount: int = 1) -> None:
        """Say that `amount` more units are done."""


class Reporter(Protocol):
    """Something that shows tasks."""

    def task(self, description: str, total: int | None, unit: str, done: int = 0) -> AbstractContextManager[Task]:
        """Open a task of `total` units (None when unknown), `done` of them before; closing it ends its display."""

    def note(self, message: str) -> None:
        """Tell something worth knowing that is not an error."""


class Silent:
    """Shows nothing."""

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, done: int = 0) -> Iterator[Task]:
        yield self

    def advance(self, amount: int = 1) -> None:
        pass

    def note(self, message: str) -> None:
        pass


class Lines:
    """Plain lines with rate and time left, at most one every `interval` seconds: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._interval = interval

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, done: int = 0) -> Iterator[Task]:
        task = _LineTask(self.note, self._interval, description, total, unit, done)
        yield task
        task.finish()

    def note(self, message: str) -> None:
        print(message, file=self._stream, flush=True)


class _LineTask:
    def __init__(
        self, write: Callable[[str], None], interval: float, description: str, total: int | None, unit: str, done: int
    ) -> None:
        self._write, self._interval = write, interval
        self._description, self._total, self._unit = description, total, unit
        self._done = self._before = done
        self._start = self._last = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self._tell(now)

    def finish(self) -> None:
        now = time.monotonic()
        if now - self._start >= self._interval:
            self._tell(now)

    def _tell(self, now: float) -> None:
        rate = (self._done - self._before) / max(now - self._start, 1e-9)
        of_total = f" of {self._total:,}" if self._total is not None else ""
        left = "" if self._total is None else f", {duration((self._total - self._done) / max(rate, 1e-9))} left"
        self._write(f"{self._description}: {self._done:,}{of_total} {self._unit}, {rate:,.1f} a second{left}")


class Bars:
    """Progress bars with rate and time left on a terminal (rich)."""

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, done: int = 0) -> Iterator[Task]:
        from rich import progress as rich_progress

        columns = (
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn(f"{unit}  {{task.fields[rate]}}"),
            rich_progress.TimeRemainingColumn(),
        )
        with rich_progress.Progress(*columns, console=_console(), transient=True) as bars:
            yield _BarTask(bars, bars.add_task(description, total=total, completed=done, rate=""))

    def note(self, message: str) -> None:
        _console().print(message, highlight=False, markup=False)


class _BarTask:
    def __init__(self, bars: Progress, task_id: TaskID) -> None:
        self._bars, self._id = bars, task_id
        self._done, self._start = 0, time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        self._bars.update(self._id, advance=amount, rate=f"{rate:,.1f}/s")


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def reporter(quiet: bool = False) -> Reporter:
    """The fitting reporter for this process: bars on a terminal, lines elsewhere, nothing when `quiet`."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Lines()


def duration(seconds: float) -> str:
    """A duration for people.

    >>> duration(42.4), duration(192), duration(7380)
    ('42 s', '3 min 12 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
