"""Large JPEGs decoded at a fraction of their size."""

import numpy as np
import pytest
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


def test_scaled_decoding_changes_activations_hardly_and_those_of_small_images_not_at_all(large, tmp_path, small_model):
    full = ms.embed(small_model, large, ["3"], tmp_path / "full", workers=0)
    scaled = ms.embed(small_model, large, ["3"], tmp_path / "scaled", workers=0, scaled_decoding=True)
    one, other = (run.activations("3")[:] for run in (full, scaled))
    assert np.array_equal(one[4], other[4])
    assert not np.array_equal(one[:4], other[:4])
    between = np.linalg.norm(one[:, None] - one[None], axis=2)[~np.eye(5, dtype=bool)].min()
    assert np.linalg.norm(one - other, axis=1).max() < 0.05 * between
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
