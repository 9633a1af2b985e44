"""Faster backends for the forward pass: OpenVINO on a CPU, torch's compiler. Taps remain the reference that they must agree with."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ..base import MonosemeError, UsageError, did_you_mean, first_line, join_words
from ._graph import capture
from ._model import Model
from ._taps import Tap, TapOutput

Acceleration = Literal["auto", "off", "compile", "openvino"]
ACCELERATIONS = ("auto", "off", "compile", "openvino")
TOLERANCE = 1e-4
"""How far a backend may be from plain PyTorch: the norm of the difference over that of the reference, for a batch."""
ENOUGH = 2_000
"""Images from which on "auto" takes the seconds that capturing a graph needs."""

_Run = Callable[[Tensor], Sequence[Tensor]]


class NotAccelerated(MonosemeError):
    """A backend does not take a model, or does not agree with plain PyTorch."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; use --accelerate off")
        self.reason = reason


class Reader(AbstractContextManager[Any], Protocol):
    """What reads layers of a batch: a `Tapped` model, or a graph of a faster backend."""

    model: Model

    def __call__(self, batch: Tensor) -> TapOutput:
        """(B, C, H, W) -> what was pooled, and the predictions."""


class Graph:
    """A captured forward pass in a backend; call it with at most the batch size that it was captured for.

    model : the model that it stands for
    taps : what it reads
    run : (batch size, C, H, W) -> the pooled outputs, then the predictions where wanted
    """

    def __init__(self, model: Model, taps: Sequence[Tap], batch_size: int, run: _Run) -> None:
        self.model = model
        self._taps, self._size, self._run = tuple(taps), batch_size, run

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def __call__(self, batch: Tensor) -> TapOutput:
        """(B, C, H, W) -> what was pooled, and the predictions. A batch that is not full is filled up with its first image."""
        count = len(batch)
        if count < self._size:
            batch = torch.cat([batch, batch[:1].expand(self._size - count, *batch.shape[1:])])
        found = [each[:count] for each in self._run(self.model.batch(batch))]
        pooled = dict(zip(self._taps, found, strict=False))
        return TapOutput(pooled, found[-1] if len(found) > len(self._taps) else None)


def chosen(wanted: str, model: Model, images: int) -> str:
    """The backend that "auto" stands for; any other is handed on.

    Raises
    ------
    UsageError
        There is no such backend, or the model's device has none of it.

    Examples
    --------
    >>> from monoseme.models import Preprocess, wrap
    >>> model = wrap(torch.nn.Conv2d(3, 4, 3), Preprocess.imagenet(16), device="cpu")
    >>> chosen("auto", model, images=10)
    'off'
    """
    if wanted not in ACCELERATIONS:
        raise UsageError(
            f"unknown acceleration {wanted!r}{did_you_mean(wanted, ACCELERATIONS)} "
            f"(known: {join_words(ACCELERATIONS, 'and')})"
        )
    on_cpu = model.device.type == "cpu"
    if wanted == "auto":
        return "openvino" if on_cpu and images >= ENOUGH and find_spec("openvino") is not None else "off"
    if wanted == "openvino" and not on_cpu:
        raise UsageError(f"openvino runs on the CPU, but the model is on {model.device}; use --device cpu, or compile")
    return wanted


def graphs(model: Model, taps: Sequence[Tap], batch_size: int, backend: str, *, predictions: bool) -> list[Graph]:
    """The forward pass in a backend, as often as it can run at the same time.

    Raises
    ------
    UsageError
        OpenVINO is not installed.
    NotAccelerated
        The model cannot be captured, or the backend does not take it.
    """
    if backend == "openvino" and find_spec("openvino") is None:
        raise UsageError(
            "openvino is not installed; install it with pip install 'monoseme[openvino]', or use --accelerate off"
        )
    try:
        program = capture(model, taps, batch_size, predictions=predictions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runs = _openvino(program) if backend == "openvino" else [_compiled(program)]
    except Exception as error:  # whatever a backend raises on a foreign graph
        raise NotAccelerated(f"{backend} does not take {model.spec} ({first_line(error)})") from error
    return [Graph(model, taps, batch_size, run) for run in runs]


def disagreement(found: TapOutput, reference: TapOutput) -> float:
    """The largest relative difference of a backend's outputs: the norm of the difference over the norm of the reference.

    >>> tap = Tap("x")
    >>> round(disagreement(TapOutput({tap: torch.tensor([[3.0, 4.1]])}, None), TapOutput({tap: torch.tensor([[3.0, 4.0]])}, None)), 6)
    0.02
    """
    pairs = [(found.pooled[tap], reference.pooled[tap]) for tap in reference.pooled]
    if reference.output is not None and found.output is not None:
        pairs.append((found.output, reference.output))
    return max(_relative(one.double(), other.double()) for one, other in pairs)


def _relative(one: Tensor, other: Tensor) -> float:
    difference, size = torch.linalg.vector_norm(one - other), torch.linalg.vector_norm(other)
    return float(difference / size) if size > 0 else float(difference)


def _compiled(program: torch.export.ExportedProgram) -> _Run:
    """By torch's compiler with the weights frozen in; all threads work on one batch."""
    from torch._inductor import config

    module = torch.compile(program.module())

    def run(images: Tensor) -> Sequence[Tensor]:
        with config.patch(freezing=True), torch.no_grad():
            found: Sequence[Tensor] = module(images)
        return found

    return run


def _openvino(program: torch.export.ExportedProgram) -> list[_Run]:
    """By OpenVINO in single precision: a stream a thread, each with its own request."""
    with _telling_nobody():
        import openvino
    graph = openvino.convert_model(program)
    streams = torch.get_num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # else processors with bfloat16 would use that
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
    }
    compiled = openvino.Core().compile_model(graph, "CPU", settings)

    def stream(request: Any) -> _Run:
        def run(images: Tensor) -> Sequence[Tensor]:
            request.infer([images.contiguous().numpy()], share_inputs=True)
            return [torch.from_numpy(output.data.copy()) for output in request.output_tensors]

        return run

    return [stream(compiled.create_infer_request()) for _ in range(streams)]


@contextmanager
def _telling_nobody() -> Iterator[None]:
    """OpenVINO reports its import to its makers; without the package that does so it stays silent."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # Python's word for a module that is not to be found
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
