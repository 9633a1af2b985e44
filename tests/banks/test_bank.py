"""Concept banks: asking, saving, loading, refusing what is damaged."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.banks.damage import damage_numbers, damage_shape

import monoseme as ms
from monoseme.banks import bank_folder, list_banks


@pytest.fixture(scope="module")
def bank(layer) -> ms.ConceptBank:
    return ms.disentangle(
        layer, "published", top=40, distance_threshold=12.0, scaling="standardised", select=range(2, 20)
    )


def test_a_saved_bank_comes_back_equal(bank, tmp_path):
    back = ms.load_bank(bank.save(tmp_path / "bank"))
    for name in ("vectors", "directions", "merges", "heights"):
        np.testing.assert_array_equal(getattr(back, name), getattr(bank, name))
    np.testing.assert_array_equal(back.frame.centre, bank.frame.centre)
    for name in ("concepts", "exemplars", "top"):
        assert getattr(back, name).equals(getattr(bank, name))
    assert dict(back.info) == json.loads(json.dumps(bank.info))


def test_equal_banks_are_equal_byte_for_byte(bank, layer, tmp_path):
    again = ms.disentangle(
        layer, "published", top=40, distance_threshold=12.0, scaling="standardised", select=range(2, 20)
    )
    one, other = bank.save(tmp_path / "one"), again.save(tmp_path / "other")
    files = sorted(path.name for path in one.iterdir())
    assert files == [
        "bank.json",
        "concepts.parquet",
        "divisions.parquet",
        "exemplars.parquet",
        "top_images.parquet",
        "vectors.safetensors",
    ]
    for name in files:
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_an_existing_bank_is_replaced_only_when_asked(bank, tmp_path):
    bank.save(tmp_path / "bank")
    with pytest.raises(ms.MonosemeError, match="exists already"):
        bank.save(tmp_path / "bank")
    bank.save(tmp_path / "bank", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank"]


def test_a_failure_while_saving_leaves_the_old_bank(bank, tmp_path, monkeypatch):
    bank.save(tmp_path / "bank")
    before = {path.name: path.read_bytes() for path in (tmp_path / "bank").iterdir()}
    monkeypatch.setattr(
        pq, "write_table", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(ms.MonosemeError, match="the disk is full"):
        bank.save(tmp_path / "bank", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bank").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank"]


def test_projections_are_products_in_the_frame(bank, layer):
    scaled = (layer - layer.mean(0)) / layer.std(0)
    np.testing.assert_allclose(bank.project(layer), scaled @ bank.vectors.T, atol=1e-4)
    rows = bank.top.slice(0, 10)
    projected = bank.project(layer[rows["image_id"].to_numpy()])[:, 0]
    np.testing.assert_allclose(rows["projection"].to_numpy(), projected, atol=1e-4)
    with pytest.raises(ms.UsageError, match="24 components"):
        bank.project(layer[:, :5])


def test_histogram_counts_directions_without_concepts_as_well(layer):
    bank = ms.disentangle(layer, "published", top=40, distance_threshold=12.0, outlier_threshold=1.0)
    counts = [len(bank.for_direction(int(direction))) for direction in bank.directions]
    assert bank.histogram() == {number: counts.count(number) for number in sorted(set(counts))}
    assert 0 in bank.histogram()


def test_concepts_are_numbered_by_direction_and_have_keys_of_their_own(bank):
    assert [concept.number for concept in bank] == list(range(len(bank)))
    assert len({concept.key for concept in bank}) == len(bank)
    assert (np.diff(bank.concepts["direction"].to_numpy()) >= 0).all()
    assert bank[-1].number == len(bank) - 1
    with pytest.raises(ms.UsageError, match="there is no concept"):
        bank[len(bank)]


def test_a_key_stays_when_other_directions_and_thresholds_change(layer):
    one = ms.disentangle(layer, "published", top=40, distance_threshold=12.0)
    other = ms.disentangle(layer, "published", top=40, distance_threshold=12.0001, select=[7])
    assert [c.key for c in other] == [c.key for c in one.for_direction(7)]


def test_cosines_with_each_other_and_with_given_directions(bank):
    own = bank.cosines()
    np.testing.assert_allclose(np.diag(own), 1, atol=1e-6)
    np.testing.assert_allclose(bank.cosines(5 * bank.vectors[:3]), own[:, :3], atol=1e-6)
    with pytest.raises(ms.UsageError, match="components"):
        bank.cosines(np.ones(7))


def test_the_directions_named_first_are_split_most_clearly():
    random = np.random.default_rng(0)
    label = random.integers(0, 4, 400)
    centres = np.array([[9, 0, 9, 0], [9, 0, 0, 9], [0, 6, 2, 0], [0, 6, 0, 2]])
    acts = (centres[label] + random.normal(size=(400, 4))).astype(np.float32)
    bank = ms.disentangle(acts, "published", select=[0, 1], top=80, distance_threshold=12.0)
    assert [len(bank.for_direction(direction)) for direction in (0, 1)] == [2, 2]
    assert bank.most_split(2) == [0, 1]
    assert bank.most_split(1) == [0]
    assert ms.disentangle(acts, "published", select=[0], top=80, distance_threshold=1e4).most_split() == []


def test_unknown_directions_and_too_many_images_are_refused(bank):
    with pytest.raises(ms.UsageError, match=r"direction 0 was not split .* \(2 to 19\)"):
        bank.for_direction(0)
    with pytest.raises(ms.UsageError, match="ask for 1 to 100"):
        bank.top_images(0, 101)


def damage_text(folder):
    (folder / "bank.json").write_text("{")


def damage_half_a_file(folder):
    content = (folder / "exemplars.parquet").read_bytes()
    (folder / "exemplars.parquet").write_bytes(content[: len(content) // 2])


def damage_column(folder):
    pq.write_table(pq.read_table(folder / "concepts.parquet").drop_columns("key"), folder / "concepts.parquet")


def damage_missing(folder):
    (folder / "vectors.safetensors").unlink()


@pytest.mark.parametrize(
    "damage", [damage_text, damage_shape, damage_numbers, damage_half_a_file, damage_column, damage_missing]
)
def test_a_damaged_bank_is_refused_in_a_sentence(bank, tmp_path, damage):
    folder = bank.save(tmp_path / "bank")
    damage(folder)
    with pytest.raises(ms.MonosemeError, match="is damaged"):
        ms.load_bank(folder)


def test_a_bank_of_a_newer_format_says_so(bank, tmp_path):
    folder = bank.save(tmp_path / "bank")
    info = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(ms.MonosemeError, match="update monoseme"):
        ms.load_bank(folder)


def test_a_run_with_several_banks_wants_a_name(bank, tmp_path):
    for layer, name in (("layer4.2", "a"), ("layer4.2", "b"), ("../x", "a")):
        folder = bank_folder(tmp_path, layer, name)
        assert folder.resolve().is_relative_to(tmp_path / "banks")
        bank.save(folder)
    assert list_banks(tmp_path) == [("../x", "a"), ("layer4.2", "a"), ("layer4.2", "b")]
    assert len(ms.load_bank(tmp_path, layer="layer4.2", name="b")) == len(bank)
    with pytest.raises(ms.UsageError, match="several banks"):
        ms.load_bank(tmp_path)
    with pytest.raises(ms.UsageError, match=r"did you mean layer4\.2"):
        ms.load_bank(tmp_path, layer="layer4.1")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\nb", "x" * 101])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(ms.UsageError, match="is no name for a bank"):
        bank_folder(tmp_path, "layer", name)


def test_a_folder_without_banks_says_how_to_make_one(tmp_path):
    with pytest.raises(ms.UsageError, match="monoseme disentangle"):
        ms.load_bank(tmp_path)


def test_a_folder_of_something_else_is_never_replaced_by_a_bank(bank, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    with pytest.raises(ms.UsageError, match="not a bank and not empty"):
        bank.save(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "thesis.txt").exists()


def test_ctrl_c_between_the_renames_leaves_the_old_bank(bank, tmp_path, monkeypatch):
    import os

    folder = bank.save(tmp_path / "bank")
    replace, calls = os.replace, []

    def stop_at_the_second(one, other):
        calls.append(one)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(one, other)

    monkeypatch.setattr(os, "replace", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        bank.save(folder, overwrite=True)
    assert len(ms.load_bank(folder)) == len(bank)


@pytest.mark.parametrize("text", ["[]", '{"format": 2}', "[" * 100_000])
def test_a_hostile_description_of_a_bank_is_refused_in_a_sentence(bank, tmp_path, text):
    folder = bank.save(tmp_path / "bank")
    (folder / "bank.json").write_text(text)
    with pytest.raises(ms.MonosemeError, match="damaged"):
        ms.load_bank(folder)


def test_numbers_of_numpy_as_parameters_can_be_kept(layer, tmp_path):
    made = ms.disentangle(
        layer, "published", top=np.int64(40), distance_threshold=np.float32(12), min_size=np.int64(3), select=[1]
    )
    assert ms.load_bank(made.save(tmp_path / "bank")).info["parameters"]["distance_threshold"] == 12.0
