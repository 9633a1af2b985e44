"""Reading runs: activations, facts, thumbnails, and runs that are not sound."""

import json
import shutil
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

import monoseme as ms


@pytest.fixture
def made(tmp_path, small_run) -> Path:
    return Path(shutil.copytree(small_run.path, tmp_path / "made"))


def test_activations_are_read_by_row_slice_and_block(small_run):
    acts = small_run.activations("3")
    whole = acts[:]
    assert whole.shape == acts.shape == (61, 20)
    np.testing.assert_array_equal(acts[[5, 3, 5, 60]], whole[[5, 3, 5, 60]])
    np.testing.assert_array_equal(acts[10:30:7], whole[10:30:7])
    np.testing.assert_array_equal(acts[np.array([[1, 2], [3, 4]])], whole[[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(np.asarray(acts), whole)
    assert acts[[]].shape == (0, 20)


@pytest.mark.parametrize("rows", [1, 7, 16, 61, 1000])
def test_blocks_have_fixed_bounds_whatever_the_fragments(tmp_path, photos, small_model, small_run, rows):
    run = (
        small_run
        if rows != 7
        else ms.embed(small_model, photos, ["3"], tmp_path / "run", batch_size=8, commit_every=8, workers=0)
    )
    acts = run.activations("3")
    blocks = list(acts.blocks(rows))
    assert [first for first, _ in blocks] == list(range(0, 61, rows))
    assert all(len(block) == rows for _, block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), small_run.activations("3")[:])


def test_a_run_and_its_array_give_the_same_bank(small_run):
    acts = small_run.activations("3")
    options = {"method": "published", "top": 20, "distance_threshold": 3.0}
    from_run, from_array = ms.disentangle(acts, **options), ms.disentangle(acts[:], **options)
    # One of the 61 photos is an exact copy, which only the run can know.
    copy = small_run.images(columns=["digest"])["digest"].to_pylist()
    first = {digest: row for row, digest in reversed(list(enumerate(copy)))}
    repeat = next(row for row, digest in enumerate(copy) if first[digest] != row)
    assert repeat not in from_run.exemplars["image_id"].to_pylist()
    without = np.delete(np.arange(61), repeat)
    expected = ms.disentangle(acts[without], **options)
    np.testing.assert_array_equal(
        without[expected.exemplars["image_id"].to_numpy()], from_run.exemplars["image_id"].to_numpy()
    )
    np.testing.assert_array_equal(expected.vectors, from_run.vectors)
    assert from_array.info["activations"]["images"] == 61


def test_a_bank_says_which_run_it_came_from(small_run):
    bank = ms.disentangle(small_run.activations("3"), top=20)
    assert bank.layer == "3"
    known = bank.info["activations"]
    assert known["weights_digest"] == small_run.manifest.model["weights_digest"]
    assert known["listing_digest"] == small_run.manifest.images["digest"]


def test_facts_come_in_the_order_asked_for(small_run):
    assert small_run.images([7, 2, 7])["image_id"].to_pylist() == [7, 2, 7]
    with pytest.raises(ms.UsageError, match="there is no image 61; the run holds 61, numbered from 0"):
        small_run.images([3, 61])


def test_choosing_a_layer_wants_a_name_and_helps_with_it(small_run):
    with pytest.raises(ms.UsageError, match="several layers; name one of 1 or 3"):
        small_run.activations()
    with pytest.raises(ms.UsageError, match=r"holds no layer '33'.*did you mean 3"):
        small_run.activations("33")


def test_a_moved_run_opens_without_model_or_images(made, tmp_path):
    moved = Path(shutil.move(made, tmp_path / "elsewhere"))
    run = ms.open_run(moved)
    assert run.finished
    assert len(run.thumbnails([0, 5])) == 2
    assert ms.verify_run(moved) == []


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (None, "not one of a monoseme run"),
        ("{", "manifest of .* is damaged"),
        ('{"format": 99}', "run format 99, but this version reads format 1"),
        ('{"format": 1}', "manifest of .* is damaged"),
        ('{"format": 1, "layers": 3}', "manifest of .* is damaged"),
        ("[]", "manifest of .* is damaged"),
        ("[" * 100_000, "manifest of .* is damaged"),
    ],
)
def test_a_manifest_that_is_not_one_is_refused_in_a_sentence(made, manifest, sentence):
    lance.dataset(made / "activations.lance").update_schema_metadata(
        {} if manifest is None else {"monoseme": manifest}, replace=True
    )
    with pytest.raises(ms.MonosemeError, match=sentence):
        ms.open_run(made)


