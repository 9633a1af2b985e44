"""Properties of the whole way from activations to a bank."""

import numpy as np
import pytest
import torch
from scipy.stats import special_ortho_group

import monoseme as ms
from monoseme.base import ArrayActivations, Images

OPTIONS = {"method": "published", "top": 40, "distance_threshold": 12.0, "outlier_threshold": "q0.95"}


def same(one: ms.ConceptBank, other: ms.ConceptBank) -> None:
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.exemplars.equals(other.exemplars)
    assert one.top.equals(other.top)
    assert one.concepts.drop_columns("key").equals(other.concepts.drop_columns("key"))


def test_a_neuron_of_two_classes_is_split_into_them():
    random = np.random.default_rng(0)
    centres = 9 * np.eye(4)[[0, 1, 2]] + 9 * np.eye(4)[3] * [[1], [1], [0]]  # neuron 3 fires for classes 0 and 1
    label = np.arange(300) % 3
    acts = (centres[label] + random.normal(size=(300, 4))).astype(np.float32)
    bank = ms.disentangle(acts, "published", select=[3], top=60, distance_threshold=40.0)
    concepts = bank.for_direction(3)
    assert len(concepts) == 2
    for concept in concepts:
        own = np.unique(label[concept.image_ids])
        assert len(own) == 1
        np.testing.assert_allclose(concept.vector, centres[own[0]] / np.linalg.norm(centres[own[0]]), atol=0.08)


def test_vectors_are_the_unit_means_of_their_exemplars(layer):
    bank = ms.disentangle(layer, **OPTIONS)
    assert len(bank) > 24
    for concept in bank:
        mean = layer[concept.image_ids].astype(np.float64).mean(0)
        np.testing.assert_allclose(concept.vector, mean / np.linalg.norm(mean), atol=1e-6)
        row = bank.concepts.slice(concept.number, 1).to_pylist()[0]
        assert row["mean_projection"] == pytest.approx(np.linalg.norm(mean), rel=1e-5)
        assert row["cosine_start"] == pytest.approx(concept.vector[concept.direction], rel=1e-5)
        assert row["size"] == concept.size >= 5


def test_top_images_are_those_of_a_full_product(layer):
    bank = ms.disentangle(layer, top_images=30, **OPTIONS)
    products = layer.astype(np.float64) @ bank.vectors.T.astype(np.float64)
    expected = np.argsort(-products, axis=0, kind="stable")[:30].T
    np.testing.assert_array_equal(bank.top["image_id"].to_numpy().reshape(-1, 30), expected)


def test_near_ties_are_ordered_as_exact_arithmetic_would():
    # Rows whose products with the direction differ by less than float32 can tell at this size.
    random = np.random.default_rng(0)
    acts = (1000 + random.normal(size=(400, 64)) * 1e-3).astype(np.float32)
    direction = random.normal(size=(1, 64)).astype(np.float32)
    bank = ms.disentangle(acts, "published", directions=direction, top=50, distance_threshold=1e3)
    unit = (direction.astype(np.float64) / np.linalg.norm(direction.astype(np.float64))).astype(np.float32)
    exact = acts.astype(np.float64) @ unit[0].astype(np.float64)
    mine = bank.exemplars["image_id"].to_numpy()
    assert (np.diff(exact[mine]) <= 0).all()
    assert exact[mine].min() >= np.sort(exact)[-50] - 1e-9


def test_separation_is_the_ward_distance_to_the_nearest_sibling(layer):
    bank = ms.disentangle(layer, **OPTIONS)
    compared = 0
    for direction in bank.directions:
        concepts = bank.for_direction(int(direction))
        for one in concepts:
            others = [
                np.sqrt(2 * one.size * other.size / (one.size + other.size))
                * np.linalg.norm(layer[one.image_ids].mean(0) - layer[other.image_ids].mean(0))
                for other in concepts
                if other is not one
            ]
            if others:
                assert one.separation == pytest.approx(min(others), rel=1e-4)
                compared += 1
            else:
                assert one.separation is None
    assert compared


