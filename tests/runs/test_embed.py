"""From images and a model to a run."""

import io

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from tests.conftest import make_small_model
from torch import nn

import monoseme as ms


def plain_activations(model: ms.Model, run: ms.Run, folder, layer: str) -> np.ndarray:
    """What a user would write: one image at a time, a hook, a mean."""
    rows = []
    kept = {}
    handle = model.module.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.update(out=out.clone()))
    for uri in run.images(columns=["uri"])["uri"].to_pylist():
        with Image.open(folder / uri) as image, torch.inference_mode():
            model.module(model.preprocess.tensor(model.preprocess.pixels(image.convert("RGB"))[None]))
        rows.append(kept["out"].mean((2, 3))[0].numpy())
    handle.remove()
    return np.stack(rows)


def test_activations_are_those_of_a_plain_loop(small_model, small_run, photos):
    for layer in ("1", "3"):
        mine = small_run.activations(layer)[:]
        np.testing.assert_allclose(mine, plain_activations(small_model, small_run, photos, layer), atol=1e-5)


def test_images_come_in_sorted_order_with_labels_sizes_and_digests(small_run, photos):
    facts = small_run.images()
    expected = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.jpg"))
    assert facts["uri"].to_pylist() == expected
    assert facts["image_id"].to_pylist() == list(range(61))
    assert set(facts["label"].to_pylist()) == {"plain", "ramp", "stripes"}
    assert set(facts["width"].to_pylist()) == {48}
    by_uri = dict(zip(expected, facts["digest"].to_pylist(), strict=True))
    assert by_uri["plain/copy.jpg"] == by_uri["plain/003.jpg"]
    assert len(set(by_uri.values())) == 60


def test_predictions_are_the_five_likeliest_classes(small_model, small_run, photos):
    first = small_run.images([4], ["uri", "predictions"]).to_pylist()[0]
    with Image.open(photos / first["uri"]) as image, torch.inference_mode():
        logits = small_model.module(small_model.preprocess.tensor(small_model.preprocess.pixels(image)[None]))[0]
    expected = logits.softmax(0).sort(descending=True)
    assert [each["class"] for each in first["predictions"]] == expected.indices[:5].tolist()
    np.testing.assert_allclose([each["probability"] for each in first["predictions"]], expected.values[:5], atol=1e-5)


def test_thumbnails_are_small_pictures_of_the_images_and_carry_no_metadata(tmp_path, small_model):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.new("RGB", (400, 300), (200, 30, 30)).save(tmp_path / "a.jpg", exif=exif, comment="by somebody")
    run = ms.embed(small_model, tmp_path, ["1"], tmp_path / "run", workers=0)
    [thumbnail] = run.thumbnails([0])
    assert thumbnail.size == (160, 120)
    np.testing.assert_allclose(np.asarray(thumbnail).mean((0, 1)), (200, 30, 30), atol=4)
    content = run.images([0], ["thumbnail"])["thumbnail"][0].as_py()
    assert b"camera" not in content
    assert b"somebody" not in content


def test_private_data_keeps_neither_thumbnails_nor_predictions(tmp_path, photos, small_model):
    run = ms.embed(small_model, photos, ["1"], tmp_path / "run", thumbnails=False, predictions=False, workers=0)
    facts = run.images(columns=["thumbnail", "predictions"])
    assert facts["thumbnail"].null_count == facts["predictions"].null_count == len(run)
    with pytest.raises(ms.MonosemeError, match="holds no thumbnails"):
        run.thumbnails([0])


def test_worker_processes_give_the_same_rows_as_none(tmp_path, photos, small_model, small_run):
    run = ms.embed(small_model, photos, ["1", "3"], tmp_path / "run", batch_size=8, workers=2)
    assert rows(run).equals(rows(small_run))


def rows(run: ms.Run) -> pa.Table:
    return run._lance.to_table()


def test_several_poolings_are_columns_of_one_run(tmp_path, photos, small_model, small_run):
    run = ms.embed(small_model, photos, ["3"], tmp_path / "run", pooling=["mean", "max"], workers=0, batch_size=8)
    mean, largest = run.activations("3", "mean")[:], run.activations("3", "max")[:]
    np.testing.assert_array_equal(mean, small_run.activations("3")[:])
    assert (largest >= mean).all()
    np.testing.assert_array_equal(run.activations("3")[:], mean)
    with pytest.raises(ms.UsageError, match="no cls pooling"):
        run.activations("3", "cls")


def test_half_precision_rounds_and_refuses_what_does_not_fit(tmp_path, photos, small_run):
    run = ms.embed(make_small_model(), photos, ["1"], tmp_path / "run", dtype="float16", workers=0, batch_size=8)
    acts = run.activations()
    assert acts.dtype == np.float16
    np.testing.assert_array_equal(acts[:], small_run.activations("1")[:].astype(np.float16))
    loud = make_small_model()
    loud.module[0].weight.mul_(1e6)
    with pytest.raises(
        ms.MonosemeError, match=r"image plain/000.jpg reaches .* too large for float16; use --dtype float32"
    ):
        ms.embed(loud, photos, ["1"], tmp_path / "loud", dtype="float16", workers=0)


def test_activations_that_are_not_finite_name_the_image_and_keep_what_was_before(tmp_path, small_model):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(torch.where(x.amax((1, 2, 3), keepdim=True) > 2, x / 0, x))

    for number in range(20):
        Image.new("RGB", (32, 32), (255, 255, 255) if number == 17 else (90, 90, 90)).save(
            tmp_path / f"{number:02d}.png"
        )
    model = ms.wrap(Fails(), ms.Preprocess.imagenet(32), device="cpu")
    with pytest.raises(ms.MonosemeError, match=r"image 17.png at layer conv are not finite"):
        ms.embed(model, tmp_path, ["conv"], tmp_path / "run", batch_size=4, workers=0)
    run = ms.open_run(tmp_path / "run")
    assert not run.finished
    assert len(run) == 16


