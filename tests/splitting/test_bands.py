"""Exemplars below the top: concepts at half strength, which images a band holds, banks with bands on disk."""

import json

import numpy as np
import pytest

import monoseme as ms
from monoseme.base import ArrayActivations, Images

PLAIN = {"bootstrap": 0, "holdout": 0, "top": 40}


@pytest.fixture(scope="module")
def half() -> tuple[np.ndarray, np.ndarray]:
    """Neuron 0 fires at about 10 for 200 images of source 1 and at about 5 for 200 images of source 2."""
    random = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [2600, 200, 200])
    acts = random.normal(size=(3000, 16)).astype(np.float32)
    acts[:, 0] = np.array([0, 10.0, 5.0])[label] + random.normal(size=3000) * np.array([0.5, 0.7, 0.35])[label]
    acts[label == 1, 1] += 6
    acts[label == 2, 2] += 6
    order = random.permutation(3000)
    return acts[order], label[order]


def labels_of(bank: ms.ConceptBank, label: np.ndarray) -> list[set[int]]:
    return [set(label[concept.image_ids].tolist()) for concept in bank]


def test_a_concept_at_half_strength_is_found_by_a_band_and_missed_by_the_top(half):
    acts, label = half
    assert labels_of(ms.disentangle(acts, select=[0], **PLAIN), label) == [{1}]
    bank = ms.disentangle(acts, select=[0], bands=[0.5], **PLAIN)
    found = labels_of(bank, label)
    assert found[0] == {1}
    assert {2} in found
    mine = bank.vectors[found.index({2})]
    truth = acts[label == 2].mean(0) - acts.mean(0)
    assert mine @ truth / np.linalg.norm(truth) > 0.95


def brute_force(score: np.ndarray, level: float, top: int) -> np.ndarray:
    """The `top` images with the largest score at or below a level of the way from the mean to the top's lowest."""
    lowest = np.sort(score)[::-1][top - 1]
    border = score.mean(dtype=np.float64) + level * (lowest - score.mean(dtype=np.float64))
    inside = np.flatnonzero(score <= border)
    return inside[np.argsort(-score[inside], kind="stable")[:top]]


@pytest.mark.parametrize("scaling", ["raw", "standardised"])
@pytest.mark.parametrize("kind", ["neurons", "vectors", "scores"])
def test_a_band_holds_the_largest_scores_at_or_below_its_level(half, kind, scaling):
    acts = half[0]
    wide = acts.astype(np.float64)
    seen = (wide - wide.mean(0)) / wide.std(0) if scaling == "standardised" else wide
    vectors = np.random.default_rng(1).normal(size=(2, 16))
    scores = np.random.default_rng(2).normal(size=(3000, 2)).astype(np.float32)
    asked = {"neurons": {"select": [0, 5]}, "vectors": {"directions": vectors}, "scores": {"scores": scores}}[kind]
    expected = {"neurons": seen[:, [0, 5]], "vectors": seen @ vectors.T, "scores": scores}[kind]
    bank = ms.disentangle(acts, bands=[0.25, 0.6], scaling=scaling, top_images=1, **asked, **PLAIN)
    assert bank.bands.tolist() == [1.0, 0.6, 0.25] * 2
    assert bank.directions.tolist() == np.repeat({"neurons": [0, 5]}.get(kind, [0, 1]), 3).tolist()
    images = bank.exemplars["image_id"].to_numpy().reshape(2, 3, 40)
    activations = bank.exemplars["activation"].to_numpy().reshape(2, 3, 40)
    for direction, score in enumerate(expected.T):
        np.testing.assert_array_equal(images[direction, 0], np.argsort(-score, kind="stable")[:40])
        for band, level in ((1, 0.6), (2, 0.25)):
            np.testing.assert_array_equal(images[direction, band], brute_force(score, level, 40))
        unit = np.linalg.norm(vectors[direction]) if kind == "vectors" else 1
        np.testing.assert_allclose(activations[direction], score[images[direction]] / unit, rtol=1e-4, atol=1e-4)


def test_neither_held_out_images_nor_copies_are_in_a_band(half):
    acts = np.concatenate([half[0], half[0]])
    bank = ms.disentangle(acts, select=[0], bands=[0.5], top=40, bootstrap=0, holdout=0.3)
    images = bank.exemplars["image_id"].to_numpy()
    assert images.max() < 3000
    out = ms.base.held_out(ms.base.with_digests(ArrayActivations(acts)), 0.3)
    assert not out[images].any()