def test_a_table_of_something_else_is_no_run(tmp_path):
    lance.write_dataset(pa.table({"a": [1]}), tmp_path / "run" / "activations.lance")
    with pytest.raises(ms.MonosemeError, match="not one of a monoseme run"):
        ms.open_run(tmp_path / "run")
    with pytest.raises(ms.UsageError, match="is not a run"):
        ms.open_run(tmp_path)


def test_a_table_whose_versions_are_damaged_says_so(made):
    for manifest in (made / "activations.lance" / "_versions").glob("*.manifest"):
        manifest.write_bytes(manifest.read_bytes()[:-40])
    with pytest.raises(ms.MonosemeError, match="is damaged"):
        ms.open_run(made)


def test_verify_finds_numbers_that_are_not_finite(made):
    table = lance.dataset(made / "activations.lance")
    values = table.to_table(columns=["image_id", "3:mean"])
    matrix = values["3:mean"].combine_chunks().flatten().to_numpy().reshape(61, 20).copy()
    matrix[17, 3] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), 20)
    changed = table.to_table().set_column(table.schema.names.index("3:mean"), table.schema.field("3:mean"), column)
    shutil.rmtree(made / "activations.lance")
    lance.write_dataset(changed.replace_schema_metadata(table.schema.metadata), made / "activations.lance")
    assert ms.verify_run(made) == ["layer 3: the activations of image 17 are not finite"]


def test_verify_finds_rows_that_are_missing_or_twice(made):
    table = lance.dataset(made / "activations.lance")
    table.delete("image_id = 7")
    problems = ms.verify_run(made)
    assert "61 images were listed, but 60 are embedded and 0 set aside" in problems
    assert "its image ids are not 0, 1, 2, ..." in problems


def test_a_manifest_that_promises_an_absent_layer_is_found(made):
    table = lance.dataset(made / "activations.lance")
    manifest = json.loads(table.schema.metadata[b"monoseme"])
    manifest["layers"].append({"layer": "9", "pooling": "mean", "channels": 4, "layout": "NCHW"})
    table.update_schema_metadata({"monoseme": json.dumps(manifest)})
    assert "layer 9 (mean) is in the manifest, but not in the table" in ms.verify_run(made)
    assert not ms.open_run(made).finished
    with pytest.raises(ms.MonosemeError, match=r"layer 9 of .* is not finished"):
        ms.open_run(made).activations("9")


def test_a_huge_thumbnail_of_a_foreign_run_is_not_decoded(made, monkeypatch):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (5000, 5000)).save(buffer, "JPEG")
    table = lance.dataset(made / "activations.lance")
    rows = table.to_table()
    thumbnails = [buffer.getvalue(), *rows["thumbnail"].to_pylist()[1:]]
    changed = rows.set_column(
        rows.schema.names.index("thumbnail"), rows.schema.field("thumbnail"), pa.array(thumbnails)
    )
    shutil.rmtree(made / "activations.lance")
    lance.write_dataset(changed.replace_schema_metadata(table.schema.metadata), made / "activations.lance")
    with pytest.raises(ms.MonosemeError, match="5000 x 5000 pixels"):
        ms.open_run(made).thumbnails([0])


def test_half_precision_finds_the_same_exemplars_on_real_embeddings(shared):
    golden = np.load(shared / "golden" / "published_method.npz")["activations"]
    whole, half = (
        ms.disentangle(each, "published", top=100, distance_threshold=31.0)
        for each in (golden, golden.astype(np.float16))
    )
    for one, other in zip(
        *(bank.exemplars["image_id"].to_numpy().reshape(256, 100) for bank in (whole, half)), strict=True
    ):
        one, other = set(one.tolist()), set(other.tolist())
        assert len(one & other) / len(one | other) >= 0.98


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", 6),
        ("channels", 10**12),
        ("channels", -1),
        ("channels", "x"),
        ("layers", []),
        ("model", "x"),
        ("images", {}),
    ],
)
def test_a_manifest_that_does_not_fit_its_table_is_refused_in_a_sentence(made, field, value):
    table = lance.dataset(made / "activations.lance")
    manifest = json.loads(table.schema.metadata[b"monoseme"])
    if field == "channels":
        manifest["layers"][0]["channels"] = value
    else:
        manifest[field] = value
    table.update_schema_metadata({"monoseme": json.dumps(manifest)})
    with pytest.raises(ms.MonosemeError, match="manifest of"):
        ms.open_run(made)


def test_unknown_facts_are_refused_with_the_known_ones(small_run):
    with pytest.raises(ms.UsageError, match="did you mean label"):
        small_run.images(columns=["lable"])
