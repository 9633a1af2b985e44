"""The optimiser's loop over one batch of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...base import MonosemeError, Task
from ...models import ToLayer
from ._config import FeatureConfig, Size
from ._objective import activations, embeddings, scores, similarities
from ._parametrise import Parametrisation
from ._passing import PassingReLUs
from ._transform import Views

_MOMENTUM, _SQUARES, _LEAST = 0.9, 0.99, 1e-8


@dataclass
class State:
    """A batch on its way: what a checkpoint holds. D directions with n images each."""

    step: int
    """Steps done."""
    tensors: dict[str, Tensor]
    """"parameters", and Adam's "momentum" and "squares", each (D * n, *shape); for MaCo "seen" (D * n, H, W)."""
    history: Tensor
    """(steps, D * n) objective of each step, NaN where none was made."""
    stopped: Tensor
    """(D,) whether a direction is done with."""


@dataclass(frozen=True)
class Work:
    """All that a step needs and no step changes."""

    config: FeatureConfig
    to_layer: ToLayer
    to_input: Callable[[Tensor], Tensor]
    """(B, channels, H, W) pixels less a half -> the network's input."""
    parametrisation: Parametrisation
    views: Views
    resolution: Size
    seed: int

    def start(self, images: range) -> State:
        """Images of these numbers before the first step."""
        parameters = self.parametrisation.start(self.seed, images)
        tensors = {name: torch.zeros_like(parameters) for name in ("momentum", "squares")}
        if self.config.parametrisation == "maco":
            tensors["seen"] = torch.zeros((len(images), *self.parametrisation.size), device=parameters.device)
        return State(
            step=0,
            tensors={"parameters": parameters, **tensors},
            history=torch.full((self.config.steps, len(images)), math.nan),
            stopped=torch.zeros(len(images) // self.config.images, dtype=torch.bool),
        )

    def run(self, state: State, images: range, directions: Tensor, task: Task, save: Callable[[State], None]) -> None:
        """Take `state`, of the images with the numbers `images`, to its end; `directions` (D, C) are unit rows.

        `save` is called after every step.
        """
        n = self.config.images
        numbers = np.arange(images.start, images.stop)
        while state.step < self.config.steps and not state.stopped.all():
            going = ~state.stopped.repeat_interleave(n)
            if bool(going.all()):  # the usual case needs no copies
                self.step_once(state, state.tensors, numbers, directions.repeat_interleave(n, 0), going)
            else:
                part = {name: tensor[going] for name, tensor in state.tensors.items()}
                rows = directions[~state.stopped].repeat_interleave(n, 0)
                self.step_once(state, part, numbers[going.numpy()], rows, going)
                for name, tensor in part.items():
                    state.tensors[name][going] = tensor
            state.step += 1
            state.stopped |= self._flat(state)
            task.advance()
            save(state)
        task.advance(self.config.steps - state.step)

    def finish(self, state: State, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The images, (D * n, channels, H, W) in [0, 1], and their activations, (D * n,), as they are."""
        with torch.no_grad():
            images = self.parametrisation.images(state.tensors["parameters"])
            found = self.embeddings(self.views.plain(images))
            reached = activations(found, directions.repeat_interleave(self.config.images, 0))
        return (images + 0.5).clamp(0, 1), reached

    def embeddings(self, shown: Tensor) -> Tensor:
        """(B, channels, height, width) pixels less a half -> (B, P, C) at the positions that count."""
        output = self.to_layer(self.to_input(shown))
        return embeddings(output, self.to_layer.info, self.resolution, self.config.where)

    def step_once(
        self,
        state: State,
        tensors: dict[str, Tensor],
        numbers: npt.NDArray[np.int64],
        directions: Tensor,
        going: Tensor,
    ) -> None:
        """One step of the images `numbers` (B,), in place, where `going` (D * n,) marks them among those of `state`."""
        config = self.config
        parameters = tensors["parameters"].requires_grad_()
        with PassingReLUs() if state.step < config.pass_relu else nullcontext():
            images = self.parametrisation.images(parameters)
            found = self.embeddings(self.views(images, numbers, state.step))
            views = config.views_a_step
            value = scores(found, directions.repeat_interleave(views, 0), config).reshape(-1, views).mean(1)
            loss = -value.sum()
            if config.diversity:
                grouped = found.reshape(len(value), -1, found.shape[-1])  # all positions of all views of an image
                loss = loss + config.diversity * similarities(grouped, config.images).sum()
            wanted = [parameters, images] if "seen" in tensors else [parameters]
            gradient, *of_pixels = torch.autograd.grad(loss, wanted)
        parameters.requires_grad_(False)
        self._adam(tensors, gradient, state.step)
        if of_pixels:
            tensors["seen"] += of_pixels[0].abs().mean(1)
        told = value.detach().cpu()
        if not bool(torch.isfinite(told).all()):
            raise MonosemeError(
                f"the objective of a feature image is no longer a number at step {state.step + 1}; "
                "give a smaller learning_rate"
            )
        state.history[state.step, going] = told

    def _adam(self, tensors: dict[str, Tensor], gradient: Tensor, step: int) -> None:
        """One step of Adam (Kingma and Ba 2015) in place, of a length that falls by half a cosine."""
        rate = self.config.rate * 0.5 * (1 + math.cos(math.pi * step / self.config.steps))
        momentum = tensors["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        squares = tensors["squares"].mul_(_SQUARES).addcmul_(gradient, gradient, value=1 - _SQUARES)
        spread = squares.div(1 - _SQUARES ** (step + 1)).sqrt_().add_(_LEAST)
        tensors["parameters"].addcdiv_(momentum, spread, value=-rate / (1 - _MOMENTUM ** (step + 1)))

    def _flat(self, state: State) -> Tensor:
        """(D,) directions none of whose images has risen much in the last `patience` steps."""
        patience = self.config.patience
        if patience is None or state.step < 2 * patience:
            return torch.zeros_like(state.stopped)
        last = state.history[state.step - patience : state.step].mean(0)
        before = state.history[state.step - 2 * patience : state.step - patience].mean(0)
        rose = last - before > self.config.tolerance * before.abs()
        flat: Tensor = ~rose.reshape(-1, self.config.images).any(1)
        return flat
