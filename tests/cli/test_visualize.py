"""``monoseme visualize`` and ``monoseme report``: files, sentences and exit statuses."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import monoseme as ms
from monoseme.base import bank_folder
from monoseme.visualize import PICTURES, needs_only_the_run


@pytest.fixture
def split(made) -> Path:
    """A run that tests may change, with a bank."""
    bank = ms.disentangle(ms.open_run(made).activations("3"), "published", top=24, distance_threshold=1.0, min_size=3)
    bank.save(bank_folder(made, "3", "published"))
    return made


def test_every_picture_of_a_neuron_comes_from_one_command(monoseme, split, tmp_path):
    status, out, _ = monoseme(
        "visualize", split, "--neuron", "4", "--out", tmp_path / "out", "--projection", "pca", "-q"
    )
    assert status == 0
    expected = {f"00004-{name}.png" for name in needs_only_the_run("neuron")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 200
        assert str(path) in out
    assert f"next: monoseme report {split}" in out


def test_without_a_neuron_the_most_telling_one_and_the_layer_are_drawn(monoseme, split, tmp_path):
    status, out, _ = monoseme("visualize", split, "-o", tmp_path / "out", "--projection", "pca", "--json")
    told = json.loads(out)
    assert status == 0
    telling = ms.load_bank(split).most_split(1)[0]
    assert {row["neuron"] for row in told["pictures"]} == {telling, None}
    assert {row["what"] for row in told["pictures"] if row["neuron"] is None} == set(needs_only_the_run("layer"))
    assert told["left_out"] == {}


def test_chosen_pictures_of_several_neurons_in_another_format(monoseme, split, tmp_path):
    arguments = ["--neuron", "1-2", "-n", "7", "--what", "dendrogram", "--what", "histogram", "--format", "svg"]
    status, _, _ = monoseme("visualize", split, *arguments, "-o", tmp_path / "out", "-q")
    assert status == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"00001-dendrogram.svg", "00002-dendrogram.svg", "00007-dendrogram.svg", "histogram.svg"}


def test_the_list_names_every_picture_and_needs_no_run(monoseme, split):
    status, out, _ = monoseme("visualize", "--list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(PICTURES)
    assert monoseme("visualize", split, "--list") == (0, out, "")
    status, _, error = monoseme("visualize", "--what", "map")
    assert status == 2
    assert "name the run" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--what", "dendogram"], "did you mean dendrogram"),
        (["--format", "jpg"], "--format takes png, svg or pdf"),
        (["--neuron", "99"], "direction 99 was not split"),
        (["--neuron", "x"], "--neuron takes numbers and ranges"),
        (["--projection", "pac"], "did you mean pca"),
        (["--layer", "9"], "no bank '9'"),
        (["--bank", "calibrated"], "no bank 'calibrated'"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence_and_nothing_is_written(monoseme, split, tmp_path, arguments, sentence):
    status, out, error = monoseme("visualize", split, *arguments, "-o", tmp_path / "out")
    assert status == 2
    assert out == ""
    assert error.count("\n") == 1
    assert sentence in error
    assert not (tmp_path / "out").exists()


def test_a_run_without_thumbnails_gets_what_needs_none(monoseme, photos, small_model, tmp_path):
    run = ms.embed(small_model, photos, ["3"], tmp_path / "bare", thumbnails=False, workers=0)
    ms.disentangle(run.activations(), "published", top=24, distance_threshold=1.0).save(bank_folder(run.path, "3", "p"))
    status, out, _ = monoseme("visualize", run.path, "-n", "4", "-o", tmp_path / "out", "--projection", "pca", "-q")
    assert status == 0
    assert "left out    concepts:" in out
    assert "--no-thumbnails" in out
    assert (tmp_path / "out" / "00004-dendrogram.png").is_file()
    status, _, error = monoseme("visualize", run.path, "-n", "4", "--what", "concepts", "-o", tmp_path / "out")
    assert (status, error.count("\n")) == (1, 1)


def test_what_needs_the_model_says_so_where_it_is_not_at_hand(monoseme, split, tmp_path):
    for arguments in (["visualize", split, "-n", "4", "--what", "heatmaps"], ["report", split, "--heatmaps"]):
        status, _, error = monoseme(*arguments, "-o", tmp_path / "out")
        assert (status, error.count("\n")) == (2, 1)
        assert "give that model" in error
        assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_said(monoseme, split, tmp_path):
    (tmp_path / "file").write_text("x")
    status, _, error = monoseme("visualize", split, "-n", "4", "--what", "histogram", "-o", tmp_path / "file" / "out")
    assert status == 1
    assert str(tmp_path / "file") in error


def test_a_report_is_written_and_its_size_told(monoseme, split, tmp_path):
    status, out, _ = monoseme("report", split, "-o", tmp_path / "report.html", "--neurons", "3", "--json")
    told = json.loads(out)
    assert status == 0
    text = (tmp_path / "report.html").read_text()
    assert told["bytes"] == len(text.encode())
    assert text.count("<section") == 3


def test_a_report_of_chosen_neurons_has_just_these(monoseme, split, tmp_path):
    status, out, _ = monoseme("report", split, "-o", tmp_path / "report.html", "-n", "4", "-n", "2-3", "-q")
    assert status == 0
    assert out.startswith(f"wrote {tmp_path / 'report.html'}: ")
    text = (tmp_path / "report.html").read_text()
    assert [text.index(f'id="n{number}"') for number in (4, 2, 3)] == sorted(
        text.index(f'id="n{number}"') for number in (4, 2, 3)
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--neuron", "99"], "direction 99 was not split"),
        (["--quality", "101"], "from 1 to 100"),
        (["--neurons", "-1"], "at least 0"),
    ],
)
def test_bad_options_of_a_report_are_one_sentence(monoseme, split, tmp_path, arguments, sentence):
    status, _, error = monoseme("report", split, "-o", tmp_path / "report.html", *arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert sentence in error
    assert not (tmp_path / "report.html").exists()


def test_a_run_without_a_bank_says_what_to_do(monoseme, made, tmp_path):
    shutil.rmtree(made / "banks", ignore_errors=True)
    for command in ("visualize", "report"):
        status, _, error = monoseme(command, made, "-o", tmp_path / "x")
        assert status == 2
        assert "make one with monoseme disentangle" in error
