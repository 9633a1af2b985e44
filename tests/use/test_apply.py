"""Applying a bank: scores are the projections of what embed keeps, firing is calibrated, files are whole or absent."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.conftest import make_small_model

import monoseme as ms
from monoseme.base import as_activations
from monoseme.use import firing_levels

OPTIONS = {"top": 24, "distance_threshold": 8.0, "outlier_threshold": 1e9, "scaling": "standardised"}


@pytest.fixture(scope="module")
def bank(small_run):
    return ms.disentangle(small_run.activations("3"), "published", **OPTIONS)


def read(path):
    table = pq.read_table(path)
    return table, np.array(table["scores"].to_pylist(), dtype=np.float32)


def test_scores_are_the_projections_of_what_embed_keeps(bank, small_run, small_model, photos, tmp_path):
    done = ms.apply_bank(bank, photos, tmp_path / "scores.parquet", model=small_model, batch_size=7, workers=0)
    table, scores = read(done.path)
    assert (done.images, done.set_aside) == (61, 0)
    facts = small_run.images()
    assert table["uri"].to_pylist() == facts["uri"].to_pylist()
    assert table["digest"].to_pylist() == facts["digest"].to_pylist()
    np.testing.assert_allclose(scores, bank.project(small_run.activations("3")[:]), atol=1e-4)


def test_a_concept_fires_as_often_as_it_was_told_to(bank, small_run, small_model, photos, tmp_path):
    done = ms.apply_bank(bank, photos, tmp_path / "s.parquet", model=small_model, rate=0.1, batch_size=8, workers=0)
    table, scores = read(done.path)
    fired = np.zeros(scores.shape, bool)
    for row, concepts in enumerate(table["fired"].to_pylist()):
        fired[row, concepts] = True
    np.testing.assert_array_equal(fired, scores >= done.levels)
    # 7 is a tenth of 61, rounded up; an image that lies on the level may be moved off it by the last bit
    assert np.abs(fired.sum(0) - 7).max() <= 1
    assert done.fired == pytest.approx(fired.mean())
    about = json.loads(pq.read_schema(done.path).metadata[b"monoseme"])
    assert (about["rate"], about["layer"], len(about["keys"])) == (0.1, "3", len(bank))
    np.testing.assert_allclose(about["levels"], done.levels)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.25, 0.999])
@pytest.mark.parametrize("rows", [7, 2048])
def test_levels_are_order_statistics_of_the_data_set(bank, layer, rate, rows, monkeypatch):
    acts = as_activations(layer[:, :20])
    blocks = acts.blocks
    monkeypatch.setattr(acts, "blocks", lambda: blocks(rows))
    levels = firing_levels(bank, acts, rate)
    projected = np.sort(bank.project(layer[:, :20]), axis=0)
    np.testing.assert_allclose(levels, projected[-int(np.ceil(rate * 600))], rtol=1e-5)


def test_images_that_cannot_be_used_have_a_row_with_the_reason(bank, small_model, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (40, 40), (50 * number, 90, 10)).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"no picture")
    done = ms.apply_bank(bank, folder, tmp_path / "s.parquet", model=small_model, batch_size=2, workers=0)
    rows = pq.read_table(done.path).to_pylist()
    assert [row["uri"] for row in rows] == [f"{number}.png" for number in range(5)]
    assert (done.images, done.set_aside) == (4, 1)
    assert rows[1]["scores"] is None
    assert rows[1]["fired"] is None
    assert rows[1]["reason"]
    assert all(len(row["scores"]) == len(bank) and row["reason"] is None for row in rows if row["uri"] != "1.png")
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ms.MonosemeError, match="none of the 5 images"):
        ms.apply_bank(bank, folder, tmp_path / "none.parquet", model=small_model, workers=0)
    assert not (tmp_path / "none.parquet").exists()


def test_rows_come_in_groups(bank, small_model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("monoseme.use._apply.ROW_GROUP", 16)
    done = ms.apply_bank(bank, photos, tmp_path / "s.parquet", model=small_model, batch_size=8, workers=0)
    assert [pq.ParquetFile(done.path).metadata.row_group(group).num_rows for group in range(4)] == [16, 16, 16, 13]


def test_what_fails_leaves_nothing_or_what_was_there(bank, small_model, photos, tmp_path, monkeypatch):
    target = tmp_path / "scores.parquet"
    target.write_text("mine")
    with pytest.raises(ms.MonosemeError, match="exists already"):
        ms.apply_bank(bank, photos, target, model=small_model, workers=0)

    def broken(*_):
        raise ms.MonosemeError("halfway")

    with monkeypatch.context() as patch:
        patch.setattr("monoseme.use._apply._Writer.add", broken)
        with pytest.raises(ms.MonosemeError, match="halfway"):
            ms.apply_bank(bank, photos, target, model=small_model, workers=0, overwrite=True)
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]
    ms.apply_bank(bank, photos, target, model=small_model, workers=0, overwrite=True)
    assert len(pq.read_table(target)) == 61


def test_what_does_not_fit_is_refused(bank, small_run, small_model, photos, tmp_path):
    def refused(match, which=bank, **options):
        with pytest.raises(ms.UsageError, match=match):
            ms.apply_bank(which, photos, tmp_path / "s.parquet", **{"model": small_model, **options})

    refused("does not lie in a run", replace(bank, run=None))
    refused("rate at which concepts fire", rate=0.0)
    refused("at least one image", batch_size=0)
    refused("other weights", model=make_small_model(seed=1))
    refused("was not made from", replace(bank, info={**bank.info, "activations": {"images": 3}}))
    with pytest.raises(ms.UsageError, match="is a folder"):
        ms.apply_bank(bank, photos, tmp_path, model=small_model)
    with ms.ablate(small_model, "1", 0):
        refused("in force at layer 1")
    assert not list(tmp_path.iterdir())
