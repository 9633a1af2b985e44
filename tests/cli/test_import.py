"""``monoseme import`` and ``monoseme export``: what they print, their exit status, and that the printed lines for Python run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import monoseme as ms


@pytest.fixture
def acts(layer, tmp_path) -> Path:
    np.save(tmp_path / "acts.npy", layer)
    return tmp_path / "acts.npy"


def test_an_import_is_reported_listed_and_whole(monoseme, acts, tmp_path):
    (tmp_path / "ids.txt").write_text("".join(f"photo {row}.jpg\n" for row in range(600)))
    status, text, error = monoseme("import", acts, "--out", tmp_path / "run", "--ids", tmp_path / "ids.txt")
    lines = text.splitlines()
    assert (status, error) == (0, "")
    assert lines[0].startswith(f"{tmp_path}/run: 600 images x acts (24 neurons, float32), in ")
    assert lines[-1] == f"next: monoseme disentangle {tmp_path}/run"
    told = monoseme("info", tmp_path / "run")[1]
    assert "  model       none, embeddings were imported (acts from acts.npy)\n" in told
    assert "  images      not named, no labels\n" in told
    assert json.loads(monoseme("info", tmp_path / "run", "--json")[1])["imported"] == {"acts": "acts.npy"}
    assert monoseme("verify", tmp_path / "run")[0] == 0


def test_layers_are_named_with_their_keys_or_in_the_order_of_their_files(monoseme, acts, layer, tmp_path):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a/one"], file["a/two"] = layer, layer[:, :7]
    one = ("--layer", "x=a/one", "--layer", "y=a/two")
    answer = json.loads(monoseme("import", tmp_path / "two.h5", "--out", tmp_path / "run", *one, "--json")[1])
    assert [(each["layer"], each["neurons"]) for each in answer["layers"]] == [("x", 24), ("y", 7)]
    files = (acts, tmp_path / "two.h5", "--layer", "p", "--layer", "q=a/two", "-q")
    assert monoseme("import", *files, "--out", tmp_path / "other")[0] == 0
    run = ms.open_run(tmp_path / "other")
    np.testing.assert_array_equal(run.activations("p")[:], layer)
    np.testing.assert_array_equal(run.activations("q")[:], layer[:, :7])


def test_what_is_asked_wrongly_is_a_sentence_and_status_2(monoseme, acts, tmp_path):
    def refused(*arguments: object) -> str:
        status, text, error = monoseme("import", *arguments, "--out", tmp_path / "run")
        assert (status, text) == (2, "")
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    assert "name each with --layer, in the order of the files" in refused(acts, acts)
    assert "2 files need as many names, but --layer is given 1 times" in refused(acts, acts, "--layer", "a")
    assert "--layer names a twice" in refused(acts, acts, "--layer", "a", "--layer", "a")
    assert "write --layer NAME=KEY for each" in refused(acts, "--layer", "a", "--layer", "b")
    assert "has no array nothing, which has no keys" in refused(acts, "--layer", "a=nothing")
    assert "did you mean acts.npy?" in refused(tmp_path / "act.npy")
    assert not (tmp_path / "run").exists()


def test_commands_that_want_the_model_say_that_there_is_none(monoseme, acts, photos, tmp_path):
    run = tmp_path / "run"
    monoseme("import", acts, "--out", run, "-q")
    bank = ms.disentangle(ms.open_run(run).activations(), "published", top=30, distance_threshold=3.0)
    bank.save(run / "banks" / "acts" / "published")
    for arguments in (
        ("apply", run, photos, "--out", tmp_path / "scores.parquet"),
        ("report", run, "--out", tmp_path / "r.html", "--heatmaps"),
        ("visualize", run, "--what", "heatmaps", "--neuron", bank.most_split(1)[0], "--out", tmp_path / "p"),
    ):
        status, _, error = monoseme(*arguments)
        assert status in (1, 2)
        assert "holds imported embeddings and no model to ask; embed the images" in error
    status, _, _ = monoseme("report", run, "--out", tmp_path / "r.html", "-q")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert status == 0
    assert "imported embeddings" in page
    assert "600 from" not in page


@pytest.fixture
def split(made):
    """A run with a bank of layer 3 whose neurons split."""
    bank = ms.disentangle(ms.open_run(made).activations("3"), "published", top=16, distance_threshold=1.0, min_size=3)
    bank.save(made / "banks" / "3" / "published")
    return made


@pytest.mark.parametrize("kind", ["captum", "tcav", "hub", "fiftyone"])
def test_an_export_says_what_it_wrote_and_how_it_is_read(monoseme, split, kind, tmp_path):
    out = tmp_path / "out"
    more = ("--positions", "12x12") if kind == "captum" else ()
    status, text, error = monoseme("export", split, "--format", kind, "--out", out, *more)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert (status, error) == (0, "")
    assert text.splitlines()[0].startswith(f"{out}: 3 for ")
    assert f", {len(files)} files, " in text.splitlines()[0]
    assert str(out) in text.splitlines()[1]
    if kind == "hub":
        [again] = [line.removeprefix("read again: ") for line in text.splitlines() if line.startswith("read again: ")]
        assert len(eval(again, {"monoseme": ms})) == len(ms.load_bank(split))
    answer = json.loads(monoseme("export", split, "--format", kind, "--out", out, *more, "--overwrite", "--json")[1])
    assert answer["files"] == len(files)
    assert monoseme("export", split, "--format", kind, "--out", out, *more)[0] == 2


def test_positions_that_are_no_numbers_are_a_sentence(monoseme, split, tmp_path):
    status, _, error = monoseme("export", split, "--format", "captum", "--out", tmp_path / "out", "--positions", "7xx")
    assert (status, error) == (2, "error: --positions takes sides such as 7x7, or one number, not '7xx'\n")
