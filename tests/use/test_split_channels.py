"""Channels rewritten from a bank: outputs as before, purer channels, saved and loaded without pickle."""

import json

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch import nn

import monoseme as ms
from monoseme.models import Tap, Tapped


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A network whose neuron 0 fires for red and for green pictures by way of different inputs: model, run and bank."""
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for number in range(90):
        pixels = random.integers(0, 40, (16, 16, 3))
        pixels[..., number % 3] = random.integers(150, 250)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03d}.png")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 1, bias=False), nn.ReLU(), nn.Conv2d(8, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3),
        )  # fmt: skip
    with torch.no_grad():
        net[0].weight.abs_().mul_(0.1)
        for unit, colour in enumerate((0, 0, 0, 1, 1, 1, 2, 2)):
            net[0].weight[unit, colour] = 1
        net[2].weight.mul_(0.1)
        net[2].weight[0] = 0.1 * torch.tensor([1, 0.8, 0.6, 1, 0.8, 0.6, -1, -1])[:, None, None]
        net[3].running_mean.uniform_(0, 0.1)
        net[3].running_var.uniform_(0.5, 1)
    model = ms.wrap(net, ms.Preprocess(16, (16, 16), "bilinear", (0, 0, 0), (1, 1, 1)), device="cpu", name="planted")
    run = ms.embed(model, folder, ["4"], tmp_path_factory.mktemp("run") / "run", workers=0)
    bank = ms.disentangle(
        run.activations("4"), features=ms.Circuit(run, "1", model), select=[0], top=50, holdout=0.0, bootstrap=0
    )
    assert len(bank) == 2
    return model, run, bank


def images(batch=4):
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def split(planted):
    model, run, bank = planted
    return ms.split_channels(bank, run, 0, model)


def test_outputs_are_as_before_and_the_model_is_untouched(planted, split):
    model, run, _ = planted
    before = model.module(images())
    assert float((split.model.module(images()) - before).abs().max() / before.abs().max()) < 1e-4
    assert run.manifest.model["weights_digest"] == model.weights_digest


def test_new_channels_are_embedded_like_any_layer_and_each_has_its_own_images(planted, split, tmp_path):
    _, run, bank = planted
    made = ms.embed(split.model, run.manifest.images["source"], [split.layer], tmp_path / "run", workers=0)
    new, old = np.asarray(made.activations(split.layer)[:]), np.asarray(run.activations("4")[:])[:, 0]
    assert new.shape == (90, 2)
    colour, top = np.arange(90) % 3, np.argsort(-old)[:30]
    assert {*np.unique(colour[top])} == {0, 1}
    for row in split.channels.to_pylist():
        mine = np.argsort(-new[:, row["channel"]])[:30]
        assert len(np.unique(colour[mine])) == 1  # the neuron's own top images have two colours
        exemplars = bank.exemplars.filter(pc.equal(bank.exemplars["concept"], row["concept"]))
        of = colour[exemplars["image_id"].to_numpy()]
        assert {*np.unique(of)} == {*np.unique(colour[mine])}


def test_the_table_says_what_became_of_the_channel(planted, split):
    table = split.channels.to_pydict()
    assert table["neuron"] == [0, 0]
    assert table["channel"] == [0, 1]
    assert table["concept"] == [0, 1]
    assert [len(each) for each in split.sources] == [2]
    assert table["inputs"] == split.sources[0].sum(1).tolist()
    assert all(each > 0.7 for each in table["purity"])
    assert all(0.7 < each < 1.3 for each in table["kept"])


def test_a_ratio_can_be_given(planted):
    model, run, bank = planted
    narrow, wide = (ms.split_channels(bank, run, [0], model, ratio=ratio) for ratio in (0.05, 1.0))
    assert narrow.channels["ratio"].to_pylist() == [0.05, 0.05]
    assert sum(narrow.channels["inputs"].to_pylist()) <= sum(wide.channels["inputs"].to_pylist())


def test_saved_and_loaded_it_is_the_same(planted, split, tmp_path):
    model, *_ = planted
    path = split.save(tmp_path / "split.safetensors")
    loaded = ms.load_split(path, model)
    tap = Tap(split.layer)
    one, two = (Tapped(each.model, [tap], predictions=False)(images()).pooled[tap] for each in (split, loaded))
    assert torch.equal(one, two)
    assert torch.equal(split.model.module(images()), loaded.model.module(images()))
    assert loaded.channels.equals(split.channels)
    assert loaded.layer == split.layer
    with pytest.raises(ms.MonosemeError, match="exists"):
        split.save(path)
    assert split.save(path, replace=True) == path


def test_a_file_that_is_damaged_or_of_another_model_is_refused(planted, split, small_model, tmp_path):
    model, *_ = planted
    path = split.save(tmp_path / "split.safetensors")
    with pytest.raises(ms.UsageError, match="other weights"):
        ms.load_split(path, small_model)
    with pytest.raises(ms.UsageError, match="was wrapped"):
        ms.load_split(path)
    with pytest.raises(ms.UsageError, match="no file"):
        ms.load_split(tmp_path / "none", model)
    (tmp_path / "noise").write_bytes(b"noise" * 10)
    with pytest.raises(ms.MonosemeError, match="does not say"):
        ms.load_split(tmp_path / "noise", model)
    tensors = load_file(path)
    for facts, which in (
        ({}, tensors),
        ({"format": 99}, tensors),
        ({"format": 1, "info": {}, "channels": []}, tensors),
        (json.loads(_metadata(path)), {"0": tensors["0"][:1]}),
        (json.loads(_metadata(path)), {"0": tensors["0"][:, :3]}),
    ):
        save_file(which, tmp_path / "bad.safetensors", metadata={"monoseme": json.dumps(facts)})
        with pytest.raises(ms.MonosemeError):
            ms.load_split(tmp_path / "bad.safetensors", model)


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as content:
        return content.metadata()["monoseme"]


def test_bad_input_gets_a_sentence(planted, small_model, small_run):
    model, run, bank = planted
    with pytest.raises(ms.UsageError, match="direction 3 was not split"):
        ms.split_channels(bank, run, 3, model)
    coarse = ms.disentangle(run.activations("4"), select=[0], top=50, holdout=0.0, bootstrap=0, granularity=1e-9)
    with pytest.raises(ms.UsageError, match="1 concept for neuron 0; choose one with two"):
        ms.split_channels(coarse, run, 0, model)
    with pytest.raises(ms.UsageError, match="by their numbers"):
        ms.split_channels(bank, run, [], model)
    with pytest.raises(ms.UsageError, match="ratio"):
        ms.split_channels(bank, run, 0, model, ratio=0)
    with pytest.raises(ms.UsageError, match="other weights"):
        ms.split_channels(bank, run, 0, small_model)
    directions = ms.disentangle(run.activations("4"), directions="svd", top=20)
    with pytest.raises(ms.UsageError, match="directions are svd"):
        ms.split_channels(directions, run, 0, model)
