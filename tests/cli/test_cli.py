"""The command line as its users meet it: what it prints, its exit status, what is left behind."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import monoseme as ms
from monoseme.cli._common import numbers

MODEL = "python:tests.conftest:make_small_model"


def test_the_whole_way_from_photos_to_concepts(monoseme, photos, tmp_path):
    out = tmp_path / "run"
    status, text, _ = monoseme("embed", MODEL, photos, "--layer", "1", "--layer", "3", "--out", out, "--workers", 0)
    assert status == 0
    assert "61 images x 1 (12 neurons, mean), 3 (20 neurons, mean)" in text
    assert text.splitlines()[-1] == f"next: monoseme disentangle {out} --layer 3"
    status, text, _ = monoseme("disentangle", out, "--layer", "3", "--top", 20)
    assert status == 0
    bank = ms.load_bank(out)
    histogram = ", ".join(f"{concepts}: {count}" for concepts, count in bank.histogram().items())
    assert f"directions by number of concepts: {{{histogram}}}" in text
    neuron = int(text.splitlines()[-1].split()[4])
    status, text, _ = monoseme("show", out, neuron)
    assert status == 0
    for concept in bank.for_direction(neuron):
        assert f"concept {concept.number}: {concept.size} exemplars" in text
    status, text, _ = monoseme("info", out)
    assert "61 of 61 images, finished" in text
    assert "calibrated of 3" in text
    assert monoseme("verify", out)[0] == 0


def test_machines_get_one_json_object(monoseme, made):
    status, text, _ = monoseme("disentangle", made, "--layer", 1, "--top", 20, "--neurons", "0,3-5", "--json")
    answer = json.loads(text)
    assert (status, answer["directions"], answer["layer"]) == (0, 4, "1")
    assert sum(answer["histogram"].values()) == 4
    shown = json.loads(monoseme("show", made, 3, "--json")[1])
    assert [row["concept"] for row in shown["concepts"]] == [c.number for c in ms.load_bank(made).for_direction(3)]
    assert json.loads(monoseme("info", made, "--json")[1])["banks"] == [{"layer": "1", "name": "calibrated"}]
    assert json.loads(monoseme("verify", made, "--json")[1]) == {"whole": True, "problems": []}
    layers = json.loads(monoseme("layers", MODEL, "--json")[1])["layers"]
    assert [layer["layer"] for layer in layers if layer["default"]] == ["3"]


def test_layers_are_listed_with_shape_channels_and_stride(monoseme):
    status, text, _ = monoseme("layers", MODEL)
    assert status == 0
    row = next(line for line in text.splitlines() if line.startswith("3 (default)"))
    assert row.split()[2:] == ["ReLU", "20", "x", "12", "x", "12", "20", "3", "NCHW"]


def test_a_split_by_circuit_is_a_bank_of_its_own(monoseme, made):
    command = ["disentangle", made, "--layer", 3, "--top", 20, "--neurons", "0-3", "--circuit", 1, "--model", MODEL]
    status, text, _ = monoseme(*command, "--beside", "--json")
    facts = json.loads(text)
    assert status == 0
    assert facts["bank"].endswith("calibrated-circuit")
    assert facts["parameters"]["features"] == {
        "kind": "circuit",
        "lower": "1",
        "attribution": "gradient",
        "beside": True,
    }
    status, text, _ = monoseme(*command, "--bank", "other")
    assert "by circuits of 1" in text
    assert monoseme("show", made, 0, "--layer", 3, "--bank", "other")[0] == 0


def test_directions_come_from_a_file(monoseme, made, tmp_path):
    np.save(tmp_path / "directions.npy", np.eye(12)[:3])
    status, _, _ = monoseme("disentangle", made, "--layer", 1, "--top", 20, "--directions", tmp_path / "directions.npy")
    assert status == 0
    assert ms.load_bank(made).directions.tolist() == [0, 1, 2]
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    status, _, error = monoseme(
        "disentangle", made, "--layer", 1, "--directions", tmp_path / "objects.npy", "--bank", "b"
    )
    assert status == 2
    assert "cannot be read as an array of directions" in error


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["embed", MODEL, "{photos}", "--laier", "1", "--out", "{new}"], 2, "No such option: --laier"),
        (["embed", MODEL, "{photos}"], 2, "Missing option '--out'"),
        (["embed", MODEL, "{photos}", "--layer", "layer4", "--out", "{new}"], 2, "has no layer layer4"),
        (["embed", MODEL, "{empty}", "--out", "{new}"], 1, "no images in"),
        (["embed", MODEL, "{empty}s", "--out", "{new}"], 2, "did you mean"),
        (["embed", "resnet50", "{photos}", "--out", "{new}"], 2, "torchvision:resnet50"),
        (["embed", "python:no.such:thing", "{photos}", "--out", "{new}"], 2, "no.such"),
        (["embed", MODEL, "{photos}", "--layout", "3", "--out", "{new}"], 2, "LAYER=LAYOUT"),
        (["embed", MODEL, "{photos}", "--batch-size", "0", "--out", "{new}"], 2, "at least 1"),
        (["disentangle", "{empty}"], 2, "is not a run"),
        (["disentangle", "{new}"], 2, "there is no folder"),
        (["disentangle", "{made}"], 2, "several layers; name one of 1 or 3"),
        (["disentangle", "{made}", "--layer", "4"], 2, "holds no layer '4'"),
        (["disentangle", "{made}", "--layer", "3", "--top", "100"], 2, "ask for at most"),
        (["disentangle", "{made}", "--layer", "3", "--top", "9", "--neurons", "7-"], 2, "--neurons takes numbers"),
        (["disentangle", "{made}", "--layer", "3", "--top", "9", "--neurons", "20"], 2, "no number 20 among"),
        (["disentangle", "{made}", "--layer", "3", "--method", "magic"], 2, "no method 'magic'"),
        (["disentangle", "{made}", "--layer", "3", "--bank", "../x"], 2, "is no name for a bank"),
        (["disentangle", "{made}", "--layer", "3", "--distance-threshold", "wide"], 2, "a number or auto"),
        (["disentangle", "{made}", "--layer", "3", "--directions", "{new}.npy"], 2, "there is no file"),
        (
            ["disentangle", "{made}", "--layer", "1", "--top", "9", "--circuit", "3", "--model", MODEL],
            2,
            "come before 1",
        ),
        (["disentangle", "{made}", "--layer", "3", "--top", "9", "--circuit", "1"], 2, "give that model"),
        (["disentangle", "{made}", "--layer", "3", "--top", "9", "--beside"], 2, "belong to --circuit"),
        (["show", "{made}", "3"], 2, "make one with monoseme disentangle"),
        (["disentangel", "{made}"], 2, "Did you mean 'disentangle'?"),
    ],
)
def test_bad_usage_is_one_sentence_with_the_right_status_and_writes_nothing(
    monoseme, photos, made, tmp_path, arguments, status, sentence
):
    (tmp_path / "empty").mkdir()
    before = sorted(path.relative_to(made) for path in made.rglob("*"))
    places = {"photos": photos, "made": made, "empty": tmp_path / "empty", "new": tmp_path / "new"}
    found, text, error = monoseme(*(argument.format(**places) for argument in arguments))
    assert (found, text) == (status, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert sentence in error
    assert not (tmp_path / "new").exists()
    assert sorted(path.relative_to(made) for path in made.rglob("*")) == before


def test_a_bank_is_replaced_only_when_asked(monoseme, made):
    command = ["disentangle", made, "--layer", 3, "--top", 20]
    assert monoseme(*command)[0] == 0
    status, _, error = monoseme(*command)
    assert status == 2
    assert "choose another name with --bank, or replace it with --overwrite" in error
    assert monoseme(*command, "--overwrite", "--min-size", 3)[0] == 0
    assert ms.load_bank(made).info["parameters"]["min_size"] == 3


def test_images_set_aside_are_counted_in_the_closing_lines(monoseme, photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "plain" / "000.jpg").write_bytes(b"broken")
    status, text, _ = monoseme("embed", MODEL, folder, "--layer", 1, "--out", tmp_path / "run", "--workers", 0)
    assert status == 0
    assert "1 of 61 images could not be used and are set aside (the first, plain/000.jpg: " in text
    assert "set aside   plain/000.jpg: " in monoseme("info", tmp_path / "run")[1]


def test_the_size_before_the_crop_is_recorded_and_refused_where_it_means_nothing(
    monoseme, photos, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    assert monoseme("embed", MODEL, photos, "--resize", 32, "--out", out, "--workers", 0, "-q")[0] == 0
    assert ms.open_run(out).manifest.model["preprocess"]["resize"] == 32
    assert ms.open_run(out).manifest.model["preprocess"]["crop"] == [32, 32]
    (tmp_path / "with_function.py").write_text(
        "import torch\ndef made():\n    return torch.nn.Conv2d(3, 4, 3), lambda image: torch.zeros(3, 8, 8)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    status, _, error = monoseme("embed", "python:with_function:made", photos, "--resize", 8, "--out", tmp_path / "no")
    assert status == 2
    assert "a function of its own" in error


def test_a_damaged_run_is_found_and_named(monoseme, made):
    data = max((made / "activations.lance" / "data").glob("*.lance"), key=lambda path: path.stat().st_size)
    content = bytearray(data.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    data.write_bytes(content)
    status, _, error = monoseme("verify", made)
    assert status == 1
    assert "is not whole" in error
    assert error.count("\n") == 1


def test_help_and_version_answer_without_heavy_imports():
    code = (
        "import sys; sys.argv = ['monoseme', '--help']\n"
        "from monoseme.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'lance', 'pyarrow', 'scipy', 'sklearn', 'PIL'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert all(name in done.stdout for name in ("demo", "layers", "embed", "disentangle", "show", "info", "verify"))
    version = subprocess.run(
        [sys.executable, "-m", "monoseme", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == "0.1.0"


def test_ctrl_c_says_what_is_safe_and_the_same_command_goes_on(photos, tmp_path):
    out = tmp_path / "run"
    images = f"patches:{photos}?per_image=20&flat=0"
    # A job in the background inherits that Ctrl-C is ignored, and Python keeps it so; here it is to be heard.
    listen = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = listen + "runpy.run_module('monoseme', run_name='__main__')"
    command = [
        *(sys.executable, "-c", program, "embed", "bundled:efficientnet-lite0", images, "--out", str(out)),
        *("--batch-size", "4", "--commit-every", "8", "--image-size", "160", "--workers", "1"),
    ]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        versions = out / "activations.lance" / "_versions"
        while process.poll() is None and (not versions.is_dir() or len(list(versions.iterdir())) < 4):
            pass
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "images are safe in" in error
    assert "run the same command again to go on" in error
    assert "Traceback" not in error
    safe = len(ms.open_run(out))
    assert 0 < safe < 1220
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert f"going on from image {safe:,} of 1,220" in done.stderr
    assert ms.open_run(out).finished


def test_a_run_that_names_foreign_code_is_read_without_running_it(monoseme, made, tmp_path, monkeypatch):
    import lance

    (tmp_path / "evil.py").write_text("raise SystemExit('run!')")
    monkeypatch.syspath_prepend(tmp_path)
    table = lance.dataset(made / "activations.lance")
    manifest = json.loads(table.schema.metadata[b"monoseme"])
    manifest["model"]["spec"] = "python:evil:factory"
    table.update_schema_metadata({"monoseme": json.dumps(manifest)})
    assert monoseme("info", made)[0] == monoseme("verify", made)[0] == 0
    assert monoseme("disentangle", made, "--layer", 3, "--top", 9)[0] == 0
    assert monoseme("show", made, 3)[0] == 0
    assert "evil" not in sys.modules


def test_hostile_labels_do_not_reach_the_terminal(monoseme, tmp_path, photos):
    folder = tmp_path / "photos" / "a\x1b[31mred\u202e"
    shutil.copytree(photos / "plain", folder)
    out = tmp_path / "run"
    assert monoseme("embed", MODEL, tmp_path / "photos", "--layer", 3, "--out", out, "--workers", 0)[0] == 0
    assert monoseme("disentangle", out, "--top", 9)[0] == 0
    text = monoseme("show", out, 3)[1]
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("text", ["", "3-1", "a", "1,,2", "-3", "1-2-3", "0-99999999999"])
def test_numbers_that_are_none_are_refused(text):
    with pytest.raises(ms.UsageError):
        numbers(text)


def test_demo_on_ones_own_images_ends_with_a_picture(monoseme, photos, tmp_path):
    status, text, _ = monoseme("demo", "--out", tmp_path / "demo", "--images", photos, "--quiet")
    assert status == 0
    from PIL import Image

    with Image.open(tmp_path / "demo" / "neurons.png") as picture:
        assert picture.width > 1000
        assert np.asarray(picture.convert("L")).std() > 10
    assert ms.open_run(tmp_path / "demo" / "run").finished
    assert text.splitlines()[-1].startswith("next: monoseme show")


def test_output_into_a_closed_pipe_is_no_error(made):
    command = f"{sys.executable} -m monoseme layers bundled:efficientnet-lite0 --image-size 64 | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("layer")


def test_the_console_script_works_from_any_folder(tmp_path):
    script = Path(sys.executable).with_name("monoseme")
    done = subprocess.run([script, "info", tmp_path], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
