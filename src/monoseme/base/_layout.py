"""Where things are in the folder of a run."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from ._files import check_name

BANKS = "banks"
TABLE = "activations.lance"
STUDIES = "studies"
ANNOTATIONS, ANNOTATIONS_LOCK = "annotations.jsonl", ".annotations.lock"


def bank_folder(run: Path, layer: str, name: str) -> Path:
    """Where a run keeps the bank of that layer and name.

    Raises
    ------
    UsageError
        The name has characters that a file name should not have.
    """
    return run / BANKS / quote(layer, safe="") / check_name(name, "a bank")


def list_banks(run: Path) -> list[tuple[str, str]]:
    """(layer, name) of every bank in a run, sorted."""
    found = (run / BANKS).glob("*/*/bank.json")
    return sorted((unquote(file.parent.parent.name), file.parent.name) for file in found if file.parent.name[0] != ".")


def run_of(bank: Path) -> Path | None:
    """The folder of the run that keeps a bank, None for a bank on its own.

    >>> run_of(Path("/runs/iv3/banks/Mixed_7b/calibrated")).as_posix(), run_of(Path("/banks/mine"))
    ('/runs/iv3', None)
    """
    folder = bank.absolute()
    return folder.parents[2] if len(folder.parts) > 3 and folder.parents[1].name == BANKS else None
