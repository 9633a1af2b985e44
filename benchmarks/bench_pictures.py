"""Claims: all pictures of one neuron within five seconds, a report of 100 neurons within a minute, on two cores.

Whole processes, from a cold start, on a run that is made first (or given): EfficientNet-Lite0 on patches of the sample photographs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measuring import alternate, describe_machine, spread, verdict

import monoseme as ms
from monoseme.base import bank_folder, list_banks

NEURON_GOAL, REPORT_GOAL = 5.0, 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, one round")
    parser.add_argument("--run", type=Path, help="a run with a bank, in place of one that is made")
    parser.add_argument("--bank", help="which bank of it")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or made(Path(folder) / "run", per_image=16 if arguments.quick else 256)
        out = Path(folder) / "out"
        bank = [] if arguments.bank is None else ["--bank", arguments.bank]
        commands = {
            "all pictures of a neuron and of the layer": ["visualize", run, *bank, "--out", out],
            "all pictures of one neuron": [
                "visualize",
                run,
                *bank,
                "--out",
                out,
                "--neuron",
                telling(run, arguments.bank),
            ],
            "report of 100 neurons": ["report", run, *bank, "--out", out / "report.html", "--neurons", "100"],
        }
        print(describe_machine("matplotlib", "scikit-learn", "pillow", "pylance"))
        opened = ms.open_run(run)
        print(f"{len(opened):,} images, {opened.columns()[-1].channels:,} neurons")
        found = alternate(
            1 if arguments.quick else arguments.rounds,
            {name: lambda command=command: seconds(command, out) for name, command in commands.items()},
        )
        for name, times in found.items():
            goal = REPORT_GOAL if name.startswith("report") else NEURON_GOAL
            print(f"{name}: {spread(times)} s ({verdict(median(times), goal, at_least=False, quick=arguments.quick)})")
        subprocess.run(
            [sys.executable, "-m", "monoseme", *map(str, commands["report of 100 neurons"]), "-q"], check=True
        )
        print(f"size of the report: {(out / 'report.html').stat().st_size / 1e6:.1f} MB")


def made(path: Path, per_image: int) -> Path:
    """A run with a calibrated bank."""
    model = ms.load_model("bundled:efficientnet-lite0", image_size=128)
    run = ms.embed(model, f"patches:samples:?per_image={per_image}&min=0.12&max=0.6", None, path)
    bank = ms.disentangle(run.activations(), top=min(60, len(run) // 4), holdout=0.0, bootstrap=0)
    bank.save(bank_folder(run.path, bank.layer, "calibrated"))
    return path


def telling(run: Path, name: str | None) -> int:
    """The neuron whose concepts are told apart most clearly."""
    layer, only = next(pair for pair in list_banks(run) if name in (None, pair[1]))
    return ms.load_bank(bank_folder(run, layer, only)).most_split(1)[0]


def seconds(command: list[object], out: Path) -> float:
    """Wall time of a whole process that begins with nothing written."""
    shutil.rmtree(out, ignore_errors=True)
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "monoseme", *map(str, command), "-q"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
