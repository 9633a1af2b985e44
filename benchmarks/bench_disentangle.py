"""Claim: disentangling all neurons takes at most 1.5 times what cannot be saved, and under 3 GiB beside the data.

What cannot be saved is the product of all concept vectors with all images, and one pass over the data. It is timed with the
same threads and number type, in blocks, into memory that is used again. The matrix is `made_up_layer`'s, held in memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from made_up_layer import CLASSES, IMAGES, NEURONS, make_layer
from measuring import alternate, describe_machine, in_new_process, peak_memory, spread, verdict

RATIO_GOAL, MEMORY_GOAL = 1.5, 3.0
BLOCKS = (1_024, 2_048, 8_192)


@dataclass(frozen=True)
class Size:
    """Of the made-up layer."""

    images: int = IMAGES
    neurons: int = NEURONS
    classes: int = CLASSES

    def path(self, folder: Path) -> Path:
        """Where a matrix of this size is kept."""
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"layer-{self.images}x{self.neurons}x{self.classes}.npy"

    def made(self, folder: Path) -> Path:
        """The matrix, made if it is not there."""
        make_layer(self.path(folder), self.images, self.neurons, self.classes)
        return self.path(folder)


QUICK = Size(8_192, 512, 20)
CACHE = Path(tempfile.gettempdir()) / "monoseme-benchmarks"


class Stages:
    """A reporter that keeps how long each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def task(self, description: str, total: int | None, unit: str) -> Iterator[Stages]:
        begin = time.perf_counter()
        yield self
        self.seconds[description] += time.perf_counter() - begin

    def advance(self, amount: int = 1) -> None:
        pass

    def note(self, message: str) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small matrix, few rounds")
    parser.add_argument("--data", type=Path, default=CACHE, help="folder that keeps the matrix (%(default)s)")
    parser.add_argument("--rounds", type=int, help="5, or 2 with --quick")
    parser.add_argument("--part", choices=["memory"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = (QUICK if options.quick else Size()).made(options.data)
    if options.part == "memory":
        print(json.dumps(memory(path)))
        return
    compare(path, options.rounds or (2 if options.quick else 5), options.quick)
    beside = in_new_process(__file__, "--part", "memory", "--data", options.data, *["--quick"] * options.quick)
    peak = beside["peak"] / 2**30
    print(f"before disentangling, interpreter and libraries beside the data: {beside['before'] / 2**30:.2f} GiB")
    print(
        f"peak memory beside the data: {peak:.2f} GiB ({verdict(peak, MEMORY_GOAL, at_least=False, quick=options.quick)})"
    )


def compare(path: Path, rounds: int, quick: bool) -> None:
    """Print the ratio of disentangling to what cannot be saved."""
    import monoseme as ms

    acts = np.load(path)
    bank = ms.disentangle(acts, "published")  # the first call also loads libraries
    block_rows = min(BLOCKS, key=lambda rows: product_and_pass(acts, bank.vectors, rows))

    def disentangled() -> tuple[float, dict[str, float]]:
        stages, begin = Stages(), time.perf_counter()
        ms.disentangle(acts, "published", progress=stages)
        return time.perf_counter() - begin, stages.seconds

    steps = {
        "product and pass": partial(product_and_pass, acts, bank.vectors, block_rows),
        "disentangle": disentangled,
    }
    found = alternate(rounds, steps)
    bare, ours = found["product and pass"], [seconds for seconds, _ in found["disentangle"]]
    ratios = [mine / least for mine, least in zip(ours, bare, strict=True)]
    print(describe_machine("monoseme", "torch", "numpy", "scipy"))
    print(
        f"{acts.shape[0]:,} images x {acts.shape[1]:,} neurons, float32, in memory; {len(bank):,} concepts; {bank.histogram()}"
    )
    print(
        f"product of {len(bank):,} concept vectors with all images, and one pass: {spread(bare)} s (blocks of {block_rows:,})"
    )
    print(f"disentangle: {spread(ours)} s")
    for stage in found["disentangle"][0][1]:
        print(f"  {stage}: {spread([stages[stage] for _, stages in found['disentangle']])} s")
    print(
        f"disentangle / (product + pass): {spread(ratios)} ({verdict(median(ratios), RATIO_GOAL, at_least=False, quick=quick)})"
    )
    print(f"ratio of the least times: {min(ours) / min(bare):.2f}")


def product_and_pass(acts: np.ndarray, vectors: np.ndarray, block_rows: int) -> float:
    """Seconds for the product concepts x channels x images and one pass over the data."""
    import torch

    left, right = torch.from_numpy(vectors), torch.from_numpy(acts)
    memory = torch.empty(len(left) * block_rows)
    begin = time.perf_counter()
    for block in right.split(block_rows):
        torch.mm(left, block.T, out=memory[: len(left) * len(block)].view(len(left), len(block)))
    right.sum()
    return time.perf_counter() - begin


def memory(path: Path) -> dict[str, int]:
    """Bytes beside the data: before, and at the peak."""
    import torch  # noqa: F401

    import monoseme as ms

    acts = np.load(path)
    before = peak_memory() - acts.nbytes
    ms.disentangle(acts, "published")
    return {"before": before, "peak": peak_memory() - acts.nbytes}


if __name__ == "__main__":
    main()
