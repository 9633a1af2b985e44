"""Claim: disentangling is at least 300 times as fast as the published loops, and 4 times as fast as a scikit-learn loop.

All three split neurons of the same matrix (`made_up_layer`, in memory) with the same thresholds; the loops are timed on a few
neurons, spread over the layer, and extrapolated to all. The scikit-learn loop is what a careful user would write: exemplars
by argpartition of the neuron's column, scikit-learn's clusterings, and one matrix product a neuron for the top images. The
bench stops when the three do not agree on the concepts of the neurons that were timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from bench_disentangle import CACHE, QUICK, Size
from measuring import MOST_ROUNDS, alternate, describe_machine, spread, verdict
from published_loops import Found, Settings, published_loops, split

if TYPE_CHECKING:
    import monoseme as ms

LOOPS_GOAL, SKLEARN_GOAL = 300.0, 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small matrix, few rounds")
    parser.add_argument("--data", type=Path, default=CACHE, help="folder that keeps the matrix (%(default)s)")
    parser.add_argument("--rounds", type=int, help="3, or 2 with --quick")
    parser.add_argument(
        "--published", type=int, default=2, help="neurons a round for the published loops (%(default)s)"
    )
    parser.add_argument(
        "--sklearn", type=int, default=20, help="neurons a round for the scikit-learn loop (%(default)s)"
    )
    options = parser.parse_args()

    rounds = options.rounds or (2 if options.quick else 3)
    acts = np.load((QUICK if options.quick else Size()).made(options.data))
    neurons = acts.shape[1]
    settings = thresholds(acts)
    bank = disentangle(acts, settings)
    wide = acts.astype(np.float64)  # as the public code holds its embeddings
    loops = (
        Loop("published loops", options.published, LOOPS_GOAL, lambda n: published_loops(wide, n, settings)),
        Loop(
            "the same with looped exemplars",
            options.published,
            None,
            lambda n: published_loops(wide, n, settings, True),
        ),
        Loop("scikit-learn loop", options.sklearn, SKLEARN_GOAL, lambda n: sklearn_loop(acts, n, settings)),
    )
    most = rounds * MOST_ROUNDS
    chosen = np.linspace(0, neurons - 1, most * max(loop.neurons for loop in loops), dtype=int).reshape(most, -1)
    turns = iter(np.repeat(chosen, len(loops), axis=0).tolist())  # the neurons of each loop of each round
    steps: dict[str, Callable[[], float]] = {
        loop.name: lambda loop=loop: loop.seconds_each(next(turns)[: loop.neurons], bank) for loop in loops
    }
    found = alternate(rounds, {**steps, "disentangle": lambda: seconds(lambda: disentangle(acts, settings))})
    print(describe_machine("monoseme", "torch", "numpy", "scikit-learn"))
    print(f"{acts.shape[0]:,} images x {neurons:,} neurons; {settings}; {len(bank):,} concepts")
    ours = found["disentangle"]
    print(f"disentangle, all {neurons:,} neurons: {spread(ours)} s")
    for loop in loops:
        each = found[loop.name]
        ratios = [theirs * neurons / mine for theirs, mine in zip(each, ours, strict=True)]
        goal = (
            "" if loop.goal is None else f" ({verdict(median(ratios), loop.goal, at_least=True, quick=options.quick)})"
        )
        print(f"{loop.name}: {spread(each, '.3f')} s a neuron, {median(each) * neurons:,.0f} s for all")
        print(f"  / disentangle: {spread(ratios, '.1f')}{goal}")
    print("all agree with disentangle on the concepts of all neurons that were timed")


@dataclass(frozen=True)
class Loop:
    """A way of splitting one neuron after the other."""

    name: str
    neurons: int
    """As many in each round."""
    goal: float | None
    solve: Callable[[int], Found]

    def seconds_each(self, neurons: Sequence[int], bank: ms.ConceptBank) -> float:
        """Mean time of a neuron; what comes out is checked against the bank."""
        found: list[Found] = []
        each = seconds(lambda: found.extend(map(self.solve, neurons))) / len(neurons)
        for neuron, theirs in zip(neurons, found, strict=True):
            check_agreement(bank, neuron, theirs)
        return each


def seconds(step: Callable[[], object]) -> float:
    """Wall time of a call."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def thresholds(acts: np.ndarray) -> Settings:
    """Numbers that suit this matrix: the automatic distance threshold, and what nine in ten exemplars stay below."""
    import monoseme as ms

    bank = ms.disentangle(acts, "published")
    distance = float(bank.info["parameters"]["distance_threshold"])
    return Settings(round(distance, 1), round(float(np.quantile(bank.exemplars["squared_distance"], 0.9)), 1))


def disentangle(acts: np.ndarray, settings: Settings) -> ms.ConceptBank:
    """All neurons, by monoseme."""
    import monoseme as ms

    return ms.disentangle(
        acts,
        "published",
        top=settings.top,
        distance_threshold=settings.distance_threshold,
        outlier_threshold=settings.outlier_threshold,
        min_size=settings.min_size,
    )


def sklearn_loop(acts: np.ndarray, neuron: int, settings: Settings) -> Found:
    """One neuron, by NumPy and scikit-learn without a loop over images."""
    exemplars = best(acts[:, neuron], settings.top)
    kept, vectors = split(acts[exemplars], settings)
    projections = acts @ vectors.T
    return Found(exemplars, kept, vectors, [best(column, settings.top) for column in projections.T])


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """Where the largest scores are, largest first."""
    some = np.argpartition(scores, -count)[-count:]
    return some[np.argsort(-scores[some], kind="stable")]


def check_agreement(bank: ms.ConceptBank, neuron: int, theirs: Found) -> None:
    """Raise unless the bank holds the same concepts of a neuron: exemplars, members, vectors, and top images."""
    ours = bank.for_direction(neuron)
    members = [frozenset(theirs.exemplars[theirs.kept == n].tolist()) for n in np.unique(theirs.kept) if n >= 0]
    same = {frozenset(concept.image_ids.tolist()): concept for concept in ours}
    if set(bank.exemplars_of(neuron)["image_id"].to_pylist()) != set(theirs.exemplars.tolist()):
        raise RuntimeError(f"other exemplars of neuron {neuron}")
    if same.keys() != set(members):
        raise RuntimeError(f"other concepts of neuron {neuron}")
    for member, vector, top in zip(members, theirs.vectors, theirs.top, strict=True):
        images = bank.top_images(same[member].number, len(top))["image_id"].to_pylist()
        if same[member].vector @ vector < 0.99999 or len(set(images) & set(top.tolist())) < len(top) - 1:
            raise RuntimeError(f"another vector or other top images of a concept of neuron {neuron}")


if __name__ == "__main__":
    main()
