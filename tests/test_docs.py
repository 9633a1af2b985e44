"""What the README and the docs show is run, and what is generated is up to date."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import monoseme as ms
from tests.torchvision_shim import make_torchvision_importable

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch, layer):
    """A folder with what the examples name. Weights cannot be downloaded in a test, so they are random."""
    make_torchvision_importable()
    load = ms.load_model
    monkeypatch.setattr(ms, "load_model", lambda spec: load(spec, weights="none"), raising=False)
    monkeypatch.chdir(tmp_path)
    np.save("embeddings.npy", layer)
    Path("photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(160):
        colour, place = random.integers(0, 255, 3), random.integers(0, 40, 2)
        pixels = random.integers(0, 60, (64, 64, 3))
        pixels[place[0] : place[0] + 24, place[1] : place[1] + 24] = colour
        Image.fromarray(pixels.astype(np.uint8)).save(f"photos/{number:03d}.png")
    return tmp_path


@pytest.mark.parametrize("code", blocks(ROOT / "README.md", "python"), ids=["five lines", "own arrays"])
def test_python_examples_of_the_readme_run(workplace, code, capsys):
    exec(compile(code, "README.md", "exec"), {})


def test_the_page_on_circuits_runs(workplace, monkeypatch, capsys):
    load = ms.load_model.__closure__[0].cell_contents
    monkeypatch.setattr(ms, "load_model", lambda spec: load(spec, image_size=64))
    exec(compile("\n".join(blocks(ROOT / "docs" / "circuits.md", "python")), "circuits.md", "exec"), names := {})
    assert len(names["split"].channels) >= 2
    assert names["again"].channels.equals(names["split"].channels)


def test_python_examples_of_the_page_on_import_and_export_run_one_after_the_other(workplace, layer, capsys):
    np.save("embeddings.npy", layer[:160])
    Path("names.txt").write_text("".join(f"{number:03d}\n" for number in range(160)))
    found = blocks(ROOT / "docs" / "exchange.md", "python")
    assert len(found) == 5
    for code in found:
        exec(compile(code, "exchange.md", "exec"), {})
    for name in ("captum", "tcav", "hub", "fiftyone"):
        assert sum(path.is_file() for path in Path(name).rglob("*")) > 3


def test_python_examples_of_names_run(tmp_path, monkeypatch, photos, small_model):
    """On images of breeds; encoder and language model are stood in for."""
    monkeypatch.chdir(tmp_path)
    for kind, breed in (("plain", "pug"), ("ramp", "beagle"), ("stripes", "cat")):
        shutil.copytree(photos / kind, tmp_path / "photos" / breed)
    run = ms.embed(small_model, "photos", "3", "runs/photos", workers=0)
    options = {"top": 20, "distance_threshold": 9.0, "outlier_threshold": 1e9}
    bank = ms.disentangle(run.activations("3"), "published", select=range(3), **options)
    bank.save("runs/photos/banks/3/calibrated")
    monkeypatch.setattr(ms, "load_encoder", lambda spec: spec, raising=False)
    space = ms.TextSpace(np.eye(61, 8, dtype=np.float32) + 0.1, lambda texts: np.ones((len(texts), 8)))
    monkeypatch.setattr(ms, "text_space", lambda encoder, run: space, raising=False)
    names = {"my_language_model": lambda prompt, pictures: f"{len(pictures)} pictures"}
    first, second = blocks(ROOT / "docs" / "names.md", "python")
    exec(compile(first.replace("banks/head", "banks/3"), "names.md", "exec"), names)
    assert ms.load_names("runs/photos/banks/3/calibrated").info["source"] == "labels and hierarchy"
    second = second.replace("crops=True", "crops=True, model=model")
    exec(compile(second, "names.md", "exec"), names | {"model": small_model})


@pytest.mark.parametrize("page", ["README.md", "docs/exchange.md"])
def test_commands_of_the_pages_are_commands_of_the_program(page):
    lines = [line for block in blocks(ROOT / page, "console") for line in block.splitlines() if "monoseme" in line]
    assert len(lines) >= 3
    for line in lines:
        _, program, command, *rest = line.split()
        done = subprocess.run(
            [sys.executable, "-m", program, command, "--help"], capture_output=True, text=True, check=True
        )
        for option in (word for word in rest if word.startswith("--")):
            assert option in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_reference_pages_are_what_the_program_says():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# The tour is executed as a notebook, in test_tour.py.
@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("own_*.py")), ids=lambda path: path.name)
def test_examples_run(example, photos, tmp_path):
    arguments = [str(photos), str(tmp_path / "run")] if example.name == "own_model.py" else []
    done = subprocess.run([sys.executable, example, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "concept bank" in done.stdout
