"""What a neuron's page shows, against the bank's tables and few-line references."""

import numpy as np
import pytest

import monoseme as ms
from monoseme.views import alignments, composition, distances, similarities, view_neuron


@pytest.fixture(scope="module")
def bank(layer) -> ms.ConceptBank:
    return ms.disentangle(layer, "published", top=40, distance_threshold=6.0, outlier_threshold="q0.8")


@pytest.fixture(scope="module")
def view(bank, layer):
    return view_neuron(bank, bank.most_split(1)[0], acts=layer)


def test_exemplars_are_those_of_the_bank_with_their_embeddings(view, bank, layer):
    rows = bank.exemplars_of(view.direction)
    np.testing.assert_array_equal(view.image_ids, rows["image_id"])
    np.testing.assert_array_equal(view.activation, layer[view.image_ids, view.direction])
    np.testing.assert_array_equal(view.embeddings, layer[view.image_ids])
    assert view.start[view.direction] == 1
    assert np.linalg.norm(view.start) == 1
    assert [concept.key for concept in view.concepts] == [concept.key for concept in bank.for_direction(view.direction)]


def test_groups_hold_every_exemplar_once_strongest_first_and_the_dropped_last(view):
    np.testing.assert_array_equal(np.sort(view.order), np.arange(len(view.image_ids)))
    assert [group.concept for group in view.groups][-1] is None
    for group in view.groups:
        assert (np.diff(group.places) > 0).all()
    for group, concept in zip(view.groups, view.concepts, strict=False):
        np.testing.assert_array_equal(view.image_ids[group.places], concept.image_ids)


def test_embeddings_are_in_the_frame_of_the_bank(layer):
    bank = ms.disentangle(layer, "published", top=40, scaling="standardised", select=[3])
    view = view_neuron(bank, 3, acts=layer)
    expected = (layer[view.image_ids] - layer.mean(0, dtype=np.float64)) / layer.std(0, dtype=np.float64)
    np.testing.assert_allclose(view.embeddings, expected, atol=1e-4)


def test_bands_are_views_of_their_own(layer):
    bank = ms.disentangle(layer, top=20, bands=[0.5], select=[0, 1], bootstrap=0)
    top, half = view_neuron(bank, 1, acts=layer), view_neuron(bank, 1, acts=layer, band=0.5)
    assert top.activation.min() > half.activation.max()
    assert "at 0.5 of its strength" in half.name
    with pytest.raises(ms.UsageError, match=r"no band 0\.25 of direction 1, only 1, 0\.5"):
        view_neuron(bank, 1, acts=layer, band=0.25)


@pytest.mark.parametrize("start", ["svd", "scores", "vectors"])
def test_other_directions_have_their_own_names_and_starts(layer, start):
    random = np.random.default_rng(0)
    given = {
        "svd": {"directions": "svd", "select": [0]},
        "scores": {"scores": random.random((600, 1))},
        "vectors": {"directions": random.normal(size=(1, 24))},
    }[start]
    view = view_neuron(ms.disentangle(layer, "published", top=20, **given), 0, acts=layer)
    name = {"svd": "singular direction 0", "scores": "score 0", "vectors": "direction 0"}[start]
    assert view.name == name
    if start == "scores":
        assert view.start is None
    else:
        np.testing.assert_allclose(np.linalg.norm(view.start), 1, rtol=1e-5)
        np.testing.assert_allclose(view.embeddings @ view.start, view.activation, rtol=1e-4)


def test_similarities_are_those_of_numpy(view):
    x = view.embeddings.astype(np.float64)
    np.testing.assert_allclose(similarities(x, "pearson"), np.corrcoef(x), atol=1e-12)
    np.testing.assert_allclose(similarities(x, "euclidean"), np.linalg.norm(x[:, None] - x[None], axis=2), atol=1e-6)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(similarities(x), unit @ unit.T, atol=1e-12)


def test_leaving_out_a_coordinate_is_the_same_as_not_having_it(view):
    fewer = np.delete(view.embeddings, 5, axis=1)
    for metric in ("cosine", "pearson", "euclidean"):
        np.testing.assert_array_equal(similarities(view.embeddings, metric, without=5), similarities(fewer, metric))
    with pytest.raises(ms.UsageError, match="did you mean cosine"):
        similarities(fewer, "cosin")


def test_distances_are_of_each_pair_once(view):
    found = distances(view)
    points = {c.number: view.embeddings[view.concept == c.number].astype(np.float64) for c in view.concepts}
    for number, mine in points.items():
        expected = sorted(np.linalg.norm(a - b) for i, a in enumerate(mine) for b in mine[i + 1 :])
        np.testing.assert_allclose(np.sort(found.within[number]), expected, atol=1e-5)
    for (one, other), values in found.between.items():
        expected = sorted(np.linalg.norm(a - b) for a in points[one] for b in points[other])
        np.testing.assert_allclose(np.sort(values), expected, atol=1e-5)


def test_alignment_is_projection_and_cosine_on_vector_and_neuron(view):
    for concept in view.concepts:
        found = alignments(view)[concept.number]
        mine = view.embeddings[view.concept == concept.number]
        np.testing.assert_allclose(found.projection, mine @ concept.vector, rtol=1e-5)
        np.testing.assert_allclose(found.projection_start, mine[:, view.direction], rtol=1e-6)
        np.testing.assert_allclose(found.cosine * np.linalg.norm(mine, axis=1), found.projection, rtol=1e-5)
        assert found.cosine.mean() > found.cosine_start.mean()


def test_composition_names_the_largest_components_by_size():
    made_of = composition([0.1, -0.9, 0.4, 0.0], 2)
    assert made_of.neurons.tolist() == [1, 2]
    np.testing.assert_allclose(made_of.share, (0.81 + 0.16) / (0.81 + 0.16 + 0.01), rtol=1e-6)


def test_what_does_not_belong_to_the_bank_is_refused(bank, layer, small_run):
    with pytest.raises(ms.UsageError, match="was not made from"):
        view_neuron(bank, 0, small_run)
    with pytest.raises(ms.UsageError, match="give the run"):
        view_neuron(bank, 0)
    with pytest.raises(ms.UsageError, match="600 x 24 activations, not 500 x 24"):
        view_neuron(bank, 0, acts=layer[:500])
    with pytest.raises(ms.UsageError, match="direction 99 was not split"):
        view_neuron(bank, 99, acts=layer)
    with pytest.raises(ms.UsageError, match="no bands"):
        view_neuron(bank, 0, acts=layer, band=0.5)
