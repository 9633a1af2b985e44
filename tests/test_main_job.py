"""The main job on real photographs: 4,798 of them, through the command line and the library."""

import json
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest

import monoseme as ms


@pytest.fixture(scope="module")
def run(shared, tmp_path_factory) -> ms.Run:
    """EfficientNet-Lite0's head on Caltech-101 at 160 px, prepared as the golden embeddings were."""
    model = ms.load_model("bundled:efficientnet-lite0", image_size=160, device="cpu")
    model.preprocess = replace(model.preprocess, resize=160, crop=(160, 160), half_pixel="down")
    return ms.embed(model, shared / "data" / "caltech101-160.tar", None, tmp_path_factory.mktemp("main") / "run")


def test_embeddings_are_the_golden_ones(run, shared):
    golden = np.load(shared / "golden" / "published_method.npz")["activations"]
    with tarfile.open(shared / "data" / "caltech101-160.tar") as tar:
        order = {member.name: row for row, member in enumerate(member for member in tar if member.isfile())}
    assert run.finished
    assert len(run) == 4798
    # The golden embeddings rounded the long side of an enlarged picture otherwise, so smaller pictures are left out.
    facts = run.images(columns=["image_id", "uri", "width", "height"]).to_pylist()
    same = [fact for fact in facts if min(fact["width"], fact["height"]) == 160]
    assert len(same) > 4400
    mine = run.activations()[[fact["image_id"] for fact in same]][:, :256]
    np.testing.assert_allclose(mine, golden[[order[fact["uri"]] for fact in same]], atol=5e-4)


def test_predictions_and_labels_are_those_of_photographs(run):
    facts = run.images(columns=["label", "predictions"])
    assert len(facts["label"].unique()) == 100
    probability = [row[0]["probability"] for row in facts["predictions"].to_pylist()]
    assert np.median(probability) > 0.3


def test_concepts_are_purer_than_their_neurons_and_than_chance(run):
    bank = ms.disentangle(run.activations(), top=25, bootstrap=0)
    label = np.asarray(run.images(columns=["label"])["label"].to_pylist())
    shuffled = np.random.default_rng(0).permutation(label)

    def purity(names: np.ndarray) -> float:
        return float(np.unique(names, return_counts=True)[1].max() / len(names))

    concepts, neurons, chance = [], [], []
    for direction in bank.most_split(200, overlap=1.0):
        exemplars = bank.exemplars_of(direction)["image_id"].to_numpy()
        for concept in bank.for_direction(direction):
            concepts.append(purity(label[concept.image_ids]))
            neurons.append(purity(label[exemplars]))
            chance.append(purity(shuffled[concept.image_ids]))
    assert np.mean(concepts) > np.mean(neurons) + 0.1
    assert np.mean(concepts) > np.mean(chance) + 0.2


def test_the_command_line_does_the_same_job(run, tmp_path):
    command = [sys.executable, "-m", "monoseme"]
    done = subprocess.run(
        [*command, "disentangle", run.path, "--top", "100", "--json", "--neurons", "0-255", "--bank", "first"],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert sum(answer["histogram"].values()) == 256
    assert answer["concepts"] > 256
    bank = ms.load_bank(run.path, name="first")
    expected = ms.disentangle(run.activations(), select=range(256))
    np.testing.assert_array_equal(bank.vectors, expected.vectors)
    neuron = bank.most_split(1)[0]
    shown = subprocess.run([*command, "show", run.path, str(neuron)], capture_output=True, text=True, check=True)
    assert "labels" in shown.stdout
    verified = subprocess.run([*command, "verify", run.path, "-q"], capture_output=True, text=True, check=True)
    assert "is whole: 4,798 images" in verified.stdout
