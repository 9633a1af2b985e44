"""Where the neighbours of a concept in other banks are."""

import numpy as np
import pytest

import monoseme as ms
from monoseme.base import as_activations
from monoseme.evaluation import profiles
from monoseme.views import nearest_by_profile, nearest_by_vector, one_kind, one_space

OPTIONS = {"top": 40, "distance_threshold": 6.0}


@pytest.fixture(scope="module")
def bank(layer) -> ms.ConceptBank:
    return ms.disentangle(layer, "published", **OPTIONS)


def test_of_one_space_are_banks_of_one_layer_and_frame_and_of_one_kind_those_of_one_sort_of_vectors(bank, layer):
    again = ms.disentangle(layer, "published", top=30, distance_threshold=5.0)
    scaled = ms.disentangle(layer, "published", scaling="standardised", **OPTIONS)
    centred = ms.disentangle(layer, "published", vector="centred", **OPTIONS)
    narrow = ms.disentangle(layer[:, :12], "published", **OPTIONS)
    assert [one_space(bank, other) for other in (again, scaled, centred, narrow)] == [True, False, True, False]
    assert one_space(scaled, ms.disentangle(layer, "published", scaling="standardised", top=30))
    assert [one_kind(bank, other) for other in (again, centred)] == [True, False]


def test_nearest_by_vector_are_those_of_greatest_cosine_and_the_same_concept_is_known(bank, layer):
    other = ms.disentangle(layer, "published", top=40, distance_threshold=7.5)
    keys = other.concepts["key"].to_pylist()
    for concept in range(len(bank)):
        found = nearest_by_vector(bank, concept, other, 3)
        cosines = other.vectors @ bank.vectors[concept]
        np.testing.assert_allclose(found.values, np.sort(cosines)[::-1][:3], rtol=1e-5)
        np.testing.assert_allclose(cosines[list(found.concepts)], found.values, rtol=1e-5)
        assert found.same == (keys.index(bank[concept].key) if bank[concept].key in keys else None)
    assert any(nearest_by_vector(bank, concept, other, 1).same is not None for concept in range(len(bank)))


def test_nearest_by_profile_are_those_of_greatest_correlation_and_chance_is_below_what_is_there(bank, layer):
    turned = layer @ np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))[0].astype(np.float32)
    other = ms.disentangle(turned, "published", scores=layer, **OPTIONS)
    rows = np.arange(0, 600, 2)
    mine = profiles(bank, as_activations(layer), rows)
    theirs = profiles(other, as_activations(turned), rows)
    whole = np.corrcoef(bank.project(layer[rows]).T, other.project(turned[rows]).T)[: len(bank), len(bank) :]
    for concept in range(len(bank)):
        found = nearest_by_profile(bank, concept, other, mine[:, concept], theirs.astype(np.float16), 4)
        np.testing.assert_allclose(found.values, np.sort(whole[concept])[::-1][:4], atol=2e-3)
        assert found.values[0] >= whole[concept, concept] - 2e-3  # the turned layer holds the same concepts
        assert 0 < found.chance < 0.4 < found.values[0]
