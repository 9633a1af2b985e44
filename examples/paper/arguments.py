"""What the scripts of this folder share: which run, which bank, which neurons, where to write."""

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monoseme as ms


@dataclass(frozen=True)
class Given:
    """What was asked for, opened."""

    run: ms.Run
    bank: ms.ConceptBank
    neurons: list[int]
    out: Path
    more: argparse.Namespace
    """The script's own options."""

    def write_table(self, rows: Sequence[dict[str, Any]], name: str = "") -> None:
        """Write rows as CSV to `out`, or to a file in it, and say so."""
        path = self.out / name if name else self.out
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        print(f"wrote {path}")


def script(main: Callable[[Given], None], about: str | None, **more: dict[str, Any]) -> None:
    """Run a script on what the command line names; an error is one sentence."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("run", help="a folder made by monoseme embed")
    parser.add_argument("--bank", default="published", help="which bank of the run")
    parser.add_argument("--neuron", default="", help="which neurons, such as 35,16,1")
    parser.add_argument("--out", type=Path, help="what to write", required=True)
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    given = parser.parse_args()
    try:
        neurons = [int(number) for number in given.neuron.split(",") if number]
        main(Given(ms.open_run(given.run), ms.load_bank(given.run, name=given.bank), neurons, given.out, given))
    except ms.MonosemeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
