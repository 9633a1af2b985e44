"""Fixtures that the tests of all commands share."""

import shutil
import sys
from pathlib import Path

import pytest

from monoseme.cli._app import _status


@pytest.fixture
def monoseme(capsys, monkeypatch):
    """Run a command in this process: (exit status, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["monoseme", *map(str, arguments)])
        status = _status()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def made(tmp_path, small_run) -> Path:
    """A copy of the small run that tests may change."""
    return Path(shutil.copytree(small_run.path, tmp_path / "made"))
