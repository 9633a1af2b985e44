"""Claims: circuits of all neurons of a layer cost at most ten times the embedding of their exemplars; a model with a channel for
each concept predicts the same, and its new channels are purer than the old one.

EfficientNet-Lite0's head on Caltech-101, K = 25. CPU time, for the machine may be shared. Purity is the share of the largest class
among the 25 images that are strongest on a channel, and the mean cosine of the embeddings that a second model (Lite2) gives to
them, less its mean embedding.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_planted import CACHE, SHARED, made_run
from measuring import describe_machine, verdict

TOP, BATCH = 25, 32
MOST_TIMES, MOST_DIFFERENCE = 10, 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images, 5 neurons split")
    parser.add_argument("--data", type=Path, default=CACHE, help="folder that keeps the runs (%(default)s)")
    options = parser.parse_args()
    import monoseme as ms

    print(describe_machine("monoseme", "torch", "numpy"))
    run, judge = (made_run(name, options.data, ["head"]) for name in ("lite0", "lite2"))
    model = ms.load_model("bundled:efficientnet-lite0", image_size=160)
    costs(run, model, 2 if options.quick else 8)
    channels(run, judge, model, 5 if options.quick else 20)


def costs(run: Any, model: Any, batches: int) -> None:
    """Print what circuits cost against embedding the same images, on batches spread over the exemplars of all neurons."""
    from monoseme.base import Silent
    from monoseme.models import Attribution, Tap, Tapped
    from monoseme.runs import originals
    from monoseme.splitting import attributed

    acts = run.activations("head")
    order = np.argsort(-np.asarray(acts[:]), axis=0, kind="stable")
    for top in (TOP, 100):
        ids, neurons = order[:top].reshape(-1), np.tile(np.arange(acts.shape[1]), top)
        images, counts = np.unique(ids, return_counts=True)
        images = images[np.argsort(-counts, kind="stable")]
        starts = np.linspace(0, len(images) - BATCH, batches).astype(int)
        chosen = np.unique(images[starts[:, None] + np.arange(BATCH)])
        mine = np.isin(ids, chosen)
        print(
            f"K = {top}: {len(ids):,} exemplars in {len(images):,} images; on {mine.sum():,} in {len(chosen)} of them:"
        )
        with originals(run) as source:
            begin = time.process_time()
            with Tapped(model, [Tap("head")], predictions=False) as tapped:
                for first in range(0, len(chosen), BATCH):
                    tapped(source.tensor(chosen[first : first + BATCH], model))
            embedding = time.process_time() - begin
            print(f"- embedding: {1000 * embedding / len(chosen):.1f} ms an image")
            for lower in ("blocks.15", "blocks.14"):
                attribution = Attribution(model, "head", lower)
                begin = time.process_time()
                for _ in attributed(source, attribution, ids[mine][:, None], neurons[mine], Silent()):
                    pass
                times = (time.process_time() - begin) / embedding
                each = 1000 * times * embedding / mine.sum()
                said = verdict(times, MOST_TIMES, at_least=False)
                print(
                    f"- circuits from {lower}: {each:.2f} ms an exemplar, {top * each:.0f} ms a neuron, {times:.2f} times; {said}"
                )


def channels(run: Any, judge: Any, model: Any, most: int) -> None:
    """Print how pure the channels of a rewritten model are."""
    import torch

    import monoseme as ms

    acts = run.activations("head")
    bank = ms.disentangle(acts, top=TOP, holdout=0.0, bootstrap=0)
    neurons = sorted(bank.most_split(most))
    begin = time.process_time()
    split = ms.split_channels(bank, run, neurons, model)
    spent = (time.process_time() - begin) / len(neurons)
    noise = torch.randn(8, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    before, after = model.module(noise), split.model.module(noise)
    difference = float((after - before).abs().max() / before.abs().max())
    with tempfile.TemporaryDirectory() as folder:
        made = ms.embed(split.model, SHARED / "caltech101-160.tar", [split.layer], out=Path(folder) / "run")
        new = np.asarray(made.activations(split.layer)[:])
    old, labels = np.asarray(acts[:]), run.labels().codes
    seen = np.asarray(judge.activations("head")[:])
    seen = seen - seen.mean(0)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    rows = split.channels.to_pydict()
    shuffled = np.random.default_rng(0).permutation(labels)
    print(f"\n{len(neurons)} neurons split into {len(rows['channel'])} channels, {1000 * spent:.0f} ms a neuron")
    print(
        f"greatest relative difference of predictions: {difference:.1e}; {verdict(difference, MOST_DIFFERENCE, at_least=False)}"
    )
    print(f"kept of the activation (median) {np.median(rows['kept']):.2f}, own share {np.mean(rows['purity']):.2f}")
    print(
        f"inputs of its own {np.median(rows['inputs']):.0f}, shared {np.median(rows['shared']):.0f} of {len(split.sources[0][0])}"
    )
    print(
        "\n| strongest 25 images of | largest class | with shuffled labels | mean cosine for the judge |\n|---|---|---|---|"
    )
    scores = {
        "neurons": old[:, neurons],
        "new channels": new,
        "concept vectors": bank.project(old)[:, rows["concept"]],
    }
    for name, score in scores.items():
        top = np.argsort(-score, axis=0, kind="stable")[:TOP].T
        cells = [np.mean([largest(each[mine]) for mine in top]) for each in (labels, shuffled)]
        cells.append(np.mean([alike(seen[mine]) for mine in top]))
        print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")


def largest(labels: np.ndarray) -> float:
    """Share of the largest class."""
    return float(np.bincount(labels).max() / len(labels))


def alike(units: np.ndarray) -> float:
    """Mean cosine of different images."""
    cosines = units @ units.T
    return float((cosines.sum() - np.trace(cosines)) / (len(units) * (len(units) - 1)))


if __name__ == "__main__":
    main()
