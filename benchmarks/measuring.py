"""What the benchmarks share: rounds in alternation, medians with spreads, peak memory, and a line about the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


MOST_ROUNDS = 2
"""Times the rounds asked for, when other processes disturb."""
CALM = 0.05
"""Share of the cores that other processes may take in a round that counts."""


def alternate(rounds: int, steps: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Results of each step from `rounds` rounds; each round runs every step once, so that a slow minute hits them all.

    When other processes took more than `CALM` of the cores, further rounds are run, and those with the least disturbance
    are kept, whatever came out of them.
    """
    found: list[tuple[float, dict[str, Any]]] = []
    while len(found) < rounds * MOST_ROUNDS and sum(others <= CALM for others, _ in found) < rounds:
        begin, used = time.perf_counter(), others_cpu()
        results = {name: step() for name, step in steps.items()}
        taken = max(0.0, others_cpu() - used) / (time.perf_counter() - begin) / CORES
        found.append((taken, results))
        print(f"  round {len(found)}: other processes took {taken:.0%} of the cores", file=sys.stderr, flush=True)
    calmest = sorted(found, key=lambda one: one[0])[:rounds]
    taken_by_others = ", ".join(f"{others:.0%}" for others, _ in calmest)
    print(f"{len(calmest)} rounds of {len(found)}; of the cores, other processes took {taken_by_others}")
    return {name: [results[name] for _, results in calmest] for name in steps}


def others_cpu() -> float:
    """CPU seconds of all processes but this one and its finished children, since whenever; 0 where the system does not tell."""
    with suppress(OSError):
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        user, nice, system, _idle, _waiting, *interrupts = ticks
        busy = (user + nice + system + sum(interrupts[:3])) / os.sysconf("SC_CLK_TCK")
        return busy - sum(os.times()[:4])
    return 0.0


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median, least and greatest.

    >>> spread([3.0, 1.0, 2.0], ".0f")
    '2 (1 to 3)'
    """
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def verdict(value: float, goal: float, *, at_least: bool, quick: bool = False) -> str:
    """The goal, and whether it is reached."""
    reached = value >= goal if at_least else value <= goal
    said = "which --quick cannot tell" if quick else "reached" if reached else "MISSED"
    return f"goal: {'at least' if at_least else 'at most'} {goal:g}, {said}"


def in_new_process(file: str, *arguments: object) -> Any:
    """What a part of a benchmark prints as JSON when it runs in a process of its own."""
    command = [sys.executable, file, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def peak_memory(process: int | str = "self") -> int:
    """Peak resident bytes of a process. (`ru_maxrss` will not do: a child inherits that of its parent.)"""
    with suppress(OSError, ProcessLookupError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


class ChildrenPeak:
    """Adds up the peak memory of the child processes that are seen while a ``with`` block lasts."""

    def __enter__(self) -> ChildrenPeak:
        self._peaks: dict[str, int] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self._peaks.values())

    def _watch(self) -> None:
        while not self._done.wait(0.25):
            for children in Path("/proc/self/task").glob("*/children"):
                with suppress(OSError):
                    for child in children.read_text().split():
                        # the last reading: before a child is its own program, it shows the memory of its parent
                        self._peaks[child] = peak_memory(child) or self._peaks.get(child, 0)


def describe_machine(*packages: str) -> str:
    """Cores, processor, memory, Python, and the versions of the packages that matter."""
    name, vector = platform.processor() or platform.machine(), ""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        lines = dict(map(str.strip, line.split(":", 1)) for line in text.splitlines() if ":" in line)
        name = f"{lines['model name']} (family {lines['cpu family']}, model {lines['model']})"
        vector = ", AVX-512" if "avx512f" in lines["flags"] else ", AVX2" if "avx2" in lines["flags"] else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    return f"{CORES} cores of {name}{vector}, {memory:.0f} GiB; Python {platform.python_version()}; {versions}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
