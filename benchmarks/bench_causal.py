"""Claims: causal evidence for 100 concepts on 1,000 images in under five minutes; applying a bank costs what embedding costs.

EfficientNet-Lite0 at 160 px on photographs of Caltech-101. Also what the cached prefix is worth: the pass from a layer on, again
and again for one batch, against whole passes with the layer's output changed by a hook.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from measuring import alternate, describe_machine, spread, verdict

import monoseme as ms
from monoseme.models import Change, FromLayer

SHARED = Path(os.environ.get("MONOSEME_SHARED", "../shared")) / "data"
CACHE = Path(tempfile.gettempdir()) / "monoseme-benchmarks"
MODEL, LAYERS = "bundled:efficientnet-lite0", ("blocks.8", "head")
CONCEPTS, IMAGES, PASSES = 100, 1000, 16
CAUSAL, APPLY = 300.0, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few concepts and images, one round")
    parser.add_argument("--images", default=str(SHARED / "caltech101-160.tar"), help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--data", type=Path, default=CACHE, help="folder that keeps the run (%(default)s)")
    options = parser.parse_args()
    rounds, quick = 1 if options.quick else options.rounds, options.quick
    model = ms.load_model(MODEL, image_size=160)
    run = ms.embed(model, options.images, LAYERS, out=options.data / "caltech101-lite0-causal")
    print(describe_machine("monoseme", "torch", "numpy"))
    print(f"{len(run):,} images, {MODEL} at 160 px")
    for layer in LAYERS:
        prefix(model, layer, rounds, quick)
    with tempfile.TemporaryDirectory() as folder:
        applying(model, run, options.images, Path(folder), rounds, quick)
    for layer in LAYERS:
        causal(model, run, layer, rounds, quick)


def prefix(model: ms.Model, layer: str, rounds: int, quick: bool) -> None:
    """What is left of a pass when it starts at the layer."""
    images = torch.rand((32, *model.input_size), generator=torch.Generator().manual_seed(0))
    from_layer = FromLayer(model, layer)

    def cached() -> float:
        begin = time.perf_counter()
        with torch.inference_mode():
            begun = from_layer.begin(images)
            for _ in range(PASSES):
                from_layer(begun, begun.output * 0.9)
        return time.perf_counter() - begin

    def whole() -> float:
        begin = time.perf_counter()
        with torch.inference_mode(), Change(model, layer, lambda output: output * 0.9):
            for _ in range(PASSES):
                model.module(model.batch(images))
        return time.perf_counter() - begin

    cached()
    found = alternate(rounds, {"from the layer": cached, "whole": whole})
    gain = [whole_s / cached_s for whole_s, cached_s in zip(found["whole"], found["from the layer"], strict=True)]
    print(
        f"{PASSES} changes of a batch of 32 at {layer}: {spread(found['from the layer'])} s from the layer on, "
        f"{spread(found['whole'])} s as whole passes; {spread(gain, '.1f')} x"
    )


def applying(model: ms.Model, run: ms.Run, images: str, folder: Path, rounds: int, quick: bool) -> None:
    """Scores of all images, against embedding them with what apply has no use for left out."""
    bank = banked(run, "head", 100 if quick else 1280)
    source = sorted(Path(images).iterdir())[:64] if quick and Path(images).is_dir() else images
    count = iter(range(1_000_000))

    def embed() -> float:
        begin = time.perf_counter()
        out = folder / f"run-{next(count)}"
        ms.embed(model, source, "head", out, predictions=False, thumbnails=False)
        return time.perf_counter() - begin

    def apply() -> float:
        begin = time.perf_counter()
        ms.apply_bank(bank, source, folder / f"{next(count)}.parquet", model=model)
        return time.perf_counter() - begin

    found = alternate(rounds, {"embed": embed, "apply": apply})
    ratio = [a / e for a, e in zip(found["apply"], found["embed"], strict=True)]
    print(
        f"{len(bank):,} concepts applied to {len(run):,} images: {spread(found['apply'], '.1f')} s, embedding them "
        f"{spread(found['embed'], '.1f')} s; {spread(ratio)} x ({verdict(median(ratio), APPLY, at_least=False, quick=quick)})"
    )


def causal(model: ms.Model, run: ms.Run, layer: str, rounds: int, quick: bool) -> None:
    """Enough neurons for 100 concepts, whose images, siblings' images and random images are 1,000 or more."""
    bank = banked(run, layer, 100)
    chosen = list(range(min(len(bank), 5 if quick else CONCEPTS)))
    seen: list[int] = []

    def tried() -> float:
        begin = time.perf_counter()
        seen.append(ms.causal(bank, run, model, concepts=chosen).info["images"])
        return time.perf_counter() - begin

    found = alternate(1 if quick else rounds, {"causal": tried})["causal"]
    scaled = [seconds * IMAGES / seen[0] for seconds in found]
    print(
        f"causal evidence for {len(chosen)} concepts of {layer} on {seen[0]:,} images: {spread(found, '.0f')} s; for "
        f"{IMAGES:,} images {spread(scaled, '.0f')} s ({verdict(median(scaled), CAUSAL, at_least=False, quick=quick)})"
    )


def banked(run: ms.Run, layer: str, neurons: int) -> ms.ConceptBank:
    """A bank of some neurons, without what takes time and changes no vector; of the run, as one that was loaded from it."""
    from dataclasses import replace

    bank = ms.disentangle(run.activations(layer), select=range(neurons), top=50, bootstrap=0)
    return replace(bank, run=run.path)


if __name__ == "__main__":
    main()
