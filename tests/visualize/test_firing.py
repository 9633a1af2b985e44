"""Where concepts fire in new images: the places that heatmaps show, for the images and concepts that the scores name."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import monoseme as ms
from monoseme.use import mean_embedding


@pytest.fixture(scope="module")
def applied(tmp_path_factory, small_run, small_model, photos):
    bank = ms.disentangle(
        small_run.activations("3"), "published", select=range(5), top=24, distance_threshold=1.0, outlier_threshold=1e9
    )
    path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    ms.apply_bank(bank, photos, path, model=small_model, rate=0.1, workers=0)
    return bank, path


def test_every_place_is_that_of_a_concept_that_fires_most_above_its_level(
    applied, small_model, small_run, photos, tmp_path
):
    bank, scores = applied
    done = ms.firing_pictures(
        bank, scores, heatmaps=tmp_path / "heat", crops=tmp_path / "crops", most=2, model=small_model, batch_size=7
    )
    levels = np.array(read_about(scores)["levels"])
    expected = {}
    for row in pq.read_table(scores).to_pylist():
        order = sorted(row["fired"], key=lambda number: levels[number] - row["scores"][number])[:2]
        expected |= {(row["entry"], number): row for number in order}
    for name in ("heat", "crops"):
        index = pq.read_table(tmp_path / name / "index.parquet").to_pylist()
        assert {(row["entry"], row["concept"]) for row in index} == set(expected)
        files = {path.relative_to(tmp_path / name).as_posix() for path in (tmp_path / name).rglob("*.jpg")}
        assert files == {row["file"] for row in index}
        for row in index:
            assert row["score"] == pytest.approx(expected[row["entry"], row["concept"]]["scores"][row["concept"]])
            assert row["score"] >= row["level"]
    assert done.pictures == len(expected)
    assert done.images == len({entry for entry, _ in expected})
    average = mean_embedding(small_run.activations("3"))
    for row in index[:6]:  # of the crops
        picture = opened(photos / row["uri"])
        maps = ms.heatmaps(bank, small_model, [picture], row["concept"], centre=average)
        assert tuple(row["box"]) == ms.concept_crops(maps, [picture])[0][0].box
        assert opened(tmp_path / "crops" / row["file"]).size == (
            row["box"][2] - row["box"][0],
            row["box"][3] - row["box"][1],
        )
        assert opened(tmp_path / "heat" / row["file"]).size == picture.size


def opened(path):
    with Image.open(path) as picture:
        return picture.copy()


def read_about(path):
    return json.loads(pq.read_schema(path).metadata[b"monoseme"])


def test_some_concepts_alone(applied, small_model, tmp_path):
    bank, scores = applied
    ms.firing_pictures(bank, scores, crops=tmp_path / "crops", concepts=[1], model=small_model)
    assert {path.name for path in (tmp_path / "crops").iterdir()} == {"concept-1", "index.parquet"}


def test_an_image_that_has_changed_stops_it_and_leaves_nothing(applied, small_model, photos, tmp_path):
    bank, scores = applied
    copy = shutil.copytree(photos, tmp_path / "photos")
    for path in copy.rglob("*.jpg"):
        Image.new("RGB", (48, 40), "teal").save(path)
    with pytest.raises(ms.MonosemeError, match="has changed since it was scored"):
        ms.firing_pictures(bank, scores, heatmaps=tmp_path / "heat", images=copy, model=small_model)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    (copy / "plain" / "000.jpg").unlink()
    with pytest.raises(ms.MonosemeError, match="no longer holds"):
        ms.firing_pictures(bank, scores, heatmaps=tmp_path / "heat", images=copy, model=small_model)


def test_what_does_not_fit_is_refused(applied, small_model, small_run, tmp_path):
    bank, scores = applied

    def refused(said, which=bank, path=scores, **options):
        with pytest.raises(ms.UsageError, match=said):
            ms.firing_pictures(which, path, **{"model": small_model, "crops": tmp_path / "new", **options})

    refused("name a folder", crops=None)
    refused("two different ones", heatmaps=tmp_path / "new")
    refused("at least one concept", most=0)
    refused("no concept 99", concepts=[99])
    other = ms.disentangle(small_run.activations("3"), "published", select=[7], top=20, distance_threshold=9.0)
    refused("of another bank", which=other)
    (tmp_path / "rubbish.parquet").write_bytes(b"rubbish")
    refused("holds no scores", path=tmp_path / "rubbish.parquet")
    refused("holds no scores", path=tmp_path / "none.parquet")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    refused("was not made by this", crops=full, overwrite=True)
    assert (full / "mine.txt").read_text() == "mine"
