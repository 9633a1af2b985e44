"""The command that exports images of concepts."""

import json
import shutil
import subprocess
import sys

import pytest

import monoseme as ms


@pytest.fixture
def split(made):
    """A run with a bank of layer 3 whose neurons split, and one of them."""
    run = ms.open_run(made)
    bank = ms.disentangle(run.activations("3"), "published", top=16, distance_threshold=1.0, min_size=3)
    bank.save(made / "banks" / "3" / "published")
    return made, bank, bank.most_split(1)[0]


def test_it_says_what_it_wrote_how_to_read_it_and_what_comes_next(monoseme, split, tmp_path):
    made, bank, neuron = split
    out = tmp_path / "out"
    status, text, error = monoseme("export-images", made, "--out", out, "--neuron", neuron)
    concepts = bank.for_direction(neuron)
    lines = text.splitlines()
    assert (status, error) == (0, "")
    assert lines[0] == f"{out}: {len(concepts)} concepts of neuron {neuron} of 3"
    images = sum(concept.size for concept in concepts)
    name = f"neuron-{neuron}_concept-{concepts[0].number}"
    assert lines[1] == f"  concept  {images} images in {len(concepts)} folders, such as {name}"
    assert lines[2] == f"  random   {2 * images} images in {2 * len(concepts)} folders, such as {name}_random-0"
    assert f"CustomIterableDataset(read, '{out / name}/')" in text
    assert lines[-1] == f"next: monoseme show {made} {neuron}"
    assert (out / name).is_dir()


def test_the_lines_for_python_run(monoseme, split, tmp_path):
    made, _, neuron = split
    text = monoseme("export-images", made, "--out", tmp_path / "out", "--neuron", neuron, "--most", 2)[1].splitlines()
    place = next(number for number, line in enumerate(text) if line.startswith("in Python: "))
    code = [line.removeprefix("in Python: ").strip() for line in text[place : place + 2]]
    names = {"read": lambda path: len(path)}
    exec(code[0], names)
    import captum.concept

    concept = eval(code[1], {**names, "captum": captum})
    assert [len(batch) for batch in concept.data_iter] == [2]


def test_without_neurons_the_most_telling_are_exported_and_said(monoseme, split, tmp_path):
    made, bank, _ = split
    text = monoseme("export-images", made, "--out", tmp_path / "out", "--random-sets", 0, "--no-dropped")[1]
    assert "the most telling; name others with --neurons" in text.splitlines()[0]
    assert "random " not in text
    assert "dropped" not in text
    folders = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["folders"]
    assert {each["direction"] for each in folders} == set(bank.most_split(5))


def test_machines_get_one_json_object_and_options_reach_the_export(monoseme, split, photos, tmp_path):
    made, bank, neuron = split
    moved = shutil.copytree(photos, tmp_path / "moved")
    command = ["export-images", made, "--out", tmp_path / "out", "--neurons", f"{neuron}-{neuron}", "--images", moved]
    status, text, _ = monoseme(*command, "--most", 2, "--seed", 3, "--random-sets", 1, "--json", "-q")
    answer = json.loads(text)
    concepts = bank.for_direction(neuron)
    assert (status, answer["path"], answer["directions"]) == (0, str(tmp_path / "out"), [neuron])
    assert [each["images"] for each in answer["folders"]] == [2] * len(answer["folders"])
    assert [each["concept"] for each in answer["folders"] if each["role"] == "random"] == [c.number for c in concepts]
    by_hand = ms.export_images(
        bank, ms.open_run(made), tmp_path / "b", directions=[neuron], most=2, seed=3, random_sets=1
    )
    assert (by_hand / "manifest.json").read_bytes() == (tmp_path / "out" / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["{made}"], 2, "Missing option '--out'"),
        (["{new}", "--out", "{new}2"], 2, "there is no folder"),
        (["{made}", "--out", "{new}", "--neuron", "99"], 2, "direction 99 was not split"),
        (["{made}", "--out", "{new}", "--neurons", "7-"], 2, "--neurons takes numbers"),
        (["{made}", "--out", "{new}", "--bank", "publisht"], 2, "did you mean published"),
        (["{made}", "--out", "{new}", "--images", "{new}"], 2, "there is no file or folder"),
        (["{made}", "--out", "{new}", "--most", "0"], 2, "--most"),
        (["{made}", "--out", "{made}", "--overwrite"], 2, "is not an export of images"),
        (["{made}", "--out", "{made}"], 2, "exists already"),
    ],
)
def test_bad_usage_is_one_sentence_and_writes_nothing(monoseme, split, tmp_path, arguments, status, sentence):
    made = split[0]
    before = sorted(path.relative_to(made) for path in made.rglob("*"))
    places = {"made": made, "new": tmp_path / "new"}
    found, text, error = monoseme("export-images", *(argument.format(**places) for argument in arguments))
    assert (found, text, error.count("\n")) == (status, "", 1)
    assert sentence in error
    assert not (tmp_path / "new").exists()
    assert sorted(path.relative_to(made) for path in made.rglob("*")) == before


def test_ctrl_c_says_that_nothing_was_written_and_leaves_nothing(split, tmp_path):
    made, _, neuron = split
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background may have it ignored
        "write, count = Path.write_bytes, iter(range(99))\n"
        "def stopped(path, content):\n"
        "    if next(count) == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return write(path, content)\n"
        "Path.write_bytes = stopped\n"
        "from monoseme.cli import main\n"
        "main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "export-images",
        str(made),
        "--out",
        str(tmp_path / "out"),
        "--neuron",
        str(neuron),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == f"stopped; nothing was written to {tmp_path / 'out'}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]
