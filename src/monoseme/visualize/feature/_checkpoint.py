"""Batches of images on disk while they are made: a stopped optimisation goes on from the last one saved."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...base import Lock, MonosemeError, UsageError, write_whole
from ._optimise import State

_FORMAT = 1
_TASK = "feature-images.json"
_SECONDS = 20.0


class Checkpoint:
    """A folder with a file for each batch, written whole each time, and one that says what is being made.

    Raises
    ------
    UsageError
        The folder holds something else, or the checkpoint of another task.
    MonosemeError
        It is damaged, in use, or cannot be written.
    """

    def __init__(self, folder: Path, task: dict[str, Any]) -> None:
        self._folder = folder
        self._saved_at = time.monotonic()
        self._lock = Lock(folder / "lock", f"{folder} is in use: another process makes feature images with it")
        self._task = {"format": _FORMAT, **task}
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / _TASK).exists()):
            raise UsageError(f"{folder} is no checkpoint of feature images; name a new folder")

    def __enter__(self) -> Checkpoint:
        write_task = not (self._folder / _TASK).exists()
        if not write_task:
            self._check()
        self._lock.__enter__()
        if write_task:
            write_whole(self._folder / _TASK, json.dumps(self._task, indent=1).encode())
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(*error)

    def load(self, batch: int, device: torch.device) -> State | None:
        """A batch as it was last saved, or None."""
        from safetensors import SafetensorError, safe_open

        path = self._path(batch)
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                step = int(file.metadata()["step"])
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            history, stopped = tensors.pop("history"), tensors.pop("stopped")
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise MonosemeError(f"{path} is damaged; delete it, and the batch is made anew") from error
        return State(step, {name: tensor.to(device) for name, tensor in tensors.items()}, history, stopped)

    def save(self, batch: int, state: State, *, now: bool = False) -> None:
        """Keep a batch, if the last time is a while ago or it must be `now`."""
        if not now and time.monotonic() - self._saved_at < _SECONDS:
            return
        from safetensors.torch import save

        tensors = {**state.tensors, "history": state.history, "stopped": state.stopped}
        cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_whole(self._path(batch), save(cpu, {"step": str(state.step)}))
        self._saved_at = time.monotonic()

    def _path(self, batch: int) -> Path:
        return self._folder / f"batch-{batch:05d}.safetensors"

    def _check(self) -> None:
        path = self._folder / _TASK
        found: Any = None
        with suppress(ValueError, OSError):
            found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise MonosemeError(f"{path} is damaged; delete the folder to begin anew")
        wanted = json.loads(json.dumps(self._task))  # as what was read: tuples are lists
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            raise UsageError(
                f"{self._folder} is the checkpoint of other feature images (other {other[0].replace('_', ' ')}); "
                "give what it was made with, or name a new folder"
            )
