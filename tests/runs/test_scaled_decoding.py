"""Large JPEGs decoded at a fraction of their size."""

import numpy as np
import pytest
import torch
from PIL import Image

import monoseme as ms


@pytest.fixture
def large(tmp_path):
    """Photographs eight times as large as the model's input, and one that is too small to be reduced."""
    folder = tmp_path / "large"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(4):
        small = Image.fromarray(noise.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        small.resize((400, 300), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=95)
    small.resize((40, 34), Image.Resampling.BICUBIC).save(folder / "small.jpg", quality=95)
    return folder


def test_large_images_are_seen_as_pillow_drafts_them_and_small_ones_as_ever(large, tmp_path, small_model):
    full = ms.embed(small_model, large, ["3"], tmp_path / "full", workers=0)
    scaled = ms.embed(small_model, large, ["3"], tmp_path / "scaled", workers=0, scaled_decoding=True)
    short = small_model.preprocess.resize
    prepared = []
    for uri in scaled.images(columns=["uri"])["uri"].to_pylist():
        with Image.open(large / uri) as image:
            image.draft("RGB", (short, short))
            assert image.size == ((50, 38) if uri != "small.jpg" else (40, 34))
            prepared.append(small_model.preprocess.pixels(image))
    assert np.array_equal(full.activations("3")[4], scaled.activations("3")[4])
    assert not np.array_equal(full.activations("3")[:4], scaled.activations("3")[:4])
    tensor = small_model.preprocess.tensor(np.stack(prepared))
    with torch.inference_mode():
        expected = small_model.module[:4](small_model.batch(tensor)).mean((2, 3)).numpy()
    np.testing.assert_allclose(scaled.activations("3")[:], expected, atol=1e-6)
    facts = ["uri", "width", "height", "digest"]
    assert full.images(columns=facts).equals(scaled.images(columns=facts))


def test_a_layer_is_only_added_with_the_decoding_of_the_run(large, tmp_path, small_model):
    ms.embed(small_model, large, ["3"], tmp_path / "run", workers=0, scaled_decoding=True)
    with pytest.raises(ms.UsageError, match=r"the decoding .scaled there, full now. differ"):
        ms.embed(small_model, large, ["1"], tmp_path / "run", workers=0)
    run = ms.embed(small_model, large, ["1"], tmp_path / "run", workers=0, scaled_decoding=True)
    assert [column.layer for column in run.columns()] == ["3", "1"]


def test_scaled_decoding_is_refused_where_the_preprocessing_does_not_say_what_it_needs(large, tmp_path, small_model):
    model = ms.wrap(small_model.module, lambda image: np.zeros((3, 32, 32), np.float32), device="cpu")
    with pytest.raises(ms.UsageError, match="does not say how many pixels it needs"):
        ms.embed(model, large, ["3"], tmp_path / "run", workers=0, scaled_decoding=True)