def test_weights_that_are_not_numbers_are_an_error(tmp_path, photos):
    model = make_small_model()
    model.module[0].weight.fill_(float("nan"))
    with pytest.raises(ms.MonosemeError, match="are not finite; check the model's weights"):
        ms.embed(model, photos, ["1"], tmp_path / "run", workers=0)


def test_images_that_cannot_be_used_are_set_aside_with_their_reason(tmp_path, photos, small_model):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))[:10]):
        (folder / f"{number}.jpg").write_bytes(path.read_bytes())
    (folder / "3.jpg").write_bytes(b"not a picture")
    (folder / "7.jpg").write_bytes((folder / "8.jpg").read_bytes()[:600])
    run = ms.embed(small_model, folder, ["1"], tmp_path / "run", batch_size=4, workers=1)
    assert run.finished
    assert len(run) == 8
    aside = run.quarantined().to_pylist()
    assert [row["uri"] for row in aside] == ["3.jpg", "7.jpg"]
    assert all(row["reason"] for row in aside)
    assert run.images(columns=["entry"])["entry"].to_pylist() == [0, 1, 2, 4, 5, 6, 8, 9]
    assert run.images()["image_id"].to_pylist() == list(range(8))


def test_nothing_but_bad_images_is_an_error_that_says_why(tmp_path, small_model):
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(b"no")
    with pytest.raises(ms.MonosemeError, match=r"none of the 3 images .* \(the first, 0.jpg: .*\)"):
        ms.embed(small_model, tmp_path / "photos", ["1"], tmp_path / "run", workers=0)


def test_an_empty_folder_is_an_error_and_leaves_nothing(tmp_path, small_model):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ms.MonosemeError, match="no images"):
        ms.embed(small_model, tmp_path / "photos", ["1"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_layer_is_refused_before_anything_is_written(tmp_path, photos, small_model):
    with pytest.raises(ms.UsageError, match="no layer"):
        ms.embed(small_model, photos, ["layer9"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_worker_that_crashes_costs_one_image_not_the_run(tmp_path, small_model):
    for number in range(9):
        Image.new("RGB", (32, 32), (20 * number, 90, 90)).save(tmp_path / f"{number}.png")
    buffer = io.BytesIO()
    Image.new("RGB", (666, 13)).save(buffer, "PNG")
    (tmp_path / "5.png").write_bytes(buffer.getvalue())
    model = ms.wrap(small_model.module, _dies_on_wide_images, device="cpu", input_size=(3, 32, 32))
    run = ms.embed(model, tmp_path, ["1"], tmp_path / "run", batch_size=4, workers=1)
    assert len(run) == 8
    assert [(row["uri"], row["reason"]) for row in run.quarantined().to_pylist()] == [
        ("5.png", "the decoder crashed on it, or memory ran out")
    ]


def _dies_on_wide_images(image: Image.Image) -> np.ndarray:
    if image.width == 666:
        import os

        os._exit(9)
    return np.asarray(image.resize((32, 32)), dtype=np.float32).transpose(2, 0, 1) / 255


def test_a_torch_data_set_is_embedded_in_this_process(tmp_path, photos, small_model):
    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return Image.new("RGB", (32, 32), (index * 40, 10, 10)), index % 2

    run = ms.embed(small_model, Pictures(), ["1"], tmp_path / "run")
    assert len(run) == 6
    assert run.images(columns=["label"])["label"].to_pylist() == ["0", "1"] * 3


def test_patches_know_their_photograph(tmp_path, photos, small_model):
    run = ms.embed(small_model, f"patches:{photos}?per_image=5&max=0.9&min=0.3", ["1"], tmp_path / "run", workers=0)
    groups = run.activations().images().groups
    assert np.bincount(groups).tolist() == [5] * 61
    bank = ms.disentangle(
        run.activations(), "published", top=30, max_per_photograph=1, distance_threshold=1e6, outlier_threshold="q1.0"
    )
    for direction in bank.directions:
        ids = bank.exemplars_of(int(direction))["image_id"].to_numpy()
        assert len(np.unique(groups[ids])) == 30


def test_a_module_whose_forward_refers_back_to_itself_is_not_run_twice_at_once(
    tmp_path, photos, small_model, small_run
):
    model = make_small_model()
    original = model.module
    forward = type(original).forward
    original.forward = lambda x: forward(original, x)  # a copy of this still calls the original's layers
    run = ms.embed(model, photos, ["1", "3"], tmp_path / "run", batch_size=2, workers=0)
    for layer in ("1", "3"):
        np.testing.assert_allclose(run.activations(layer)[:], small_run.activations(layer)[:], atol=1e-5)


def test_layers_whose_names_are_no_column_names_are_kept_apart(tmp_path, photos):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential()
            self.a.add_module("b", nn.Conv2d(3, 4, 3))
            self.add_module("a/b", nn.Conv2d(4, 5, 3))
            self.add_module("tick`%", nn.Conv2d(5, 6, 3))

        def forward(self, x):
            return getattr(self, "tick`%")(getattr(self, "a/b")(self.a.b(x)))

    model = ms.wrap(Odd(), ms.Preprocess.imagenet(16), device="cpu")
    run = ms.embed(model, photos, ["a.b", "a/b", "tick`%"], tmp_path / "run", workers=0)
    assert [run.activations(layer).shape[1] for layer in ("a.b", "a/b", "tick`%")] == [4, 5, 6]
    assert ms.verify_run(tmp_path / "run") == []
