"""Splits by circuit: two reasons behind equal embeddings are told apart, and all else is as with embeddings."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import monoseme as ms
from monoseme.splitting import Layer, shares
from monoseme.splitting._features import Described


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """120 pictures: red or green ones in turn, as bright as each other, with blue noise."""
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for number in range(120):
        pixels = random.integers(0, 40, (16, 16, 3))
        pixels[..., number % 2] = random.integers(150, 250)
        pixels[..., 2] = random.integers(0, 250)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def planted(colours, tmp_path_factory):
    """A network whose neuron 0 adds up two circuits, red and green, and whose other neurons see neither: model and run."""
    lower = nn.Conv2d(3, 6, 1)
    upper = nn.Conv2d(6, 4, 1)
    with torch.no_grad():
        for layer in (lower, upper):
            layer.weight.zero_()
            layer.bias.zero_()
        lower.weight[:2, 0, 0, 0] = torch.tensor([1.0, 0.8])  # red units
        lower.weight[2:4, 1, 0, 0] = torch.tensor([1.0, 0.8])  # green units
        lower.weight[4:, 2, 0, 0] = torch.tensor([1.0, -1.0])  # blue ones
        upper.weight[0, :4, 0, 0] = 1
        upper.weight[1, 4, 0, 0], upper.weight[2, 5, 0, 0] = 1, 1
        upper.bias[2] = 1
    net = nn.Sequential(lower, nn.ReLU(), upper, nn.ReLU())
    model = ms.wrap(net, ms.Preprocess(16, (16, 16), "bilinear", (0, 0, 0), (1, 1, 1)), device="cpu", name="planted")
    return model, ms.embed(model, colours, ["1", "3"], tmp_path_factory.mktemp("run") / "run", workers=0)


SPLIT = {"select": [0], "top": 60, "holdout": 0.0, "bootstrap": 0}


@pytest.mark.parametrize("attribution", ["gradient", "lrp"])
def test_two_circuits_behind_one_embedding_are_told_apart(planted, attribution):
    model, run = planted
    assert len(ms.disentangle(run.activations("3"), **SPLIT).for_direction(0)) == 1
    bank = ms.disentangle(run.activations("3"), features=ms.Circuit(run, "1", model, attribution=attribution), **SPLIT)
    members = bank.exemplars.select(["image_id", "concept"]).to_pydict()
    colour = np.array(members["image_id"]) % 2
    concept = np.array([-1 if each is None else each for each in members["concept"]])
    assert len(bank) == 2
    assert {tuple(np.unique(colour[concept == each])) for each in (0, 1)} == {(0,), (1,)}
    assert bank.info["parameters"]["features"] == {
        "kind": "circuit", "lower": "1", "attribution": attribution, "beside": False,
    }  # fmt: skip


def test_vectors_are_means_of_embeddings(planted):
    model, run = planted
    acts = run.activations("3")
    bank = ms.disentangle(acts, features=ms.Circuit(run, "1", model), vector="mean", **SPLIT)
    for concept in bank:
        rows = [row["image_id"] for row in bank.exemplars.to_pylist() if row["concept"] == concept.number]
        mean = acts[rows].mean(0)
        np.testing.assert_allclose(concept.vector, mean / np.linalg.norm(mean), atol=1e-5)
    first = bank.exemplars.to_pylist()[0]
    mine = acts[[row["image_id"] for row in bank.exemplars.to_pylist() if row["cluster"] == first["cluster"]]]
    expected = np.square(acts[[first["image_id"]]][0] - mine.mean(0)).sum()
    np.testing.assert_allclose(first["squared_distance"], expected, rtol=1e-3)


def test_stability_is_that_of_the_circuits(planted):
    model, run = planted
    bank = ms.disentangle(
        run.activations("3"), features=ms.Circuit(run, "1", model), **{**SPLIT, "top": 40, "bootstrap": 4}
    )
    assert (bank.concepts["stability"].to_numpy() > 0.9).all()


def described(run, features, rows, numbers):
    from monoseme.base import Silent
    from monoseme.splitting._starts import Starts

    layer = Layer.of(run.activations("3"), ms.banks.Frame(), 3, 0, 0.0, by_content=True)
    return features.describe(layer, Starts("neurons", np.array(numbers)), np.array(rows), Silent())


def test_shares_are_those_of_each_image_whatever_the_batches(planted):
    model, run = planted
    rows, numbers = [[5, 2, 9], [2, 5, 7], [9, 2, 0]], [0, 1, 2]
    whole = described(run, ms.Circuit(run, "1", model), rows, numbers)
    np.testing.assert_allclose(
        whole, described(run, ms.Circuit(run, "1", model, batch_size=1), rows, numbers), atol=1e-6
    )
    lower = np.asarray(run.activations("1")[:])
    weights = model.module[2].weight[:, :, 0, 0].numpy()
    expected = shares(lower[rows] * weights[numbers][:, None])
    np.testing.assert_allclose(whole[:2], expected[:2], atol=1e-5)


def test_embeddings_beside_carry_as_much_as_the_shares(planted):
    model, run = planted
    rows, numbers = [[5, 2, 9], [2, 5, 7]], [0, 1]
    both = described(run, ms.Circuit(run, "1", model, beside=True), rows, numbers)
    assert both.shape == (2, 3, 6 + 4)
    circuit, embedded = both[..., :6], both[..., 6:]
    np.testing.assert_allclose(np.square(circuit).sum(), np.square(embedded).sum(), rtol=1e-5)
    np.testing.assert_allclose(circuit, described(run, ms.Circuit(run, "1", model), rows, numbers))
    acts = np.asarray(run.activations("3")[:])
    about = acts[rows] - acts.mean(0)
    np.testing.assert_allclose(embedded / np.linalg.norm(embedded), about / np.linalg.norm(about), atol=1e-5)


def test_directions_have_circuits_too(planted):
    model, run = planted
    acts = run.activations("3")
    options = {"features": ms.Circuit(run, "1", model), "top": 60, "holdout": 0.0, "bootstrap": 0}
    as_neuron = ms.disentangle(acts, select=[0], **options)
    as_vector = ms.disentangle(acts, directions=2 * np.eye(4)[:1], **options)
    assert as_neuron.exemplars["concept"].equals(as_vector.exemplars["concept"])


def test_bands_and_the_published_method_see_circuits(planted):
    model, run = planted
    bank = ms.disentangle(
        run.activations("3"), "published", features=ms.Circuit(run, "1", model), select=[0], top=40, bands=[0.8],
        distance_threshold=2.0, outlier_threshold=1e9,
    )  # fmt: skip
    assert bank.histogram() == {4: 1}  # two in each band


def test_equal_inputs_give_equal_banks(planted, tmp_path):
    model, run = planted
    for name in ("one", "two"):
        ms.disentangle(run.activations("3"), features=ms.Circuit(run, "1", model), **SPLIT).save(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_moments_are_about_zero():
    class Given:
        def describe(self, layer, starts, rows, progress):
            return values

    values = np.random.default_rng(0).normal(1, 1, (5, 8, 3)).astype(np.float32)
    layer = Layer.of(ms.splitting._disentangle.as_activations(values[0]), ms.banks.Frame(), 4, 0, 0.0, by_content=False)
    seen = Described.by(Given(), layer, None, None, None)
    flat = values.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(seen.moments.covariance, flat.T @ flat / len(flat), atol=1e-6)
    assert (seen.moments.mean == 0).all()
    np.testing.assert_array_equal(seen.exemplars(slice(1, 3), 8), values[1:3])


def test_bad_input_gets_a_sentence(planted, small_run, small_model, tmp_path, colours):
    model, run = planted
    acts = run.activations("3")
    with pytest.raises(ms.UsageError, match="does not come before"):
        ms.disentangle(run.activations("1"), features=ms.Circuit(run, "3", model), **SPLIT)
    with pytest.raises(ms.UsageError, match="other weights"):
        ms.disentangle(acts, features=ms.Circuit(run, "1", small_model), **SPLIT)
    with pytest.raises(ms.UsageError, match="was wrapped"):
        ms.disentangle(acts, features=ms.Circuit(run, "1"), **SPLIT)
    with pytest.raises(ms.UsageError, match="give activations of that run"):
        ms.disentangle(small_run.activations("3"), features=ms.Circuit(run, "1", model), top=20)
    with pytest.raises(ms.UsageError, match="give activations of that run"):
        ms.disentangle(np.asarray(acts[:]), features=ms.Circuit(run, "1", model), top=20)
    with pytest.raises(ms.UsageError, match="no circuit"):
        ms.disentangle(acts, features=ms.Circuit(run, "1", model), scores=np.asarray(acts[:]), top=20)
    with pytest.raises(ms.UsageError, match="no number 4"):
        ms.disentangle(acts, features=ms.Circuit(run, "1", model), select=[4], top=20)
    with pytest.raises(ms.MonosemeError, match="holds no image"):
        ms.disentangle(acts, features=ms.Circuit(run, "1", model, images=_one_picture(tmp_path, colours)), **SPLIT)
    with pytest.raises(ms.UsageError, match="batch_size"):
        ms.Circuit(run, "1", batch_size=0)
    bank = ms.disentangle(acts, "published", features=ms.Circuit(run, "1", model), **SPLIT)
    with pytest.raises(ms.UsageError, match="not those of embeddings"):
        ms.recut(bank, acts, distance_threshold=3.0)


def _one_picture(folder, colours):
    (folder / "few").mkdir()
    (folder / "few" / "000.png").write_bytes((colours / "000.png").read_bytes())
    return folder / "few"
