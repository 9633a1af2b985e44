"""The run's model, where it is at hand: loaded when it is first needed, and asked by one thread, one thing after the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from ..base import MonosemeError, UsageError
from ..images import default_workers
from ..runs import Run, model_of, recorded_spec
from ._jobs import Stopped
from ._later import on_cores
from ._opened import Opened

if TYPE_CHECKING:
    from ..models import Model

router = APIRouter()

T = TypeVar("T")
WAITING = 32
"""Questions that may wait for the model; each holds a picture at most."""
HOW = "start the explorer with --model SPEC, and --weights FILE where the model has weights of its own"


@dataclass(frozen=True)
class Given:
    """What an explorer is started with beside its run.

    model, weights, device : as `model_of` takes them
    images : where the run's images are now, as `originals` takes it
    """

    model: Model | str | None = None
    weights: str | None = None
    device: str = "auto"
    images: object | None = None


class ModelAnswer(BaseModel):
    """The run's model: missing (and why), not loaded yet, being loaded, or ready; bytes of its weights in memory."""

    spec: str | None
    state: Literal["missing", "idle", "loading", "ready"]
    missing: str | None
    device: str | None
    memory: int | None


class _Question(NamedTuple):
    future: Future[Any]
    function: Callable[[Model], Any]


class Network:
    """The one model of an explorer.

    Parameters
    ----------
    opened : Opened
        Whose run it is of.
    given : Given
        The user's word on it. Without one the run's own record is followed, but code that it names never runs.
    """

    def __init__(self, opened: Opened, given: Given) -> None:
        self.given, self._opened = given, opened
        self._questions: SimpleQueue[_Question | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._held: tuple[str, Model] | None = None
        self._failed: tuple[str, str] | None = None
        self._loading = False

    @property
    def missing(self) -> str | None:
        """Why there is no model, and what to do; None where there is one, or will be when it is needed. Loads nothing."""
        run = self._opened.run
        if self._failed is not None and self._failed[0] == _digest(run):
            return f"{self._failed[1]}; {HOW}"
        if run.manifest.imported:
            return "its embeddings were imported, so that it knows no model that made them"
        if self.given.model is None:
            try:
                recorded_spec(run.manifest.model, str(run.path))
            except UsageError as error:
                return f"{error}; {HOW}"
        return None

    def require(self) -> None:
        """Raise a `UsageError` that says why there is no model, where there is none."""
        if (missing := self.missing) is not None:
            raise UsageError(missing)

    def ask(self, function: Callable[[Model], T]) -> Future[T]:
        """What a function makes of the model, sooner or later.

        Raises
        ------
        UsageError
            There is no model.
        MonosemeError
            Too much waits for it.
        """
        self.require()
        if self._questions.qsize() >= WAITING:
            raise MonosemeError("the model has too much to do; try again in a moment")
        future: Future[T] = Future()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._answer, name="model", daemon=True)
                self._thread.start()
        self._questions.put(_Question(future, function))
        return future

    def give_way(self) -> None:
        """Answer first what waits; called by long work between two steps, in the model's own thread.

        Raises
        ------
        Stopped
            The explorer ends.
        """
        while True:
            if self._closed.is_set():
                raise Stopped
            try:
                question = self._questions.get_nowait()
            except Empty:
                return
            if question is not None:
                self._do(question)

    def close(self) -> None:
        """Answer nothing more."""
        self._closed.set()
        self._questions.put(None)

    def answer(self) -> ModelAnswer:
        """As JSON."""
        missing, held = self.missing, self._held
        spec = self._opened.run.manifest.model.get("spec")
        if held is None or missing is not None:
            state: Literal["missing", "loading", "idle"] = "idle"
            state = "missing" if missing is not None else "loading" if self._loading else state
            return ModelAnswer(spec=spec, state=state, missing=missing, device=None, memory=None)
        model = held[1]
        memory = sum(each.numel() * each.element_size() for each in model.module.state_dict().values())
        return ModelAnswer(spec=model.spec, state="ready", missing=None, device=str(model.device), memory=memory)

    def _answer(self) -> None:
        while (question := self._questions.get()) is not None and not self._closed.is_set():
            self._do(question)
            del question  # and with it the picture that it holds, which would else be kept until the next one

    def _do(self, question: _Question) -> None:
        future, function = question
        if not future.set_running_or_notify_cancel():
            return
        try:
            # One core is left to the pages.
            future.set_result(on_cores(max(1, default_workers() - 1), lambda: function(self._model())))
        except BaseException as error:
            future.set_exception(error)

    def _model(self) -> Model:
        """The model of the run as it is now; another one than before only where the run was made anew."""
        run = self._opened.run
        if self._held is None or self._held[0] != _digest(run):
            self._held, self._loading = None, True
            try:
                given = self.given
                model = model_of(run, given.model, weights=given.weights, device=given.device)
                self._held = (_digest(run), model)
            except MonosemeError as error:
                self._failed = (_digest(run), str(error))
                raise
            except Exception as error:  # whatever a module of the user's raises
                logging.getLogger(__name__).error("the model cannot be loaded", exc_info=error)
                said = f"the model cannot be loaded ({type(error).__name__}; the terminal says more)"
                self._failed = (_digest(run), said)
                raise MonosemeError(said) from error
            finally:
                self._loading = False
        return self._held[1]


def _digest(run: Run) -> str:
    return str(run.manifest.model.get("weights_digest"))


async def network(request: Request) -> Network:
    """The model of this application."""
    found = request.app.state.network
    assert isinstance(found, Network)
    return found


TheNetwork = Annotated[Network, Depends(network)]


@router.get("/api/model")
def model_json(model: TheNetwork) -> ModelAnswer:
    """Whether the run's model is at hand, and whether it is in memory."""
    return model.answer()
