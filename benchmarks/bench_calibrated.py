"""Claim: the calibrated method with 20 bootstraps takes at most 4 times what the published method takes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_disentangle import CACHE, QUICK, Size
from measuring import alternate, describe_machine, spread, verdict

import monoseme as ms

GOAL = 4.0
METHODS: dict[str, dict[str, Any]] = {
    "published": {"method": "published"},
    "calibrated, no bootstrap": {"bootstrap": 0},
    "calibrated": {},
}


def main() -> None:
    """Run all in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small layer")
    parser.add_argument("--data", type=Path, default=CACHE, help="folder that keeps the layer (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else Size()
    acts = np.load(size.made(arguments.data))
    print(describe_machine("torch", "numpy", "scipy"))
    found = alternate(
        arguments.rounds, {name: lambda options=options: seconds(acts, options) for name, options in METHODS.items()}
    )
    for name, values in found.items():
        print(f"{name}: {spread(values, '.1f')} s")
    ratios = [mine / theirs for mine, theirs in zip(found["calibrated"], found["published"], strict=True)]
    reached = verdict(median(ratios), GOAL, at_least=False, quick=arguments.quick)
    print(f"calibrated over published: {spread(ratios)}, {reached}")


def seconds(acts: np.ndarray, options: dict[str, Any]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    ms.disentangle(acts, **options)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
