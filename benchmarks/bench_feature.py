"""Claim: a step of feature visualisation costs at most 1.25 bare passes to the layer and back; against torch-lucent an image and
step is at least 1.5 times as fast, and the activation that it ends with is reached in a third of its time.

Everything runs on one thread and CPU time is told, because the machine is shared. torch-lucent is given the same
model, neuron, resolution (`fixed_image_size`) and the model's own normalisation (it knows ImageNet's only); all else is its
default: 512 steps, its transformations. Its activation is that of its final image as it is. Ours are the defaults, one image at
a time; the time to reach that activation counts, looking at it not. torch-lucent needs an environment of its own (its pins are old): name its Python with --rival
or LUCENT_PYTHON. Without it only our own part runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import alternate, describe_machine, spread, verdict

if TYPE_CHECKING:
    import monoseme as ms

sys.path.insert(0, str(Path(__file__).parents[1]))

SIDE, NEURON, BATCH = 128, 35, 8
STEP_GOAL, FASTER_GOAL, TIME_GOAL = 1.25, 1.5, 1 / 3
RESNET, LITE = "ResNet-18, random weights", "EfficientNet-Lite0"
# Layers behind which nothing works in place: torch-lucent would read what came of that.
CASES = ((RESNET, "layer4"), (RESNET, "layer2"), (LITE, "blocks.15"), (LITE, "blocks.10"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few steps, few rounds")
    parser.add_argument("--rounds", type=int, help="of the costs: 7, or 2 with --quick")
    parser.add_argument(
        "--rival", default=os.environ.get("LUCENT_PYTHON"), help="Python that imports lucent (LUCENT_PYTHON)"
    )
    parser.add_argument("--part", choices=["rival"], help=argparse.SUPPRESS)
    parser.add_argument("--case", type=int, choices=range(len(CASES)), help="this model and layer only")
    parser.add_argument("--seeds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch
    from tests.torchvision_shim import make_torchvision_importable

    make_torchvision_importable()
    torch.set_num_threads(1)
    if options.part == "rival":
        run_rival(*CASES[options.case], options.seeds, options.steps, options.out)
        return
    rounds = options.rounds or (2 if options.quick else 7)
    seeds, steps = (1, 32) if options.quick else (5, 512)
    print(describe_machine("monoseme", "torch", "torchvision"))
    print(f"{SIDE} px, one thread; CPU time in ms an image and step")
    for number in range(len(CASES)) if options.case is None else (options.case,):
        name, layer = CASES[number]
        try:
            model = load(name)
        except ImportError as error:
            print(f"without {name}: {error}")
            continue
        print(f"\n{name}, {layer}")
        ours = costs(model, layer, rounds, options.quick)
        if options.rival is None:
            print("without torch-lucent: name a Python that has it with --rival or LUCENT_PYTHON")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "rival.npz"
            command = [options.rival, __file__, "--part", "rival", "--case", number, "--seeds", seeds]
            command += ["--steps", steps, "--out", out]
            subprocess.run(list(map(str, command)), check=True)
            with np.load(out) as found:
                images, seconds = found["images"], found["seconds"]
        compare(model, layer, ours, images, seconds.tolist(), steps, options.quick)


def load(name: str) -> ms.Model:
    """The model of a case, for images of `SIDE`."""
    import torch

    import monoseme as ms

    if name == LITE:
        return ms.load_model("bundled:efficientnet-lite0", image_size=SIDE, device="cpu")
    import torchvision

    torch.manual_seed(0)
    return ms.wrap(torchvision.models.resnet18(weights=None), ms.Preprocess.imagenet(SIDE), device="cpu")


def costs(model: ms.Model, layer: str, rounds: int, quick: bool) -> dict[int, list[float]]:
    """Print what a step costs against a bare pass and back; batch -> CPU seconds an image and step."""
    import torch

    from monoseme.models import ToLayer, keep_freed_memory

    keep_freed_memory()
    to_layer = ToLayer(model, layer)
    ours: dict[int, list[float]] = {}
    for batch in (1, BATCH):
        shape = (batch, 3, SIDE, SIDE)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(
            memory_format=torch.channels_last
        )
        images.requires_grad_()

        def bare(images: torch.Tensor = images) -> None:
            torch.autograd.grad(to_layer(images)[:, NEURON].mean(), images)

        steps: dict[str, Callable[[], Any]] = {
            "bare": partial(repeated, bare, batch),
            "step": partial(repeated, stepping(model, layer, batch), batch),
            "early": partial(repeated, stepping(model, layer, batch, pass_relu=100_000), batch),
        }
        for step in steps.values():
            step()
        found = alternate(rounds, steps)
        ratios = [mine / theirs for mine, theirs in zip(found["step"], found["bare"], strict=True)]
        early = median(found["early"]) / median(found["bare"])
        ours[batch] = found["step"]
        print(
            f"batch of {batch}: forward and backward {ms_of(found['bare'])}, step {ms_of(found['step'])}; "
            f"ratio {spread(ratios)} ({verdict(median(ratios), STEP_GOAL, at_least=False, quick=quick)}); "
            f"of the first steps, in which ReLUs pass gradients: {early:.2f}",
            flush=True,
        )
    return ours


def stepping(model: ms.Model, layer: str, batch: int, pass_relu: int = 0) -> Callable[[], None]:
    """A function that makes one more step with the default settings, by default of those in which ReLUs are themselves."""
    import torch

    from monoseme.visualize.feature import FeatureConfig
    from monoseme.visualize.feature._make import prepare, unit_rows

    config = FeatureConfig(steps=100_000, pass_relu=pass_relu)
    work = prepare(model, layer, config, 0)
    rows, _ = unit_rows([NEURON] * batch, work.to_layer.info)
    state = work.start(range(batch))
    directions, numbers = torch.from_numpy(rows), np.arange(batch)
    going = torch.ones(batch, dtype=torch.bool)

    def step() -> None:
        work.step_once(state, state.tensors, numbers, directions, going)
        state.step += 1

    return step


def repeated(step: Callable[[], None], batch: int) -> float:
    """CPU seconds an image and step."""
    times = max(1, 16 // batch)
    begin = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - begin) / (times * batch)


def compare(
    model: ms.Model,
    layer: str,
    ours: dict[int, list[float]],
    images: np.ndarray,
    seconds: list[float],
    steps: int,
    quick: bool,
) -> None:
    """Print the other two goals, given the rival's final images (seeds, H, W, 3) and its CPU seconds for each."""
    reached = activations(model, layer, images)
    goal = median(reached)
    each = [one / steps for one in seconds]
    print(f"torch-lucent: {ms_of(each)}, {spread(seconds, '.1f')} s for {steps} steps, activation {spread(reached)}")
    for batch, mine in ours.items():
        times = median(each) / median(mine)
        told = f" ({verdict(times, FASTER_GOAL, at_least=True, quick=quick)})" if batch > 1 else ""
        print(f"times torch-lucent's speed, batch of {batch}: {times:.2f}{told}")
    found = [time_to(model, layer, goal, seed) for seed in range(len(seconds))]
    arrived = [spent for spent, _, _ in found]
    share = median(arrived) / median(seconds)
    print(
        f"ours reach {goal:.2f} after {spread([float(step) for _, step, _ in found], '.0f')} steps, "
        f"{spread(arrived)} s: {share:.3f} of its time "
        f"({verdict(share, TIME_GOAL, at_least=False, quick=quick)}); "
        f"at the end {spread([last for _, _, last in found])}",
        flush=True,
    )