def test_no_photograph_fills_a_band(half):
    groups = np.arange(3000) // 5
    acts = ArrayActivations(half[0], images=Images(groups=groups))
    bank = ms.disentangle(acts, select=[0], bands=[0.5], max_per_photograph=1, **PLAIN)
    for images in bank.exemplars["image_id"].to_numpy().reshape(2, 40):
        assert len(np.unique(groups[images])) == 40


def test_the_top_is_split_as_it_is_without_bands(half):
    options = {"select": [0, 3], "top": 40, "bootstrap": 3}
    plain, banded = (ms.disentangle(half[0], bands=bands, **options) for bands in ((), (0.5,)))
    assert plain.bands is None
    top = banded.bands == 1
    np.testing.assert_allclose(banded.heights[top], plain.heights, rtol=1e-9)
    per = np.repeat(top, 40)
    for name in ("direction", "rank", "image_id", "activation", "cluster"):
        assert banded.exemplars.filter(per)[name].equals(plain.exemplars[name]), name
    found = banded.concepts["key"].to_pylist()
    assert set(plain.concepts["key"].to_pylist()) <= set(found)
    p_values = [bank.divisions["p_value"].to_numpy() for bank in (banded, plain)]
    np.testing.assert_allclose(p_values[0][top], p_values[1], rtol=1e-6)


def test_a_direction_gives_the_concepts_of_its_top_and_of_its_bands(half):
    bank = ms.disentangle(half[0], select=[0], bands=[0.5], **PLAIN)
    concepts = bank.for_direction(0)
    assert len(concepts) == len(bank) >= 2
    assert bank.exemplars_of(0).equals(bank.exemplars)
    for concept in concepts:
        rows = bank.exemplars.filter(np.equal(bank.exemplars["concept"].to_numpy(zero_copy_only=False), concept.number))
        np.testing.assert_array_equal(concept.image_ids, rows["image_id"].to_numpy())
        assert concept.size == len(rows)
    assert not set(concepts[0].image_ids) & set(concepts[-1].image_ids)


def test_a_bank_with_bands_detectors_and_divisions_comes_back_equal(half, tmp_path):
    banks = [ms.disentangle(half[0], select=[0, 3], bands=[0.5], top=40, bootstrap=2) for _ in range(2)]
    one, other = (bank.save(tmp_path / str(number)) for number, bank in enumerate(banks))
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(path.name for path in other.iterdir())
    for name in files:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    back = ms.load_bank(one)
    for name in ("vectors", "detectors", "bands", "directions", "merges", "heights"):
        np.testing.assert_array_equal(getattr(back, name), getattr(banks[0], name), err_msg=name)
    for name in ("concepts", "exemplars", "top", "divisions"):
        assert getattr(back, name).equals(getattr(banks[0], name)), name
    assert dict(back.info) == json.loads(json.dumps(banks[0].info))
    assert back.info["parameters"]["bands"] == [0.5]


def test_a_bank_without_them_comes_back_without_them(half, tmp_path):
    bank = ms.disentangle(half[0], "published", select=[0], top=40, distance_threshold=20.0)
    back = ms.load_bank(bank.save(tmp_path / "bank"))
    assert back.bands is None
    assert back.detectors is None
    assert back.divisions.equals(bank.divisions)
    assert back.divisions["p_value"].null_count == 1


def test_another_cut_of_a_published_bank_keeps_its_bands(half):
    options = {"select": [0, 3], "top": 40, "bands": [0.5]}
    bank = ms.disentangle(half[0], "published", distance_threshold=20.0, **options)
    again = ms.recut(bank, half[0], distance_threshold=12.0)
    fresh = ms.disentangle(half[0], "published", distance_threshold=12.0, **options)
    assert again.bands.tolist() == fresh.bands.tolist() == [1.0, 0.5] * 2
    assert again.exemplars.equals(fresh.exemplars)
    assert not again.exemplars.equals(bank.exemplars)
    assert again.concepts["key"].equals(fresh.concepts["key"])


@pytest.mark.parametrize(
    ("bands", "sentence"),
    [
        ([0.0], "between 0 and 1, such as 0.5, not 0"),
        ([1.0], "between 0 and 1, such as 0.5, not 1"),
        ([0.5, 1.5], "not 1.5"),
        ([float("nan")], "not nan"),
        ([0.5, 0.5], "once"),
        (["half"], "number"),
        (0.5, "number"),
    ],
)
def test_wrong_bands_are_refused(half, bands, sentence):
    with pytest.raises(ms.UsageError, match=sentence):
        ms.disentangle(half[0], bands=bands, **PLAIN)


def test_too_few_images_below_a_level_is_a_sentence(half):
    with pytest.raises(ms.UsageError, match="lie below a band's level"):
        ms.disentangle(-half[0], select=[0], bands=[0.001], top=2900, bootstrap=0, holdout=0)
