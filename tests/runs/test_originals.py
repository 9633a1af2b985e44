"""What a run was made from, found again: images and model."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import monoseme as ms
from monoseme.runs import model_of, originals


def test_originals_are_the_images_that_were_embedded(small_run, photos):
    with originals(small_run) as images:
        pictures = images.load([7, 3])
    uris = small_run.images([7, 3], ["uri"])["uri"].to_pylist()
    for picture, uri in zip(pictures, uris, strict=True):
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(Image.open(photos / uri).convert("RGB")))


def test_moved_images_are_found_where_the_user_says_also_among_new_ones(small_run, photos, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    shutil.copy(photos / "ramp" / "001.jpg", moved / "000-new.jpg")
    with originals(small_run) as here, originals(small_run, moved) as there:
        assert [p.tobytes() for p in here.load([0, 59])] == [p.tobytes() for p in there.load([0, 59])]


def test_images_that_are_gone_or_changed_are_named(small_run, photos, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    first, second = small_run.images([0, 1], ["uri"])["uri"].to_pylist()
    (moved / first).unlink()
    shutil.copy(moved / "ramp" / "001.jpg", moved / second)
    with originals(small_run, moved) as images:
        with pytest.raises(ms.MonosemeError, match=f"no image {first}"):
            images.load([0])
        with pytest.raises(ms.MonosemeError, match=f"{second} has changed"):
            images.load([1])


def test_a_run_whose_images_have_moved_says_so(photos, tmp_path, small_model):
    shutil.copytree(photos / "ramp", tmp_path / "photos")
    run = ms.embed(small_model, tmp_path / "photos", ["3"], tmp_path / "run", workers=0)
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(ms.UsageError, match="no longer where they were"):
        originals(run)


def test_the_model_of_a_run_is_loaded_as_it_was(photos, tmp_path):
    model = ms.load_model("bundled:efficientnet-lite0", image_size=64, device="cpu")
    run = ms.embed(model, photos / "plain", None, tmp_path / "run", workers=0)
    again = model_of(run, device="cpu")
    assert again.preprocess.describe() == model.preprocess.describe()
    pixels = torch.rand(1, 3, 64, 64)
    assert again.input_size == (3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(again.module(again.batch(pixels)), model.module(model.batch(pixels)))


def test_a_model_keeps_the_preprocessing_of_the_run(photos, tmp_path):
    model = ms.load_model("bundled:efficientnet-lite0", image_size=64, device="cpu")
    run = ms.embed(model, photos / "plain", None, tmp_path / "run", workers=0)
    assert model_of(run, ms.load_model("bundled:efficientnet-lite0", device="cpu")).input_size == (3, 64, 64)


def test_other_weights_and_models_that_cannot_be_loaded_are_refused(small_run, small_model, photos, tmp_path):
    from tests.conftest import make_small_model

    assert model_of(small_run, small_model) is small_model
    with pytest.raises(ms.UsageError, match="other weights"):
        model_of(small_run, make_small_model(seed=1))
    with pytest.raises(ms.UsageError, match="give that model"):
        model_of(small_run)


def test_code_that_a_run_names_is_not_run(small_run, tmp_path, monkeypatch):
    run = ms.open_run(small_run.path)
    object.__setattr__(run.manifest, "model", {**run.manifest.model, "spec": "python:antigravity:open"})
    with pytest.raises(ms.UsageError, match="is code"):
        model_of(run)