def time_to(model: ms.Model, layer: str, goal: float, seed: int) -> tuple[float, int, float]:
    """CPU seconds and steps until the image as it is reaches `goal` (infinite if never), and what it reaches in the end."""
    import torch

    from monoseme.base import Silent
    from monoseme.visualize.feature import FeatureConfig
    from monoseme.visualize.feature._make import prepare, unit_rows
    from monoseme.visualize.feature._optimise import State

    begin = time.process_time()
    work = prepare(model, layer, FeatureConfig(), seed)
    rows, _ = unit_rows([NEURON], work.to_layer.info)
    directions, state = torch.from_numpy(rows), work.start(range(1))
    looking, arrived = 0.0, (float("inf"), work.config.steps)

    def look(state: State) -> None:
        nonlocal looking, arrived
        at = time.process_time()
        if arrived[0] == float("inf") and work.finish(state, directions)[1].item() >= goal:
            arrived = (at - begin - looking, state.step)
        looking += time.process_time() - at

    work.run(state, range(1), directions, Silent(), look)
    return *arrived, work.finish(state, directions)[1].item()


def activations(model: ms.Model, layer: str, images: np.ndarray) -> list[float]:
    """What (n, H, W, 3) pixels in [0, 1] drive the neuron to, averaged over positions."""
    import torch

    from monoseme.models import ToLayer

    with torch.inference_mode():
        shown = normalised(model)(torch.from_numpy(images).permute(0, 3, 1, 2))
        return ToLayer(model, layer)(shown)[:, NEURON].mean((1, 2)).tolist()


def normalised(model: ms.Model) -> Callable[[Any], Any]:
    """From pixels in [0, 1] to the model's input, written out."""
    import torch

    import monoseme as ms

    assert isinstance(model.preprocess, ms.Preprocess)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (model.preprocess.mean, model.preprocess.std))
    scale = 255 * model.preprocess.scale
    return lambda pixels: (pixels * scale - mean) / std


def run_rival(name: str, layer: str, seeds: int, steps: int, out: Path) -> None:
    """In torch-lucent's Python: its final images and CPU seconds for each seed."""
    import torch

    model = load(name)
    from lucent.optvis import objectives, param, render, transform

    transforms = [*transform.standard_transforms, normalised(model)]
    images, seconds = [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (torch-lucent draws from it)
        begin = time.process_time()
        made = render.render_vis(
            model.module,
            objectives.channel(layer.replace(".", "_"), NEURON),
            lambda: param.image(SIDE),
            transforms=transforms,
            preprocess=False,
            thresholds=(steps,),
            fixed_image_size=SIDE,
            show_image=False,
            progress=False,
        )
        seconds.append(time.process_time() - begin)
        images.append(made[0][0])
    np.savez(out, images=np.stack(images), seconds=seconds)


def ms_of(seconds: list[float]) -> str:
    return spread([1e3 * each for each in seconds], ".1f")


if __name__ == "__main__":
    main()