def test_a_choice_of_neurons_gives_what_all_neurons_give_for_them(layer):
    everything, some = ms.disentangle(layer, **OPTIONS), ms.disentangle(layer, select=[20, 3], **OPTIONS)
    assert some.directions.tolist() == [3, 20]
    for direction in (3, 20):
        assert [c.key for c in some.for_direction(direction)] == [c.key for c in everything.for_direction(direction)]


def test_basis_vectors_as_directions_and_columns_as_scores_are_the_neurons(layer):
    neurons = ms.disentangle(layer, **OPTIONS)
    vectors = ms.disentangle(layer, directions=np.eye(24), **OPTIONS)
    scores = ms.disentangle(layer, scores=layer, **OPTIONS)
    for other in (vectors, scores):
        np.testing.assert_array_equal(neurons.vectors, other.vectors)
        assert neurons.exemplars.equals(other.exemplars)
    assert scores.concepts["cosine_start"].null_count == len(scores)


def test_tensors_memory_maps_and_half_precision_are_read_alike(layer, tmp_path):
    np.save(tmp_path / "layer.npy", layer)
    whole = ms.disentangle(layer, **OPTIONS)
    same(whole, ms.disentangle(torch.from_numpy(layer), **OPTIONS))
    same(whole, ms.disentangle(np.load(tmp_path / "layer.npy", mmap_mode="r"), **OPTIONS))
    half = layer.astype(np.float16)
    same(ms.disentangle(half.astype(np.float32), **OPTIONS), ms.disentangle(half, **OPTIONS))


def test_rotating_the_layer_rotates_the_concepts(layer):
    rotation = special_ortho_group.rvs(24, random_state=0).astype(np.float32)
    one = ms.disentangle(layer, directions=np.eye(24), **OPTIONS)
    other = ms.disentangle(layer @ rotation, directions=rotation, **OPTIONS)
    np.testing.assert_allclose(other.vectors, one.vectors @ rotation, atol=1e-4)


def test_exact_copies_count_once_among_exemplars_and_top_images(layer):
    digests = np.array([f"{row:032x}" for row in range(len(layer))], dtype=np.bytes_)
    doubled = ArrayActivations(np.concatenate([layer, layer]), images=Images(np.concatenate([digests, digests])))
    same(ms.disentangle(ArrayActivations(layer, images=Images(digests)), **OPTIONS), ms.disentangle(doubled, **OPTIONS))


def test_no_photograph_gives_more_exemplars_than_allowed(layer):
    groups = np.arange(len(layer)) // 12
    acts = ArrayActivations(layer, images=Images(groups=groups))
    bank = ms.disentangle(acts, max_per_photograph=2, **OPTIONS)
    for direction in bank.directions:
        ids = bank.exemplars_of(int(direction))["image_id"].to_numpy()
        assert np.unique(groups[ids], return_counts=True)[1].max() <= 2
    with pytest.raises(ms.UsageError, match="ask for at most 50"):
        ms.disentangle(acts, "published", max_per_photograph=1, top=51)


def test_another_cut_of_a_bank_is_what_a_fresh_start_gives(layer):
    bank = ms.disentangle(layer, **OPTIONS)
    again = ms.recut(bank, layer, distance_threshold=20.0, min_size=3)
    same(again, ms.disentangle(layer, **{**OPTIONS, "distance_threshold": 20.0}, min_size=3))
    assert again.info["parameters"]["distance_threshold"] == 20.0


def test_another_cut_wants_the_activations_it_was_made_from(layer):
    bank = ms.disentangle(layer, **OPTIONS)
    with pytest.raises(ms.UsageError, match="give those it was made from"):
        ms.recut(bank, layer[:-1], distance_threshold=20.0)


def test_singular_directions_are_those_of_numpy(layer):
    for centred, matrix in ((False, layer), (True, layer - layer.mean(0))):
        values, vectors = ms.svd_directions(layer, centred=centred)
        _, expected, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
        np.testing.assert_allclose(values, expected, rtol=1e-6)
        np.testing.assert_allclose(np.abs(np.einsum("dc,dc->d", vectors, right)), 1, atol=1e-5)
    bank = ms.disentangle(layer, directions="svd", **OPTIONS)
    assert (layer.mean(0) @ bank.starts.T >= 0).all()


