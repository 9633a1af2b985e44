"""One table of rivals: planted units, and real neurons seen by a second encoder; all tuned with the same effort but ours.

Each rival is tuned over eight settings (`rivals.py`) on units planted in the classes of even number of the same layer: the
setting with the largest mean of number right and ARI, over units of 1 to 6 sources, of the largest and of the sum. Figures are
of the classes of odd number, and of neurons. All get the same exemplars and the better kind of vector (centred).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_planted import CACHE, LAYERS, MODELS, SEED, Layer, Planting, embeddings_layer, graded, made_run, told
from measuring import describe_machine

if TYPE_CHECKING:
    import monoseme as ms

EVERY = Planting("largest", (1, 2, 3, 4, 5, 6)), Planting("sum", (1, 2, 3, 4, 5, 6), "sum")
REPORTED = Planting("one source", (1,)), Planting("largest"), Planting("sum", mixing="sum")
PLANTED = ("number right", "ARI", "relative precision@50, vectors")
JUDGED = (
    "judge's distance between - within",
    "intruder of the same neuron found",
    "intruder of another neuron found",
    "clarity",
    "polysemanticity",
    "monosemanticity score",
)
FIXED: dict[str, Any] = {"holdout": 0.0, "vector": "centred"}
NEURON_STEP, TOP = 5, 25


def main() -> None:
    warnings.filterwarnings("ignore", message="FastICA did not converge")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few units of planted_embeddings.npz only")
    parser.add_argument("--data", type=Path, default=CACHE, help="folder that keeps the runs (%(default)s)")
    parser.add_argument("--units", type=int, help="of each kind: 300, or 24 with --quick")
    parser.add_argument("--tuning", type=int, help="units of each mixing to tune on: 48, or 12 with --quick")
    parser.add_argument("--part", choices=["planted", "judged"], help="this half only")
    parser.add_argument("--only", nargs="*", help="these rivals only")
    options = parser.parse_args()
    units, tuning = options.units or (24 if options.quick else 300), options.tuning or (12 if options.quick else 48)
    print(describe_machine("monoseme", "torch", "numpy", "scikit-learn", "overcomplete"))
    begin = time.perf_counter()
    if options.part != "judged":
        planted(embeddings_layer(), units, tuning, options.only)
    if options.part != "planted" and not options.quick:
        runs = {name: made_run(name, options.data, LAYERS[-1:]) for name in MODELS}
        for name, judge in zip(MODELS, reversed(MODELS), strict=True):
            seen_by_judge(
                name, runs[name], runs[judge], f"{name} {LAYERS[-1]}, judged by {judge}", tuning, options.only
            )
    print(f"\n{time.perf_counter() - begin:.0f} s")


def planted(layer: Layer, units: int, tuning: int, only: list[str] | None) -> None:
    """Print the figures of units of other classes than those tuned on."""
    batches = [layer.planted(each, units, "report", SEED + 100 + seed) for seed, each in enumerate(REPORTED)]
    heads = [f"{name}, {each.name}" for each in REPORTED[1:] for name in ("right", "ARI", "precision")]
    print(f"\n{layer.name}: {units:,} units of each kind, K = {layer.top}; tuned on {2 * tuning}\n")
    print(f"| method | setting | false split | {' | '.join(heads)} | ms a unit |\n|---|---|{'---|' * (len(heads) + 2)}")
    for name, method, sees in contenders(layer, tuning, only):
        begin = time.process_time()
        single, *several = (
            graded(batch, method, features=sees(batch, each.mixing), **FIXED).figures()
            for batch, each in zip(batches, REPORTED, strict=True)
        )
        spent = 1000 * (time.process_time() - begin) / (units * len(REPORTED))
        cells = [told(found[figure]) for found in several for figure in PLANTED]
        split = "none found" if single["none found"].value == 1 else told(single["false split"])
        print(f"| {name} | {setting(method)} | {split} | {' | '.join(cells)} | {spent:.1f} |", flush=True)


def seen_by_judge(name: str, run: Any, judge: Any, title: str, tuning: int, only: list[str] | None) -> None:
    """Print the figures that a second encoder gives to the split of every fifth neuron."""
    import monoseme as ms
    from monoseme.evaluation.planted import Sources

    acts, looking_on = run.activations(LAYERS[-1]), judge.activations(LAYERS[-1])
    embeddings = np.concatenate([block for _, block in acts.blocks()])
    layer = Layer(title, Sources.of(embeddings, run.labels().codes), TOP)
    neurons, independence = range(0, acts.shape[1], NEURON_STEP), ""
    model = ms.load_model(f"bundled:efficientnet-{name}", image_size=160)
    lower = [each for each in model.layers() if each.startswith("blocks.") and each.count(".") == 1][-1]
    print(f"\n{title}: {len(neurons)} neurons, K = {TOP}; tuned on {2 * tuning} planted units\n")
    print(f"| method | setting | neurons split | {' | '.join(JUDGED)} | ms a neuron |")
    print(f"|---|---|---|{'---|' * (len(JUDGED) + 1)}")
    circuits = {beside: Kept(ms.Circuit(run, lower, model, beside=beside)) for beside in (False, True)}
    for name, method, sees in contenders(layer, tuning, only):
        begin = time.process_time()
        features = None if sees is embedding else circuits["beside" in name]
        bank = ms.disentangle(acts, method, select=list(neurons), top=TOP, bootstrap=0, features=features, **FIXED)
        spent = time.process_time() - begin + (0 if features is None else features.spared)
        split = sum(count for concepts, count in bank.histogram().items() if concepts > 1) / len(neurons)
        cells = ["-"] * len(JUDGED)
        if len(bank):
            found = ms.evaluate(bank, acts, judge=looking_on)
            independence = found.info["judge"]["independence"]
            cells = [of_concepts(found, figure) for figure in JUDGED]
        cells.append(f"{1000 * spent / len(neurons):.1f}")
        print(f"| {name} | {setting(method)} | {split:.2f} | {' | '.join(cells)} |", flush=True)
    print(f"\nthe judge: {independence}")


def of_concepts(found: ms.Evaluation, figure: str) -> str:
    """A figure of the concepts with its interval."""
    [row] = [row for row in found.figures.to_pylist() if (row["figure"], row["of"]) == (figure, "concepts")]
    return told([np.nan if row[name] is None else row[name] for name in ("value", "low", "high")])


def contenders(layer: Layer, tuning: int, only: list[str] | None) -> Iterator[tuple[str, Any, Any]]:
    """Each way of splitting with the setting that did best on the half of the classes that is not reported, and what it sees."""
    from rivals import IN_CIRCUITS, SETTINGS, PlantedCircuit, overcomplete

    from monoseme.splitting import Calibrated, Published

    batches = [layer.planted(each, tuning, "development", seed) for seed, each in enumerate(EVERY)]

    def score(method: Any) -> float:
        grades = [graded(batch, method, **FIXED).partition for batch in batches]
        return float(np.mean([(each.right.mean() + each.ari.mean()) / 2 for each in grades]))

    untuned = {
        "calibrated, untuned": Calibrated(),
        "published, d_max 15": Published(distance_threshold=15.0, outlier_threshold=15.0),
    }
    settings: Mapping[str, Any] = {**{name: [method] for name, method in untuned.items()}, **SETTINGS}
    for name, methods in settings.items():
        if only and name not in only:
            continue
        if name == "TopK SAE":
            try:
                overcomplete()
            except ImportError as error:
                print(f"no TopK SAE: {error}")
                continue
        yield name, max(methods, key=score) if len(methods) > 1 else methods[0], embedding
    for name, (method, beside) in IN_CIRCUITS.items():
        if not only or name in only:
            yield name, method, partial(PlantedCircuit, beside=beside)


def embedding(_units: Any, _mixing: str) -> None:
    """No other description of the exemplars."""


class Kept:
    """Circuits of the same exemplars, attributed once; `spared` is the CPU time that the last use did not spend again."""

    def __init__(self, circuit: Any) -> None:
        self.circuit, self.found, self.seconds, self.spared = circuit, None, 0.0, 0.0

    def describe(self, *asked: Any) -> Any:
        self.spared = self.seconds
        if self.found is None:
            begin = time.process_time()
            self.found = self.circuit.describe(*asked)
            self.seconds = time.process_time() - begin
        return self.found

    def recorded(self) -> dict[str, Any]:
        return self.circuit.recorded()


def setting(method: Any) -> str:
    """The fields that differ from their defaults or that rivals are tuned in."""
    tuned = ("factor", "floor", "smallest", "components", "covariance", "share", "top_k")
    return (
        ", ".join(f"{each.name} {getattr(method, each.name)}" for each in fields(method) if each.name in tuned) or "-"
    )


if __name__ == "__main__":
    main()
