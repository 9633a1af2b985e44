"""Layer dictionaries: which concepts become one, that order does not matter, saving, refusing what is damaged."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.banks.damage import damage_numbers, damage_shape

import monoseme as ms
from monoseme.banks import CONCEPTS, EXEMPLARS, TOP_IMAGES, Frame
from monoseme.banks import _merge as merging


def bank_of(vectors, *, sizes=None, images=None, keys=None, directions=None, layer="layer", **info) -> ms.ConceptBank:
    """A bank with given vectors; concept i has exemplars `images[i]`, by default as many of its own as `sizes` says."""
    vectors = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    count = len(vectors)
    sizes = [3] * count if sizes is None else sizes
    images = [list(range(100 * i, 100 * i + sizes[i])) for i in range(count)] if images is None else images
    directions = list(range(count)) if directions is None else directions
    concepts = {
        "concept": range(count),
        "key": [f"key {i}" for i in range(count)] if keys is None else keys,
        "direction": directions,
        "cluster": [0] * count,
        "size": [len(mine) for mine in images],
        "separation": pa.nulls(count, pa.float64()),
        "mean_projection": [1.0] * count,
        "cosine_start": pa.nulls(count, pa.float32()),
    }
    rows = [(directions[i], rank, image, 1.0, 0, 0.0, i) for i in range(count) for rank, image in enumerate(images[i])]
    exemplars = [pa.array(column, each.type) for column, each in zip(zip(*rows, strict=True), EXEMPLARS, strict=True)]
    return ms.ConceptBank(
        vectors=vectors,
        concepts=pa.table({name: concepts.get(name, [None] * len(vectors)) for name in CONCEPTS.names}, CONCEPTS),
        exemplars=pa.table(exemplars, schema=EXEMPLARS),
        top=TOP_IMAGES.empty_table(),
        directions=np.unique(directions),
        merges=np.zeros((count, 0, 2), np.int32),
        heights=np.zeros((count, 0)),
        info={"layer": layer, "method": "made up", "parameters": {"directions": "neurons", **info}, "activations": {}},
    )


def shuffled(bank, random) -> ms.ConceptBank:
    order = random.permutation(len(bank))
    place = np.argsort(order)
    concepts = bank.concepts.take(order).set_column(0, CONCEPTS.field(0), pa.array(np.arange(len(bank)), pa.int32()))
    moved = pa.array(place[bank.exemplars["concept"].to_numpy()], pa.int32())
    exemplars = bank.exemplars.set_column(6, EXEMPLARS.field(6), moved)
    return replace(bank, vectors=bank.vectors[order], concepts=concepts, exemplars=exemplars)


def angles(*degrees) -> np.ndarray:
    radians = np.deg2rad(np.array(degrees, dtype=np.float64))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def keys_of(merged) -> list[list[str]]:
    return [merged.members_of(entry)["key"].to_pylist() for entry in range(len(merged))]


def test_near_duplicates_become_one_entry_and_what_is_single_stays():
    bank = bank_of(angles(0, 90, 4, 200, 91), sizes=[6, 5, 3, 7, 5])
    merged = ms.merge_concepts(bank, cosine=0.99)
    assert keys_of(merged) == [["key 0", "key 2"], ["key 1", "key 4"], ["key 3"]]
    first = (6 * bank.vectors[0] + 3 * bank.vectors[2]) / 9
    np.testing.assert_allclose(merged.vectors[0], first / np.linalg.norm(first), atol=1e-6)
    np.testing.assert_allclose(merged.vectors[2], bank.vectors[3], atol=1e-7)
    rows = merged.entries.to_pylist()
    assert [(row["members"], row["directions"], row["images"]) for row in rows] == [(2, 2, 9), (2, 2, 10), (1, 1, 7)]
    assert rows[0]["least_cosine"] == pytest.approx(float(bank.vectors[2] @ merged.vectors[0]), abs=1e-6)
    assert rows[2]["least_cosine"] == pytest.approx(1)
    assert repr(merged) == "<dictionary of layer: 3 entries from 5 concepts>"


def test_a_chain_of_neighbours_is_not_one_entry():
    merged = ms.merge_concepts(bank_of(angles(*range(0, 90, 5))), cosine=float(np.cos(np.deg2rad(11))))
    for entry in range(len(merged)):
        numbers = merged.members_of(entry)["concept"].to_numpy()
        assert np.ptp(numbers) <= 2
    assert len(merged) >= 6


def test_images_and_directions_that_are_shared_count_once():
    bank = bank_of(angles(0, 1, 2), images=[[1, 2, 3], [2, 3, 4], [9, 2, 3]], directions=[5, 5, 8])
    row = ms.merge_concepts(bank).entries.to_pylist()[0]
    assert (row["members"], row["directions"], row["images"]) == (3, 2, 5)


def test_a_demanded_overlap_keeps_concepts_of_other_images_apart():
    bank = bank_of(angles(0, 1, 2), images=[[1, 2, 3], [2, 3, 4], [7, 8, 9]])
    assert keys_of(ms.merge_concepts(bank, overlap=0.5)) == [["key 0", "key 1"], ["key 2"]]
    assert len(ms.merge_concepts(bank, overlap=0.51)) == 3
    assert len(ms.merge_concepts(bank, overlap=0.0)) == 1


def test_two_banks_are_merged_and_members_say_where_they_are_from():
    one, other = bank_of(angles(0, 90), keys=["a", "b"]), bank_of(angles(180, 1, 3), keys=["c", "d", "e"])
    merged = ms.merge_concepts([one, other], cosine=0.99)
    columns = ("bank", "concept", "key", "direction")
    assert [tuple(row[name] for name in columns) for row in merged.members_of(0).to_pylist()] == [
        (1, 1, "d", 1),
        (0, 0, "a", 0),
        (1, 2, "e", 2),
    ]
    assert merged.entries["directions"][0].as_py() == 3
    # Neuron 0 is neuron 0 in every bank; direction 0 of a list is another in each.
    same = ms.merge_concepts([one, bank_of(angles(1), keys=["x"])])
    listed = ms.merge_concepts([one, bank_of(angles(1), keys=["x"], directions=[0]), bank_of(angles(2), keys=["y"])])
    assert same.entries["directions"][0].as_py() == listed.entries["directions"][0].as_py() == 1
    apart = [bank_of(angles(1), keys=["x"]), bank_of(angles(2), keys=["y"])]
    for bank in apart:
        bank.info["parameters"]["directions"] = "svd"
    assert ms.merge_concepts(apart).entries["directions"][0].as_py() == 2


VECTORS = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3)).filter(any), min_size=1, max_size=14
)


@given(VECTORS, st.sampled_from([0.3, 0.5, 0.6, 0.8, 0.9, 0.999]), st.integers(0, 100), st.booleans())
def test_no_member_is_below_the_threshold_and_nothing_is_lost(vectors, cosine, seed, by_overlap):
    random = np.random.default_rng(seed)
    images = [random.choice(30, random.integers(1, 20), replace=False).tolist() for _ in vectors]
    bank = bank_of(vectors, images=images)
    merged = ms.merge_concepts(bank, cosine, overlap=0.2 if by_overlap else 0.0)
    assert sorted(merged.members["concept"].to_pylist()) == list(range(len(vectors)))
    np.testing.assert_allclose(np.linalg.norm(merged.vectors, axis=1), 1, atol=1e-6)
    entry = merged.members["entry"].to_numpy()
    own = (bank.vectors[merged.members["concept"].to_numpy()].astype(np.float64) * merged.vectors[entry]).sum(1)
    np.testing.assert_allclose(merged.members["cosine"].to_numpy(), own, atol=1e-6)
    assert (merged.members["cosine"].to_numpy() >= cosine).all()
    for number, row in enumerate(merged.entries.to_pylist()):
        members = merged.members_of(number)
        mine = members["concept"].to_pylist()
        assert row["members"] == len(mine)
        assert row["images"] == len(set().union(*(images[each] for each in mine)))
        assert row["least_cosine"] == min(members["cosine"].to_pylist())
        for one, other in combinations(mine, 2):
            assert bank.vectors[one] @ bank.vectors[other] >= cosine - 1e-6
            if by_overlap:
                common = len({*images[one]} & {*images[other]})
                assert common / len({*images[one]} | {*images[other]}) >= 0.2 - 1e-9


@given(VECTORS, st.sampled_from([0.3, 0.6, 0.9]), st.integers(0, 100), st.booleans())
def test_the_order_of_concepts_does_not_matter(vectors, cosine, seed, twice):
    random = np.random.default_rng(seed)
    keys = random.permutation(len(vectors)).astype(str).tolist()
    bank = bank_of(vectors, keys=["same"] * len(vectors) if twice else keys)
    one, other = ms.merge_concepts(bank, cosine), ms.merge_concepts(shuffled(bank, random), cosine)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.entries.equals(other.entries)
    if not twice:
        kept = ["entry", "bank", "key", "direction", "cosine"]
        assert one.members.select(kept).equals(other.members.select(kept))


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([0.5, 0.7, 0.9]))
def test_small_blocks_and_halves_of_a_bank_give_the_same_entries(seed, cosine):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(6, 5))[random.integers(0, 6, 40)] + 0.35 * random.normal(size=(40, 5))
    keys = [f"{number:02d}" for number in random.permutation(40)]
    bank = bank_of(vectors, keys=keys)
    whole = ms.merge_concepts(bank, cosine)
    halves = [
        bank_of(vectors[part], keys=keys[part], directions=list(range(40))[part]) for part in (slice(25), slice(25, 40))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "_BLOCK", 7)
        small = ms.merge_concepts(bank, cosine)
    assert [sorted(each) for each in keys_of(whole)] == [sorted(each) for each in keys_of(small)]
    assert [sorted(each) for each in keys_of(whole)] == [
        sorted(each) for each in keys_of(ms.merge_concepts(halves[::-1], cosine))
    ]


def test_too_many_concepts_in_one_part_are_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(merging, "_MOST", 3)
    assert len(ms.merge_concepts(bank_of(angles(0, 1, 2, 90, 91, 92)))) == 2
    with pytest.raises(ms.MonosemeError, match=r"4 concepts hang together .* raise the cosine"):
        ms.merge_concepts(bank_of(angles(0, 1, 2, 3)))


def test_a_bank_without_concepts_gives_an_empty_dictionary(layer, tmp_path):
    bank = ms.disentangle(layer, "published", top=40, distance_threshold=12.0, outlier_threshold=1e-6)
    assert len(bank) == 0
    merged = ms.merge_concepts(bank)
    assert (len(merged), merged.vectors.shape) == (0, (0, 24))
    assert len(ms.load_dictionary(merged.save(tmp_path / "none")).nearest(layer[:3])) == 0


@pytest.mark.parametrize(
    ("banks", "options", "sentence"),
    [
        ([], {}, "one or more concept banks"),
        ([3], {}, "one or more concept banks"),
        ([bank_of(angles(0)), bank_of(angles(0), layer="other")], {}, "different layers .* layer .* other"),
        ([bank_of(angles(0)), bank_of([[1, 2, 3]])], {}, r"different layers .* \(2 neurons\) and layer \(3\)"),
        (bank_of(angles(0)), {"cosine": 1.0}, "above 0 and below 1, not 1.0"),
        (bank_of(angles(0)), {"cosine": float("nan")}, "above 0 and below 1"),
        (bank_of(angles(0)), {"overlap": 1.5}, "from 0 to 1, not 1.5"),
    ],
)
def test_what_cannot_be_merged_is_refused_in_a_sentence(banks, options, sentence):
    with pytest.raises(ms.UsageError, match=sentence):
        ms.merge_concepts(banks, **options)


def test_banks_of_other_frames_or_images_are_refused():
    bank = bank_of(angles(0))
    for frame in (Frame(np.zeros(2)), Frame(None, np.ones(2))):
        with pytest.raises(ms.UsageError, match="different frames"):
            ms.merge_concepts([bank, replace(bank, frame=frame)])
    assert len(ms.merge_concepts([replace(bank, frame=Frame(np.ones(2))) for _ in "ab"])) == 1
    other = replace(bank, info={**bank.info, "activations": {"listing_digest": "abc"}})
    with pytest.raises(ms.UsageError, match="their listing_digest are None and abc"):
        ms.merge_concepts([bank, other])


@pytest.fixture(scope="module")
def merged(layer) -> ms.LayerDictionary:
    return ms.merge_concepts(
        ms.disentangle(layer, "published", top=40, distance_threshold=12.0, scaling="standardised"), 0.8
    )


def test_a_saved_dictionary_comes_back_equal_byte_for_byte(merged, layer, tmp_path):
    assert 1 < len(merged) < len(merged.members)
    one = merged.save(tmp_path / "one")
    back = ms.load_dictionary(one)
    np.testing.assert_array_equal(back.vectors, merged.vectors)
    np.testing.assert_array_equal(back.frame.scale, merged.frame.scale)
    assert back.entries.equals(merged.entries)
    assert back.members.equals(merged.members)
    assert (dict(back.info), back.layer) == (json.loads(json.dumps(merged.info)), "array")
    bank = ms.disentangle(layer, "published", top=40, distance_threshold=12.0, scaling="standardised")
    other = ms.merge_concepts(bank, 0.8).save(tmp_path / "other")
    files = sorted(path.name for path in one.iterdir())
    assert files == ["dictionary.json", "entries.parquet", "members.parquet", "vectors.safetensors"]
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


def test_a_dictionary_is_replaced_only_when_asked_and_nothing_else_ever(merged, tmp_path):
    merged.save(tmp_path / "one")
    with pytest.raises(ms.MonosemeError, match="exists already"):
        merged.save(tmp_path / "one")
    merged.save(tmp_path / "one", overwrite=True)
    with pytest.raises(ms.UsageError, match="not a dictionary and not empty"):
        merged.save(tmp_path, overwrite=True)
    with pytest.raises(ms.UsageError, match="there is no dictionary in"):
        ms.load_dictionary(tmp_path)
    with pytest.raises(ms.UsageError, match="there is no entry"):
        merged.members_of(len(merged))


def damage_text(folder):
    (folder / "dictionary.json").write_text("[" * 100_000)


def damage_half_a_file(folder):
    content = (folder / "members.parquet").read_bytes()
    (folder / "members.parquet").write_bytes(content[: len(content) // 2])


def damage_order(folder):
    table = pq.read_table(folder / "members.parquet")
    pq.write_table(table.take(list(range(len(table)))[::-1]), folder / "members.parquet")


def damage_column(folder):
    pq.write_table(pq.read_table(folder / "entries.parquet").drop_columns("key"), folder / "entries.parquet")


def damage_missing(folder):
    (folder / "vectors.safetensors").unlink()


@pytest.mark.parametrize(
    "damage",
    [damage_text, damage_shape, damage_numbers, damage_half_a_file, damage_order, damage_column, damage_missing],
)
def test_a_damaged_dictionary_is_refused_in_a_sentence(merged, tmp_path, damage):
    folder = merged.save(tmp_path / "one")
    damage(folder)
    with pytest.raises(ms.MonosemeError, match=r"is damaged .* merge the banks again") as caught:
        ms.load_dictionary(folder)
    assert "\n" not in str(caught.value)


def test_a_dictionary_of_a_newer_format_says_so(merged, tmp_path):
    folder = merged.save(tmp_path / "one")
    info = json.loads((folder / "dictionary.json").read_text())
    (folder / "dictionary.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(ms.MonosemeError, match=r"dictionary format 99.*update monoseme"):
        ms.load_dictionary(folder)
