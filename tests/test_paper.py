"""The paper's items: every command, on a part of real photographs, and what it makes."""

import csv
import json
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.main import get_command

import monoseme as ms
from monoseme.cli import app

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "examples" / "paper"


@pytest.fixture(scope="module")
def paper():
    """The modules `items` and `settings`, imported as the scripts there import them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PAPER)
        import items
        import settings

        yield items, settings
        for name in ("items", "settings"):
            sys.modules.pop(name, None)


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def reproduce(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PAPER / "reproduce.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def photographs(shared, tmp_path_factory) -> Path:
    """12 images of every second class of Caltech-101, as a tar: 600 photographs, enough for 100 exemplars."""
    part = tmp_path_factory.mktemp("images") / "caltech.tar"
    taken: dict[str, int] = {}
    classes: list[str] = []
    with tarfile.open(shared / "data" / "caltech101-160.tar") as whole, tarfile.open(part, "w") as tar:
        for member in whole:
            folder = Path(member.name).parent.name
            if not member.isfile():
                continue
            if folder not in taken:
                classes.append(folder)
            taken[folder] = taken.get(folder, 0) + 1
            if classes.index(folder) % 2 == 0 and taken[folder] <= 12:
                tar.addfile(member, whole.extractfile(member))
    return part


@pytest.fixture(scope="module")
def made(photographs, tmp_path_factory) -> tuple[Path, str]:
    """All items at once: the folder, and what was printed."""
    out = tmp_path_factory.mktemp("paper")
    done = reproduce("--setting", "caltech", "--images", photographs, "--out", out, "--quick")
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout


@pytest.fixture(scope="module")
def setting(paper):
    return paper[1].CALTECH


@pytest.fixture(scope="module")
def bank(made) -> ms.ConceptBank:
    return ms.load_bank(made[0] / "run", name="published")


def test_every_item_is_made_its_command_is_printed_and_can_be_copied(paper, made):
    out, printed = made
    assert len(paper[0].ITEMS) == len(paper[0].BY_NAME)
    for item in paper[0].ITEMS:
        record = (out / "printed" / f"{item.name}.txt").read_text()
        line, _, rest = record.partition("\n")
        assert line in printed.splitlines()
        assert shlex.split(line)[:1] == ["$"]
        assert shlex.split(line)[1] in ("monoseme", "python")
        assert rest.strip() in printed


def test_the_histogram_counts_every_neuron_and_is_what_was_printed(made, bank):
    for name, record in (("published", "neurons"), ("published-svd", "svd")):
        one = ms.load_bank(made[0] / "run", name=name)
        assert sum(one.histogram().values()) == len(one.directions)
        text = ", ".join(f"{concepts}: {count}" for concepts, count in one.histogram().items())
        assert f"{{{text}}}" in (made[0] / "printed" / f"{record}.txt").read_text()
    assert len(bank.directions) == 1280
    assert max(bank.histogram()) >= 2
    rows = table(made[0] / "counts.csv")
    assert sum(int(row["concepts"]) for row in rows) == len(bank)
    assert {int(row["direction"]) for row in rows} == set(range(1280))


def test_pictures_show_something(made, setting):
    neurons = [int(number) for number in setting.neurons.split(",")]
    kinds = (
        "clusters", "concepts", "dendrogram", "similarity", "activations", "distances", "alignment", "map",
        "composition", "singular",
    )  # fmt: skip
    expected = [f"pictures/{neuron:05d}-{kind}.png" for neuron in neurons for kind in kinds]
    expected += ["pictures/neurons/histogram.png", "pictures/svd/histogram.png", "pictures/cosines.png"]
    expected += [f"feature/{what}-{how}.png" for what in ("neurons", "concepts") for how in ("plain", "varied")]
    for name in expected:
        with Image.open(made[0] / name) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert min(pixels.shape[:2]) > 200, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name


def test_medians_are_those_of_the_embeddings(made, bank, setting):
    rows = {int(row["concept"]): row for row in table(made[0] / "medians.csv")}
    acts = ms.open_run(made[0] / "run").activations()
    concepts = [c for n in setting.neurons.split(",") for c in bank.for_direction(int(n))]
    assert set(rows) == {concept.number for concept in concepts}
    for concept in concepts:
        points = acts[concept.image_ids].astype(np.float64)
        projection = points @ concept.vector
        row = rows[concept.number]
        assert float(row["projection on concept"]) == pytest.approx(np.median(projection), rel=1e-4)
        assert float(row["projection on neuron"]) == pytest.approx(np.median(points[:, concept.direction]), rel=1e-4)
        cosine = np.median(projection / np.linalg.norm(points, axis=1))
        assert float(row["cosine with concept"]) == pytest.approx(cosine, rel=1e-4)
        assert float(row["cosine with concept"]) > float(row["cosine with neuron"])


def test_thresholds_say_where_clusters_merge(made, bank, setting):
    for row in table(made[0] / "thresholds.csv"):
        place = bank.position(int(row["neuron"]))
        for clusters in range(1, 5):
            assert bank.clusters_at(float(row[str(clusters)]) + 0.01)[place] == clusters
            assert bank.clusters_at(float(row[str(clusters)]) - 0.01)[place] > clusters


def test_sheets_of_the_study_show_five_images_of_one_concept_each(made, bank, setting):
    rows = table(made[0] / "study" / "key.csv")
    run = ms.open_run(made[0] / "run")
    assert {row["sheet"] for row in rows} == {path.name for path in (made[0] / "study").glob("*.png")}
    for row in rows:
        concept = bank[int(row["concept"])]
        names = set(run.images(concept.image_ids, ["uri"])["uri"].to_pylist())
        shown = row["images"].split()
        assert len(set(shown)) == 5
        assert set(shown) <= names


def test_tcav_has_as_many_random_images_as_a_concept_has(made, bank):
    listed = json.loads((made[0] / "tcav" / "manifest.json").read_text())["folders"]
    for each in listed:
        files = list((made[0] / "tcav" / each["folder"]).iterdir())
        assert len(files) == len(each["files"]) == bank[each["concept"]].size
    assert {each["role"] for each in listed} == {"concept", "random"}


def test_one_neuron_set_to_zero_changes_accuracy_as_a_model_without_it_does(made, setting):
    rows = table(made[0] / "ablation.csv")
    assert [row["without"] for row in rows] == ["", *setting.neurons.split(","), *setting.neurons.split(",")]
    assert {row["set_to"] for row in rows[1:]} == {"zero", "mean"}
    accuracy = [float(row["accuracy"]) for row in rows]
    assert 0.3 < accuracy[0] <= 1
    assert max(abs(each - accuracy[0]) for each in accuracy) < 0.1


def test_predictions_are_those_of_the_run(made):
    rows = table(made[0] / "predictions.csv")
    kept = ms.open_run(made[0] / "run").images(columns=["uri", "predictions"]).to_pylist()
    assert [(row["uri"], int(row["class"])) for row in rows] == [(k["uri"], k["predictions"][0]["class"]) for k in kept]


def test_what_is_there_is_not_made_again_unless_it_is_named(made, photographs):
    out = made[0]
    vectors = out / "run" / "banks" / "head" / "published" / "vectors.safetensors"
    before = vectors.stat().st_mtime_ns
    arguments = ["--setting", "caltech", "--images", photographs, "--out", out, "--quick", "--only", "counts"]
    (out / "counts.csv").unlink()
    done = reproduce(*arguments)
    assert done.returncode == 0, done.stderr
    assert "neurons is there" in done.stdout
    assert (out / "counts.csv").is_file()
    assert vectors.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "dendogram", "--images", "x"], "did you mean dendrogram"),
        (["--setting", "caltec", "--images", "x"], "did you mean caltech"),
        (["--setting", "caltech"], "say where the images are: --images PATH"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(tmp_path, arguments, sentence):
    done = reproduce(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_step_that_fails_is_told_and_what_needs_it_is_left_out(tmp_path):
    done = reproduce(
        "--setting", "caltech", "--images", tmp_path / "none", "--out", tmp_path / "out", "--only", "counts"
    )
    assert done.returncode == 1
    assert "counts is left out: neurons failed" in done.stdout
    assert "could not be made" in done.stderr


@pytest.mark.parametrize("name", ["imagenet", "caltech"])
def test_every_command_is_one_that_the_program_takes(paper, name):
    items, settings = paper
    program = get_command(app)
    for item in items.ITEMS:
        words = item.argv(settings.SETTINGS[name], run="RUN", out="OUT", images="IMAGES")
        assert not [word for word in words if "{" in word]
        if words[0] == "monoseme":
            command = program.commands[words[1]]
            with typer.Context(command) as context:
                command.parse_args(context, words[2:])  # an option that does not exist raises
        else:  # run by the tests above with the same options
            assert (ROOT / words[1]).is_file()


def test_the_imagenet_setting_is_the_published_one(paper, shared):
    """Against the description of the method that comes with the shared material."""
    text = " ".join((shared / "method.md").read_text(encoding="utf-8").split())

    def stated(pattern: str) -> str:
        found = re.search(pattern, text)
        assert found, pattern
        return found.group(1)

    imagenet = paper[1].IMAGENET
    assert stated(r"Image size (\d+), resize then centre crop") == str(imagenet.size)
    assert stated(r"take the N = (\d+) images") == str(imagenet.top)
    assert stated(r"cut at distance_threshold d_max = (\d+)") == imagenet.distance
    assert stated(r"SQUARED distance to its centroid is >= (\d+)") == imagenet.outlier
    assert stated(r"left with fewer than (\d+) images") == str(imagenet.min_size)
    assert [int(n) for n in imagenet.neurons.split(",")] == [
        int(stated(r"neuron (\d+) \(apples")), int(stated(r"neuron (\d+) \(ellipses")), int(stated(r"neuron (\d+) \(underwater"))
    ]  # fmt: skip
    histogram = stated(r"neurons by number of concepts (\{[^}]*\})")
    found = paper[0].BY_NAME["neurons"].found
    assert histogram in found
    assert f"{int(stated(r'over all 2048 neurons [|] ([0-9]+)')):,} concepts" in found
    assert stated(r"(\{0: 1260[^}]*\})") in paper[0].BY_NAME["svd"].found


def test_inception_sees_what_the_paper_describes(paper, photos, tmp_path):
    """The command of the setting, with random weights for want of a download: 299 pixels, then a crop of as many."""
    from tests.torchvision_shim import make_torchvision_importable

    make_torchvision_importable()
    items, settings = paper
    words = items.BY_NAME["embeddings"].argv(
        settings.IMAGENET, run=str(tmp_path / "run"), out="", images=str(photos / "ramp")
    )
    status = app([*words[1:], "--weights", "none", "--workers", "0", "-q"], standalone_mode=False)
    assert not status
    run = ms.open_run(tmp_path / "run")
    preprocess = ms.Preprocess.from_description(run.manifest.model["preprocess"])
    assert (preprocess.resize, preprocess.crop) == (299, (299, 299))
    assert (preprocess.mean, preprocess.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert run.activations("Mixed_7b").shape[1] == 2048


def test_feature_images_are_made_as_published(shared):
    import runpy

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PAPER)
        names = runpy.run_path(str(PAPER / "feature_images.py"))
        sys.modules.pop("arguments", None)
    text = " ".join((shared / "method.md").read_text(encoding="utf-8").split())
    plain, varied = names["PLAIN"], names["VARIED"]
    assert f"{plain.images} images of {plain.size} px, decorrelated" in text
    assert f"{varied.jitter:g} px jitter and {varied.diversity} x diversity" in text
    for config in (plain, varied):
        assert (config.decorrelate, config.scale, config.rotate) == (True, (1, 1), 0)
    assert (plain.jitter, plain.diversity) == (0, 0)


def test_the_page_lists_every_item_with_its_command(paper):
    items, settings = paper
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("|` "): row[1] for row in rows}
    assert list(listed) == list(items.BY_NAME)
    for name, item in items.BY_NAME.items():
        command = shlex.join(item.argv(settings.IMAGENET, run="RUN", out="OUT", images="IMAGES"))
        assert f"`{command}`" in listed[name], name
        assert not item.found or item.found in next(row for row in rows if row[0] == f"| `{name}`")[2]
