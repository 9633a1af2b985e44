"""Full and read-only disks, on a small file system of the test's own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EMBED = [sys.executable, "-m", "monoseme", "embed", "python:tests.conftest:make_small_model"]


def with_small_disk(script: str, size: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount namespace of its own where $DISK is a tmpfs of that size."""
    setup = f'set -u; DISK=$(mktemp -d); mount -t tmpfs -o size={size} none "$DISK"; {script}'
    command = ["unshare", "--mount", "--map-root-user", "bash", "-c", setup]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def _namespaces():
    if shutil.which("unshare") is None or with_small_disk("true", "1m").returncode:
        pytest.skip("no mount namespaces on this system")


def test_a_full_disk_stops_with_a_sentence_and_keeps_what_was_committed(photos):
    command = f"{' '.join(EMBED)} {photos} --layer 1 --out $DISK/run --batch-size 4 --commit-every 4 --workers 0 -q"
    done = with_small_disk(
        f"""
        head -c 880K /dev/zero > $DISK/ballast
        {command}; echo status $?
        rm $DISK/ballast
        {command}; echo status $?
        {sys.executable} -m monoseme verify $DISK/run -q
        """,
        "1m",
    )
    assert "the disk is full; make room and run the same command again" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("status")] == ["status 1", "status 0"]
    assert "is whole: 61 images" in done.stdout


def test_a_read_only_disk_is_refused_in_a_sentence(photos):
    command = f"{' '.join(EMBED)} {photos} --layer 1 --out $DISK/run --workers 0 -q"
    done = with_small_disk(f"mount -o remount,ro none $DISK; {command}; echo status $?", "1m")
    assert "the file system is read-only; choose another place" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "status 1" in done.stdout


def test_a_bank_that_does_not_fit_leaves_the_run_as_it_was(small_run):
    done = with_small_disk(
        f"""
        cp -r {small_run.path} $DISK/run
        head -c 10M /dev/zero > $DISK/ballast 2>/dev/null
        {sys.executable} -m monoseme disentangle $DISK/run --layer 3 --top 20 -q; echo status $?
        find $DISK/run/banks -type f | wc -l
        """,
        "1m",
    )
    assert "the disk is full" in done.stderr
    assert done.stdout.split() == ["status", "1", "0"]


def test_a_run_can_be_read_where_nothing_can_be_written(small_run):
    done = with_small_disk(
        f"""
        cp -r {small_run.path} $DISK/run; mount -o remount,ro none $DISK
        {sys.executable} -c "import monoseme as ms; print(ms.open_run('$DISK/run').activations('3')[:].shape)"
        """,
        "1m",
    )
    assert done.stdout.strip() == "(61, 20)", done.stderr
