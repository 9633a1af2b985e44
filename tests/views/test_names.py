"""Which name of a concept is shown, and where its neighbours in other banks are."""

from dataclasses import replace

import numpy as np
import pytest

import monoseme as ms
from monoseme.banks import Annotations
from monoseme.base import as_activations
from monoseme.evaluation import profiles
from monoseme.views import Names, nearest_by_profile, nearest_by_vector, one_kind, one_space, view_concept, view_layer

OPTIONS = {"top": 40, "distance_threshold": 6.0}


@pytest.fixture(scope="module")
def bank(layer) -> ms.ConceptBank:
    return ms.disentangle(layer, "published", **OPTIONS)


def test_a_persons_name_wins_over_a_programs_and_that_over_a_label(bank):
    key = bank[0].key
    labels = [("dog", 7), ("cat", 1)]
    person = Annotations({key: ms.Annotation(key, name="my dogs")})
    nameless = Annotations({key: ms.Annotation(key, tags=("animal",))})
    expected = [
        (person, "fur", ("my dogs", "person")),
        (person, None, ("my dogs", "person")),
        (nameless, "fur", ("fur", "automatic")),
        (nameless, None, ("dog", "label")),
    ]
    for said, program, name in expected:
        names = Names(said, {} if program is None else {key: program})
        assert names.of(key, labels) == name
        assert names.of(key, labels).given == (name[0] if name[1] != "label" else "")
    assert Names().of(key) == ("", "label")


def test_views_take_the_names_of_the_bank_and_the_given_ones_instead(bank, layer):
    key = bank[1].key
    said = Annotations({key: ms.Annotation(key, name="one", tags=("a",))})
    named = replace(bank, annotations=said)
    assert view_concept(named, 1).name == ("one", "person")
    assert view_concept(named, 1).annotation is said[key]
    assert view_concept(named, 1, names=Names()).annotation is None
    labels = ms.Labels.of([f"label {number % 3}" for number in range(len(layer))])
    view = view_layer(named, labels=labels)
    names = Names.of_bank(named).of_layer(view)
    assert [each.text for each in names] == [
        "one" if number == 1 else labels.counts(bank[number].image_ids)[0][0] for number in range(len(bank))
    ]


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
