"""Accuracy with one neuron at a time set to zero, by a plain forward hook: a single neuron barely matters."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from arguments import Given, script

import monoseme as ms
from monoseme.runs import model_of, originals

BATCH = 32


def main(given: Given) -> None:
    run, layer = given.run, given.bank.layer
    model = model_of(run)
    truth = true_classes(run, model.outputs)
    count = min(given.more.sample, len(run))
    chosen = np.sort(np.random.default_rng(0).choice(len(run), count, replace=False))
    right: Counter[int | None] = Counter()
    with originals(run) as source, torch.inference_mode():
        for begin in range(0, count, BATCH):
            ids = chosen[begin : begin + BATCH]
            pixels = np.stack([model.preprocess.pixels(image) for image in source.load(ids)])
            batch = model.batch(model.preprocess.tensor(pixels))
            for neuron in (None, *given.neurons):
                with zeroed(model, layer, neuron):
                    found = model.module(batch).argmax(1).cpu().numpy()
                right[neuron] += int((found == truth[ids]).sum())
    print(f"accuracy on {count:,} images: {right[None] / count:.4f}")
    for neuron in given.neurons:
        print(f"  without neuron {neuron} of {layer}: {right[neuron] / count:.4f}")
    given.write_table(
        [
            {"without": "" if n is None else n, "images": count, "accuracy": right[n] / count}
            for n in (None, *given.neurons)
        ]
    )


def true_classes(run: ms.Run, outputs: int | None) -> np.ndarray:
    """(N,) the class of each image: its folder's place where there is one for each class, as ImageNet has them.

    Where folders are no classes of the model, the class that it takes the most images of the folder for.
    """
    rows = run.images(columns=["label", "predictions"]).to_pylist()
    folders = sorted({row["label"] for row in rows})
    if len(folders) == outputs:
        return np.array([folders.index(row["label"]) for row in rows])
    taken_for: dict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        taken_for[row["label"]][row["predictions"][0]["class"]] += 1
    return np.array([taken_for[row["label"]].most_common(1)[0][0] for row in rows])


@contextmanager
def zeroed(model: ms.Model, layer: str, neuron: int | None) -> Iterator[None]:
    """Within this block the layer's neuron is zero at every position."""
    channels = 1 if model.layers()[layer].layout in ("NCHW", "NC") else -1

    def zero(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return (
            output if neuron is None else output.index_fill(channels, torch.tensor([neuron], device=output.device), 0)
        )

    hook = model.module.get_submodule(layer).register_forward_hook(zero)
    try:
        yield
    finally:
        hook.remove()


if __name__ == "__main__":
    script(main, __doc__, sample={"type": int, "default": 1000, "help": "images to measure on"})
