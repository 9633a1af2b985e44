"""Errors, whole files, locks, progress and activations."""

import io
import subprocess
import sys

import numpy as np
import pytest

from monoseme.base import (
    ArrayActivations,
    Lines,
    Lock,
    MissingExtraError,
    MonosemeError,
    UsageError,
    as_activations,
    did_you_mean,
    whole_folder,
    write_whole,
    writing,
)


def test_suggestions_name_the_nearest_first_and_none_where_nothing_is_near():
    assert did_you_mean("lyaer4", ["layer1", "layer4", "fc"]).startswith("; did you mean layer4")
    assert did_you_mean("zzz", ["layer1"]) == ""


def test_a_missing_extra_says_what_to_install():
    with pytest.raises(MonosemeError, match=r"pip install 'monoseme\[timm\]'"):
        raise MissingExtraError("reading timm models", package="timm", extra="timm")
    assert (MonosemeError.exit_status, UsageError.exit_status) == (1, 2)


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "bank"
    with pytest.raises(ZeroDivisionError), whole_folder(target) as folder:  # noqa: PT012
        (folder / "half").write_text("half")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with whole_folder(target, replace=True) as folder:
        (folder / "b").write_text("2")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_keeps_its_old_content_until_the_new_is_whole(tmp_path, monkeypatch):
    target = tmp_path / "notes"
    write_whole(target, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(MonosemeError, match="the disk is full"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "x"), "disk is full"),
        (OSError(30, "x"), "read-only"),
        (PermissionError(13, "x"), "permission denied"),
        (RuntimeError("LanceError(IO): No space left on device (os error 28)"), "disk is full"),
        (NotADirectoryError(20, "x"), "is a file, not a folder"),
    ],
)
def test_refusals_to_write_become_sentences(error, sentence):
    with pytest.raises(MonosemeError, match=f"cannot write there: .*{sentence}"), writing("there"):
        raise error


def test_other_errors_stay_as_they_are():
    with pytest.raises(KeyError), writing("there"):
        raise KeyError("x")


def test_a_lock_is_free_again_when_its_process_is_killed(tmp_path):
    code = (
        "import sys, time; from monoseme.base import Lock\n"
        f"with Lock(__import__('pathlib').Path({str(tmp_path / 'lock')!r}), 'held'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(MonosemeError, match="busy"), Lock(tmp_path / "lock", "busy"):
            pass
        other.kill()
    with Lock(tmp_path / "lock", "busy"):
        pass


def test_lines_tell_rate_and_time_left(monkeypatch):
    clock = iter([0.0, 5.0, 11.0, 12.0, 22.0, 23.0])
    monkeypatch.setattr("monoseme.base._progress.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Lines(stream, interval=10).task("embedding", 100, "images") as task:
        for _ in range(4):
            task.advance(11)
    assert stream.getvalue().splitlines() == [
        "embedding: 22 of 100 images, 2.0 a second, 39 s left",
        "embedding: 44 of 100 images, 2.0 a second, 28 s left",
        "embedding: 44 of 100 images, 1.9 a second, 29 s left",
    ]


def test_arrays_are_read_by_row_and_in_blocks():
    array = np.arange(30, dtype=np.float32).reshape(10, 3)
    acts = as_activations(array)
    assert isinstance(acts, ArrayActivations)
    assert [(first, len(block)) for first, block in acts.blocks(4)] == [(0, 4), (4, 4), (8, 2)]
    out = np.empty((3, 3), dtype=np.float32)
    acts.take(np.array([9, 0, 9]), out)
    np.testing.assert_array_equal(out, array[[9, 0, 9]])
    assert "10 images x 3 neurons" in repr(acts)


def test_what_is_no_matrix_of_numbers_is_refused():
    with pytest.raises(UsageError, match="floating point"):
        as_activations([["a", "b"]])
    with pytest.raises(UsageError, match="cannot read activations"):
        as_activations([[1.0], [1.0, 2.0]])
