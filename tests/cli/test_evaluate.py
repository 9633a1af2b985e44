"""``monoseme evaluate`` as its users meet it."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.conftest import make_small_model

import monoseme as ms

MODEL = "python:tests.conftest:make_small_model"


@pytest.fixture
def made(made) -> Path:
    """A copy of the small run with a bank."""
    acts = ms.open_run(made).activations("3")
    ms.disentangle(acts, top=20).save(made / "banks" / "3" / "published")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_bank_is_evaluated_and_what_is_found_lies_beside_it(monoseme, made):
    status, text, _ = monoseme("evaluate", made)
    assert status == 0
    bank = made / "banks" / "3" / "published"
    lines = text.splitlines()
    assert lines[0].startswith(f"{bank}: ")
    assert "labels: 3 on 61 of 61 images" in text
    assert "no judge" in text
    assert f"wrote {bank / 'evaluation.json'} and evaluation.parquet" in text
    assert lines[-1].startswith(f"next: monoseme show {made} ")
    assert pq.read_table(bank / "evaluation.parquet").num_rows == len(ms.load_bank(made))
    for name in ("distance within", "label purity", "near-duplicates"):
        assert any(line.startswith(name) for line in lines)
    assert ms.verify_run(made) == []


def test_machines_get_one_json_object_and_equal_runs_equal_files(monoseme, made):
    answer = json.loads(monoseme("evaluate", made, "--json")[1])
    assert {row["family"] for row in answer["figures"]} == {"paper", "separation", "dictionary"}
    before = contents(made / "banks")
    assert json.loads(monoseme("evaluate", made, "--json")[1])["figures"] == answer["figures"]
    assert contents(made / "banks") == before


def test_a_model_that_judges_is_embedded_beside_the_run_once(monoseme, made, monkeypatch):
    status, text, _ = monoseme("evaluate", made, "--judge", MODEL)
    assert status == 0
    assert f"judge: {MODEL}, 3, knows 61 of 61 images; how independent: not independent: it is the same model" in text
    assert "clarity" in text
    judge = ms.open_run(made / "judges" / "python-tests.conftest-make_small_model")
    assert judge.finished
    monkeypatch.setattr("monoseme.models.load_model", None)  # the second time nothing is loaded
    assert monoseme("evaluate", made, "--judge", MODEL)[1].splitlines()[3:] == text.splitlines()[3:]


def test_another_run_judges_the_images_that_it_has_and_its_model_is_not_loaded(monoseme, made, photos, tmp_path):
    some = tmp_path / "some"
    shutil.copytree(photos / "ramp", some / "elsewhere")
    judge = ms.embed(make_small_model(seed=5), some, ["1", "3"], tmp_path / "judge", batch_size=8, workers=0)
    status, text, _ = monoseme("evaluate", made, "--judge", tmp_path / "judge", "--labels", "none")
    assert status == 0
    assert f"judge: small, 3, knows {len(judge)} of 61 images; how independent: not known" in text
    assert "no labels" in text
    assert not (made / "judges").exists()


def test_images_that_have_moved_are_named_again(monoseme, made, photos, tmp_path):
    moved = Path(shutil.copytree(photos, tmp_path / "moved"))
    run = ms.embed(make_small_model(), moved, "3", tmp_path / "run", batch_size=8, workers=0)
    ms.disentangle(run.activations(), top=20).save(run.path / "banks" / "3" / "published")
    moved.rename(tmp_path / "elsewhere")
    status, _, error = monoseme("evaluate", run.path, "--judge", MODEL)
    assert status == 2
    assert "say where they are with --images" in error
    status, text, _ = monoseme("evaluate", run.path, "--judge", MODEL, "--images", tmp_path / "elsewhere")
    assert status == 0
    assert "knows 61 of 61 images" in text


def test_a_bank_that_is_replaced_loses_its_evaluation(monoseme, made):
    assert monoseme("evaluate", made)[0] == 0
    bank = made / "banks" / "3" / "published"
    assert monoseme("disentangle", made, "--layer", "3", "--top", 20, "--overwrite", "--bank", "published")[0] == 0
    assert not list(bank.glob("evaluation.*"))


def test_a_run_with_judges_can_be_embedded_anew(monoseme, made, photos):
    assert monoseme("evaluate", made, "--judge", MODEL)[0] == 0
    ms.embed(make_small_model(seed=3), photos, "3", made, batch_size=8, workers=0, overwrite=True)
    assert not (made / "judges").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["{tmp}"], 2, "is not a run"),
        (["{made}", "--bank", "other"], 2, "no bank 'other'"),
        (["{made}", "--layer", "1"], 2, "no bank '1'"),
        (["{made}", "--labels", "kinds"], 2, "has no label set 'kinds'"),
        (["{made}", "--judge", "resnet50"], 2, "torchvision:resnet50"),
        (["{made}", "--judge", "{tmp}"], 2, "is not a run"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_and_nothing_changes(
    monoseme, made, tmp_path, arguments, status, sentence
):
    before = contents(made)
    given = [each.format(made=made, tmp=tmp_path) for each in arguments]
    found, _, error = monoseme("evaluate", *given)
    assert found == status
    assert sentence in error
    assert error.count("\n") == 1
    assert contents(made) == before


def test_a_run_without_a_bank_says_how_to_make_one(monoseme, small_run):
    status, _, error = monoseme("evaluate", small_run.path)
    assert status == 2
    assert "make one with monoseme disentangle" in error


def test_ctrl_c_leaves_the_run_as_it_was(made):
    before = contents(made)
    code = (
        "import signal, sys, monoseme.evaluation._evaluate as e\n"
        "def stop(*a, **k): signal.raise_signal(signal.SIGINT)\n"
        "e.dictionary = stop\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from monoseme.cli import main\n"
        f"sys.argv = ['monoseme', 'evaluate', {str(made)!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr.strip() == f"stopped; nothing was written, {made} and its banks are as they were"
    assert contents(made) == before


def test_a_kill_between_the_tables_and_the_figures_leaves_no_evaluation(made, monkeypatch):
    run = ms.open_run(made)
    found = ms.evaluate(ms.load_bank(made), run.activations("3"))
    folder = made / "banks" / "3" / "published"
    found.save(folder)
    written = []

    def killed(target, content):
        written.append(target.name)
        if len(written) == 2:
            raise KeyboardInterrupt
        target.write_bytes(content)

    monkeypatch.setattr("monoseme.base._results.write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        found.save(folder)
    assert not (folder / "evaluation.json").exists()
    assert ms.load_bank(made).vectors.dtype == np.float32
