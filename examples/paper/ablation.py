"""Accuracy with one neuron at a time set to zero, or to its mean over the data set: a single neuron barely matters."""

from collections import Counter, defaultdict
from contextlib import nullcontext

import numpy as np
import torch
from arguments import Given, script

import monoseme as ms
from monoseme.runs import model_of, originals

BATCH = 32
WHOLE = (None, "")


def main(given: Given) -> None:
    run, layer = given.run, given.bank.layer
    model = model_of(run)
    acts = run.activations(layer, given.bank.pooling)
    truth = true_classes(run, model.outputs)
    count = min(given.more.sample, len(run))
    chosen = np.sort(np.random.default_rng(0).choice(len(run), count, replace=False))
    blocks = {(neuron, "zero"): ms.ablate(model, layer, neuron) for neuron in given.neurons}
    blocks |= {(neuron, "mean"): ms.ablate(model, layer, neuron, centre=acts) for neuron in given.neurons}
    right, changed = Counter(), Counter()
    with originals(run) as source, torch.inference_mode():
        for begin in range(0, count, BATCH):
            ids = chosen[begin : begin + BATCH]
            pixels = np.stack([model.preprocess.pixels(image) for image in source.load(ids)])
            batch = model.batch(model.preprocess.tensor(pixels))
            whole = None
            for way, block in {WHOLE: nullcontext(), **blocks}.items():
                with block:
                    found = model.module(batch).argmax(1).cpu().numpy()
                whole = found if whole is None else whole
                right[way] += int((found == truth[ids]).sum())
                changed[way] += int((found != whole).sum())
    print(f"accuracy on {count:,} images: {right[WHOLE] / count:.4f}")
    for neuron, to in blocks:
        print(
            f"  neuron {neuron} of {layer} set to {'zero' if to == 'zero' else 'its mean'}: {right[neuron, to] / count:.4f}; "
            f"another class for {changed[neuron, to] / count:.2%} of the images"
        )
    given.write_table(
        [
            {
                "without": "" if neuron is None else neuron,
                "set_to": to,
                "images": count,
                "accuracy": right[neuron, to] / count,
                "changed": changed[neuron, to] / count,
            }
            for neuron, to in (WHOLE, *blocks)
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


if __name__ == "__main__":
    script(main, __doc__, sample={"type": int, "default": 1000, "help": "images to measure on"})