def test_a_dead_neuron_and_a_constant_layer_give_a_defined_answer(layer):
    dead = layer.copy()
    dead[:, 5] = 0
    bank = ms.disentangle(dead, **OPTIONS)
    # All images tie at zero, so the first ones are the exemplars.
    assert bank.exemplars_of(5)["image_id"].to_pylist() == list(range(40))
    assert len(ms.disentangle(np.zeros((50, 3), np.float32), "published", top=20, distance_threshold=1.0)) == 0
    constant = ms.disentangle(np.ones((50, 3), np.float32), "published", top=20, distance_threshold=1.0)
    np.testing.assert_allclose(constant.vectors, np.full((3, 3), 3**-0.5), atol=1e-6)
    with pytest.raises(ms.UsageError, match="random images do not differ"):
        ms.disentangle(np.ones((50, 3), np.float32), "published", top=20)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top": 601}, "there are 600 images, fewer than the 601 exemplars asked for; ask for at most 600"),
        ({"top": 0}, "top must be a whole number of at least 1"),
        ({"method": "publishd"}, "did you mean published"),
        ({"distance_treshold": 3.0}, "did you mean distance_threshold"),
        ({"directions": "neuron"}, "did you mean neurons"),
        ({"directions": np.ones((3, 5))}, "directions x 24 neurons"),
        ({"directions": np.zeros((2, 24))}, "direction 0 has no finite length"),
        ({"scores": np.ones((5, 2))}, "a row for each of the 600 images"),
        ({"scores": np.ones((600, 2)), "directions": "svd"}, "not both"),
        ({"select": [24]}, "no number 24 among the 24 neurons"),
        ({"select": []}, "name at least one"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(layer, options, sentence):
    with pytest.raises(ms.UsageError, match=sentence):
        ms.disentangle(layer, **{"method": "published", **options})


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3), (3, 0)])
def test_only_matrices_are_activations(shape):
    with pytest.raises(ms.UsageError, match="images x neurons"):
        ms.disentangle(np.zeros(shape, np.float32), "published")


def test_whole_numbers_are_no_activations():
    with pytest.raises(ms.UsageError, match="floating point"):
        ms.disentangle(np.zeros((5, 3), int), "published")


def test_a_splitter_of_ones_own_is_used(layer):
    splitter = ms.Published(12.0, "q0.95")
    same(ms.disentangle(layer, splitter, top=40), ms.disentangle(layer, **OPTIONS))
    with pytest.raises(ms.UsageError, match="belongs into the splitter"):
        ms.disentangle(layer, splitter, min_size=3)


def test_neurons_are_chosen_by_numbers_or_by_a_mask(layer):
    mask = np.zeros(24, bool)
    mask[[3, 20]] = True
    assert ms.disentangle(layer, select=mask, **OPTIONS).directions.tolist() == [3, 20]
    for wrong in ([1.9], ["a"], [[1]], np.ones(5, bool)):
        with pytest.raises(ms.UsageError, match="whole numbers or by a mask"):
            ms.disentangle(layer, select=wrong, **OPTIONS)


def test_the_seed_of_a_splitter_is_the_one_that_is_kept(layer):
    bank = ms.disentangle(layer, ms.Published(12.0, "q0.95", seed=7), top=40)
    assert bank.info["parameters"]["seed"] == 7


def test_a_run_or_a_path_in_place_of_activations_says_what_to_give(small_run):
    for wrong in (small_run, "runs/x"):
        with pytest.raises(ms.UsageError, match=r"give run\.activations"):
            ms.disentangle(wrong, "published")


def test_numbers_too_large_for_single_precision_are_named(layer):
    wide = layer.astype(np.float64)
    wide[17, 3] = 1e300
    with pytest.raises(ms.MonosemeError, match="image 17 are not finite"):
        ms.disentangle(wide, **OPTIONS)


def test_activations_of_another_pooling_cannot_be_cut_again(tmp_path, photos, small_model):
    run = ms.embed(small_model, photos, ["3"], tmp_path / "run", pooling=["mean", "max"], workers=0)
    bank = ms.disentangle(run.activations("3", "mean"), "published", top=20)
    with pytest.raises(ms.UsageError, match="with pooling mean, not max"):
        ms.recut(bank, run.activations("3", "max"), min_size=3)
