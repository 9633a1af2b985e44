"""Claim: `monoseme --help` answers within 0.4 s, as a whole process."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from measuring import alternate, describe_machine, spread, verdict

GOAL = 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    rounds = 3 if parser.parse_args().quick else 15
    program = Path(sys.executable).with_name("monoseme")
    helping = [str(program)] if program.exists() else [sys.executable, "-m", "monoseme"]
    steps = {
        "python -c pass": lambda: seconds([sys.executable, "-c", "pass"]),
        "monoseme --help": lambda: seconds([*helping, "--help"]),
    }
    for step in steps.values():
        step()  # so that the files are in the system's cache
    found = alternate(rounds, steps)
    print(describe_machine("monoseme", "typer"))
    for name, times in found.items():
        print(f"{name}: {spread(times, '.3f')} s")
    helped = median(found["monoseme --help"])
    print(f"times an empty Python: {helped / median(found['python -c pass']):.1f}")
    print(f"monoseme --help: {helped:.3f} s ({verdict(helped, GOAL, at_least=False)})")


def seconds(command: list[str]) -> float:
    """Wall time of a whole process."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
