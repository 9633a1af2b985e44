"""Matching recovers a permuted and rotated copy of a layer, and finds nothing where there is nothing."""

from dataclasses import replace

import numpy as np
import pytest

import monoseme as ms
from monoseme.base import ArrayActivations, Images

OPTIONS = {"top": 40, "distance_threshold": 12.0, "outlier_threshold": 1e9}


@pytest.fixture(scope="module")
def bank(layer):
    return ms.disentangle(layer, "published", **OPTIONS)


def turned(layer, bank, seed=0):
    """The same concepts in a rotated copy of the space, in another order: (bank, activations, place of each concept)."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(24, 24)))[0].astype(np.float32)
    order = random.permutation(len(bank))
    concepts = bank.concepts.take(order).set_column(
        0, bank.concepts.schema.field(0), [np.arange(len(bank), dtype=np.int32)]
    )
    other = replace(
        bank, vectors=bank.vectors[order] @ rotation, concepts=concepts, info={**bank.info, "activations": {}}
    )
    return other, layer @ rotation, np.argsort(order)


def test_a_permuted_and_rotated_copy_is_recovered(layer, bank):
    other, acts, place = turned(layer, bank)
    found = ms.match_concepts(bank, layer, other, acts)
    keys = bank.concepts["key"].to_pylist()
    assert len(set(keys)) == len(keys) > 20
    partner = found.table["other"].to_numpy()
    # concepts of several neurons may be nearly the same; then each of their copies is as right
    correlation = found.table["correlation"].to_numpy()
    np.testing.assert_allclose(correlation, 1, atol=1e-3)
    assert (partner == place).mean() > 0.9
    assert len(np.unique(partner)) == len(bank)
    assert len(found.unmatched) == len(found.other_unmatched) == 0
    assert found.pairs.tolist() == np.stack([np.arange(len(bank)), partner], 1).tolist()


def test_images_are_matched_by_their_digests(layer, bank):
    other, acts, place = turned(layer, bank)
    random = np.random.default_rng(1)
    digests = np.array([f"{number:032x}" for number in range(len(layer))], dtype=np.bytes_)
    mixed = random.permutation(len(layer))[:400]
    found = ms.match_concepts(
        bank,
        ArrayActivations(layer, images=Images(digests)),
        other,
        ArrayActivations(acts[mixed], images=Images(digests[mixed])),
    )
    assert found.info["common"] == 400
    assert (found.table["other"].to_numpy() == place).mean() > 0.9
    np.testing.assert_allclose(found.table["correlation"].to_numpy(), 1, atol=1e-3)


def test_what_only_one_bank_has_is_listed(layer, bank):
    other, acts, place = turned(layer, bank)
    random = np.random.default_rng(2)
    # five concepts of the other bank look where nothing is: noise neurons of their own
    wide = np.concatenate([acts, random.normal(size=(len(acts), 5)).astype(np.float32)], 1)
    vectors = np.concatenate([other.vectors, np.zeros((len(other), 5), np.float32)], 1)
    lost = place[:5]
    vectors[lost] = np.eye(29, dtype=np.float32)[24:]
    found = ms.match_concepts(bank, layer, replace(other, vectors=vectors), wide)
    assert set(lost.tolist()) == set(found.other_unmatched.tolist())
    assert len(found.unmatched) == 5
    rows = found.table.to_pylist()
    assert all(rows[each]["p_value"] > 0.01 for each in found.unmatched)


def test_over_images_that_have_nothing_to_do_with_each_other_next_to_nothing_is_matched(layer, bank):
    other, with_any, small = replace(bank, info={**bank.info, "activations": {}}), 0, []
    for seed in range(12):
        noise = np.random.default_rng(100 + seed).normal(size=(len(layer), 24)).astype(np.float32)
        found = ms.match_concepts(bank, layer, other, noise, seed=seed, shuffles=20)
        with_any += len(found.pairs) > 0
        small.append((found.table["p_value"].to_numpy() <= 0.1).mean())
    assert with_any <= 2  # one in twenty is expected
    assert np.mean(small) < 0.12


def test_the_assignment_is_the_best_of_all():
    from itertools import permutations

    from monoseme.evaluation._matching import _assigned

    found = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    best = max(permutations(range(6), 5), key=lambda columns: found[np.arange(5), list(columns)].sum())
    assert _assigned(found).tolist() == list(best)
    assert sorted(_assigned(found.T).tolist())[0] == -1


def test_a_smaller_bank_leaves_concepts_without_a_partner(layer, bank):
    few = replace(bank, vectors=bank.vectors[:3], concepts=bank.concepts.slice(0, 3))
    found = ms.match_concepts(bank, layer, few, layer)
    assert found.table["other"].null_count == len(bank) - 3
    assert found.pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert len(found.unmatched) == len(bank) - 3
    assert f"3 of {len(bank)} concepts matched over 600 images" in repr(found)


def test_concepts_that_are_the_same_everywhere_match_nothing(layer, bank):
    flat = np.ones((600, 24), np.float32)
    found = ms.match_concepts(bank, layer, replace(bank, info={**bank.info, "activations": {}}), flat)
    assert len(found.pairs) == 0
    assert (found.table["correlation"].to_numpy() == 0).all()


def test_what_does_not_fit_is_refused(layer, bank):
    def refused(match, *arguments, **options):
        with pytest.raises(ms.UsageError, match=match):
            ms.match_concepts(*arguments, **options)

    refused("images 600, not 599", bank, layer[:-1], bank, layer)
    loose = replace(bank, info={**bank.info, "activations": {}})
    refused("no digests to match", bank, layer, loose, layer[:-1])
    refused("24 components", loose, layer[:, :5], bank, layer)
    digests = [Images(np.array([f"{n + shift:032x}" for n in range(600)], dtype=np.bytes_)) for shift in (0, 590)]
    sides = [ArrayActivations(layer, images=each) for each in digests]
    refused("10 images in common", loose, sides[0], loose, sides[1])
    broken = layer.copy()
    broken[7, 3] = np.nan
    refused("image 7 has no finite projections", bank, layer, loose, broken)
    refused("q lies between", bank, layer, bank, layer, q=1.5)
    empty = ms.disentangle(layer, "published", top=20, min_size=99)
    refused("without concepts", empty, layer, bank, layer)
