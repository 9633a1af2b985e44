"""What a second encoder measures, against the authors' own functions, few-line references and closed forms."""

import warnings
from itertools import combinations

import numpy as np
import pytest
import torch
from tests.torchvision_shim import make_torchvision_importable
from torch.nn.functional import cosine_similarity

from monoseme.evaluation._intruder import intruder_test
from monoseme.evaluation._sets import Sets
from monoseme.evaluation._similarity import clarity, monosemanticity, polysemanticity, redundancy


@pytest.fixture(scope="module")
def embedded() -> np.ndarray:
    """(20 sets, 15 images, 8): some sets of two kinds, one of one image repeated, one with a single stray image."""
    random = np.random.default_rng(0)
    points = random.normal(size=(20, 15, 8)) + 2 * random.normal(size=(20, 1, 8))
    points[:6, :7] += 3 * random.normal(size=(6, 1, 8))
    points[6] = points[6, :1]
    points[7, 1:] = points[7, 1] + 0.01 * random.normal(size=(14, 8))
    return points.astype(np.float32)


def units(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def polysemanticity_of(points: np.ndarray) -> np.ndarray:
    flat = points.reshape(-1, points.shape[-1])
    return polysemanticity(np.arange(len(flat)).reshape(points.shape[:2]), lambda rows: flat[rows])


def test_scores_are_those_of_the_package_semanticlens(embedded):
    make_torchvision_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports, and k-means of images that are all the same
        scores = pytest.importorskip("semanticlens.scores", exc_type=ImportError)
        given = torch.from_numpy(embedded)
        poly = scores.polysemanticity_score(given).numpy()
    means = units(embedded).mean(1)
    assert np.allclose(clarity(means, np.full(20, 15)), scores.clarity_score(given).numpy(), atol=1e-5)
    assert np.allclose(polysemanticity_of(embedded), poly, atol=1e-5)
    assert redundancy(embedded.mean(1)).mean() == pytest.approx(float(scores.redundancy_score(given.mean(1))), abs=1e-5)


def test_clarity_is_the_mean_cosine_of_pairs(embedded):
    means = units(embedded).mean(1)
    for number, points in enumerate(units(embedded.astype(np.float64))):
        pairs = [a @ b for a, b in combinations(points, 2)]
        assert clarity(means, np.full(20, 15))[number] == pytest.approx(np.mean(pairs), abs=1e-5)
    assert clarity(means, np.full(20, 15))[6] == pytest.approx(1, abs=1e-5)
    assert np.isnan(clarity(means[:1], np.array([1]))).all()


def test_polysemanticity_is_nothing_for_one_image_repeated_and_one_for_two_at_right_angles(embedded):
    two = np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)[None]
    assert polysemanticity_of(two)[0] == pytest.approx(1)
    assert polysemanticity_of(embedded)[6] == pytest.approx(0, abs=1e-5)


def test_sets_of_any_size_are_clustered_and_single_images_are_not(embedded):
    flat = embedded.reshape(-1, 8)
    padded = np.arange(300).reshape(20, 15).copy()
    padded[0, 9:] = -1
    padded[1, 1:] = -1
    found = polysemanticity(padded, lambda rows: flat[rows])
    assert found[0] == pytest.approx(polysemanticity_of(embedded[:1, :9])[0])
    assert np.isnan(found[1])
    assert np.allclose(found[2:], polysemanticity_of(embedded)[2:])


def test_monosemanticity_is_that_of_the_published_loop_over_pairs():
    random = np.random.default_rng(0)
    activations = torch.from_numpy(random.gamma(0.5, size=(40, 3)))
    embeddings = torch.from_numpy(random.normal(size=(40, 6)) + 1)
    # metric.py of ExplainableML/sae-for-vlm
    scaled = (activations - activations.amin(0)) / (activations.amax(0) - activations.amin(0))
    sums, weights = torch.zeros(3), torch.zeros(3)
    for i in range(40):
        for j in range(i + 1, 40):
            weight = scaled[i] * scaled[j]
            sums = sums + weight * cosine_similarity(embeddings[i], embeddings[j], dim=0)
            weights = weights + weight
    found = monosemanticity(activations.numpy().T.astype(np.float32), units(embeddings.numpy()).astype(np.float32))
    assert np.allclose(found, (sums / weights).numpy(), atol=1e-5)


def test_monosemanticity_of_images_that_are_alike_is_one_and_of_equal_activations_unknown():
    one_hot = np.zeros((3, 9), dtype=np.float32)
    one_hot[0, :4] = 1  # four images that the judge takes for one
    one_hot[1, 2] = 1  # a single image has no pair
    seen = np.repeat(np.eye(3, dtype=np.float32), [4, 3, 2], axis=0)
    found = monosemanticity(one_hot, seen)
    assert found[0] == pytest.approx(1)
    assert np.isnan(found[1:]).all()


def test_monosemanticity_does_not_depend_on_scale_or_offset_of_the_activations():
    random = np.random.default_rng(0)
    activations, seen = random.normal(size=(4, 50)).astype(np.float32), units(random.normal(size=(50, 5)))
    assert np.allclose(monosemanticity(activations, seen), monosemanticity(3 * activations + 7, seen), atol=1e-4)


@pytest.mark.parametrize("same", [True, False])
def test_the_intruder_is_always_found_where_concepts_are_apart_and_at_chance_where_they_are_not(same):
    random = np.random.default_rng(0)
    member = np.tile(np.repeat([0, 1], 10), (60, 1)) + 2 * np.arange(60)[:, None]
    sets = Sets(random.permutation(1200).reshape(60, 20), member, np.repeat(np.arange(60), 2))
    apart, noise = np.empty((1200, 130)), units(random.normal(size=(1200, 40)))
    apart[sets.rows.reshape(-1)] = np.eye(130)[sets.member.reshape(-1)]
    assert intruder_test(sets, lambda rows: apart[rows], random, same_direction=same).tolist() == [1] * 120
    found = intruder_test(sets, lambda rows: noise[rows], random, same_direction=same)
    assert found.mean() == pytest.approx(1 / 6, abs=0.04)
    alike = intruder_test(sets, lambda rows: np.ones((len(rows), 1)), random, same_direction=same)
    assert np.allclose(alike, 1 / 6)


def test_without_another_set_or_enough_images_there_is_no_intruder_test():
    sets = Sets(np.arange(14).reshape(2, 7), np.array([[0] * 7, [1] * 3 + [-1] * 4]), np.array([0, 1]))
    points = units(np.random.default_rng(0).normal(size=(14, 3)))
    same, other = (
        intruder_test(sets, lambda rows: points[rows], np.random.default_rng(0), same_direction=each)
        for each in (True, False)
    )
    assert np.isnan(same).all()
    assert np.isnan(other).tolist() == [False, True]
