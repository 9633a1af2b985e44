"""Work that takes a second or more: one thing after the other, on one core, so that what must be answered at once is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Later:
    """Where work of a second or more is done, one thing after the other, so that it does not starve what must be answered at
    once.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "later")
        self._closed = threading.Event()

    def __call__(self, function: Callable[[], T]) -> Future[T]:
        """Begin it, on one core."""
        return self._pool.submit(on_one_core, function)

    def after(self, seconds: float, begin: Callable[[], object]) -> None:
        """Call `begin`, which begins work here, when so much time has passed, unless this is closed before."""

        def wait() -> None:
            if not self._closed.wait(seconds):
                with contextlib.suppress(RuntimeError):  # closed at this very moment
                    begin()

        threading.Thread(target=wait, name="after", daemon=True).start()

    def close(self) -> None:
        """Begin nothing more; what runs is left to its end."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


class AtOnce(Later):
    """The same for whoever would rather wait: work is done when it is asked for."""

    def __call__(self, function: Callable[[], T]) -> Future[T]:
        """Do it."""
        done: Future[T] = Future()
        done.set_result(on_one_core(function))
        return done

    def after(self, seconds: float, begin: Callable[[], object]) -> None:
        """Nothing is begun before it is needed."""


def on_one_core(function: Callable[[], T]) -> T:
    """The result of work on matrices, by this thread alone: on several, small products mostly wait for each other."""
    return on_cores(1, function)


def on_cores(count: int, function: Callable[[], T]) -> T:
    """The result of work that takes so many cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)  # a setting of each thread
    try:
        return function()
    finally:
        # but the last one set holds for threads yet to come, such as one that writes a bank
        torch.set_num_threads(before)
