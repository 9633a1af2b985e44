"""``monoseme study``: drawn, taken, scored and exported by commands."""

import csv
import io
import json

import pytest

import monoseme as ms
from monoseme.base import bank_folder


@pytest.fixture
def split(made):
    """A run with a bank."""
    bank = ms.disentangle(ms.open_run(made).activations("3"), "published", top=24, min_size=3)
    bank.save(bank_folder(made, "3", "published"))
    return made


def test_a_study_from_the_draw_to_the_csv(monoseme, split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = monoseme("study", "new", split, "first", "--shown", 3, "--tests", "intruder,word", "--concepts", 2)
    assert status == 0
    study = ms.open_study(split)
    assert study.address in out
    assert f"next: monoseme explore {split}" in out
    token = study.given.begin()
    for number, question in enumerate(study.questions):
        word = "dog" if question.test == "word" else None
        study.given.give(token, number, question.answer, word, 2)
    status, out, _ = monoseme("study", "score", split)
    assert status == 0
    assert "1 began, 1 finished" in out
    assert "intruder of another neuron found" in out
    status, out, _ = monoseme("study", "score", split, "first", "--json")
    assert json.loads(out)["figures"] == study.score().figures.to_pylist()
    status, out, _ = monoseme("study", "export", split)
    assert (status, out) == (0, f"first.csv: {len(study.questions)} answers\n")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "first.csv").read_text(encoding="utf-8"))))
    assert len(rows) == len(study.questions)
    status, out, _ = monoseme("study", "export", split, "--out", tmp_path / "other.csv", "--json")
    assert json.loads(out) == {"path": str(tmp_path / "other.csv"), "answers": len(rows)}


def test_what_cannot_be_done_is_said(monoseme, split, made):
    assert monoseme("study", "score", split) == (
        2,
        "",
        f"error: {split} has no study; draw one with monoseme study new\n",
    )
    status, _, error = monoseme("study", "new", split, "first", "--tests", "guess")
    assert (status, error.count("\n")) == (2, 1)
    assert "the tests are any of intruder, label, word" in error
    assert monoseme("study", "new", split, "first", "--shown", 3, "--json")[0] == 0
    status, _, error = monoseme("study", "new", split, "first")
    assert (status, error) == (2, f"error: {split} has a study 'first' already; choose another name\n")
    status, _, error = monoseme("study", "export", split, "frist")
    assert "did you mean first?" in error
