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


def test_files_are_the_originals_bytes_with_the_suffix_of_their_content(small_run, photos, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    uris = small_run.images([7, 3], ["uri"])["uri"].to_pylist()
    with originals(small_run, moved) as images:
        assert list(images.files([7, 3])) == [((photos / uri).read_bytes(), ".jpg") for uri in uris]
        (moved / uris[0]).write_bytes((photos / uris[1]).read_bytes())
        with pytest.raises(ms.MonosemeError, match=f"{uris[0]} has changed"):
            list(images.files([7]))
        (moved / uris[0]).write_bytes(b"no image")
        with pytest.raises(ms.MonosemeError, match=f"{uris[0]} can no longer be used"):
            list(images.files([7]))


@pytest.mark.parametrize("encoded", [True, False])
def test_items_of_a_data_set_are_files_as_well(small_model, photos, tmp_path, encoded):
    class Items:
        paths = sorted((photos / "ramp").iterdir())

        def __len__(self):
            return len(self.paths)

        def __getitem__(self, number):
            return self.paths[number].read_bytes() if encoded else Image.open(self.paths[number])

    run = ms.embed(small_model, Items(), ["3"], tmp_path / "run", workers=0)
    with originals(run, Items()) as images:
        [(content, suffix)] = images.files([4])
    if encoded:
        assert (content, suffix) == (Items.paths[4].read_bytes(), ".jpg")
    else:
        assert suffix == ".png"
        (tmp_path / "x.png").write_bytes(content)
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "x.png")), np.asarray(Image.open(Items.paths[4]))
        )
