"""Parity with the published method as scikit-learn computes it, on real embeddings, through the public API in float32."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import monoseme as ms


@pytest.fixture(scope="module", params=["neuron", "svd"])
def case(request: pytest.FixtureRequest, shared):
    golden = np.load(shared / "golden" / "published_method.npz")
    kind = request.param
    top, distance_threshold, outlier_threshold, min_size = golden["params"]
    start = {"select": range(64)} if kind == "neuron" else {"directions": golden["svd_directions"]}
    bank = ms.disentangle(
        golden["activations"],
        "published",
        top=int(top),
        distance_threshold=float(distance_threshold),
        outlier_threshold=float(outlier_threshold),
        min_size=int(min_size),
        **start,
    )
    expected = {name.removeprefix(f"{kind}_"): golden[name] for name in golden.files if name.startswith(kind)}
    return bank, expected, float(distance_threshold)


def by_direction(bank: ms.ConceptBank, column: str) -> np.ndarray:
    return bank.exemplars[column].to_numpy(zero_copy_only=False).reshape(64, 100)


def test_exemplars_are_the_same_images_in_the_same_order(case):
    bank, expected, _ = case
    np.testing.assert_array_equal(by_direction(bank, "image_id"), expected["top"])


def test_number_of_clusters_is_the_same_everywhere(case):
    bank, expected, threshold = case
    np.testing.assert_array_equal(bank.clusters_at(threshold), expected["k"])


def test_kmeans_partitions_are_the_same_or_no_worse(case):
    bank, expected, _ = case
    clusters, squared = by_direction(bank, "cluster"), by_direction(bank, "squared_distance")
    same = [adjusted_rand_score(*pair) == 1 for pair in zip(clusters, expected["km"], strict=True)]
    assert np.mean(same) >= 0.95
    assert (squared.sum(1) <= expected["inertia"] * (1 + 1e-6)).all()
    np.testing.assert_allclose(squared[same], expected["sq"][same], rtol=1e-3, atol=1e-3)


def test_same_partitions_keep_the_same_images_and_give_the_same_vectors(case):
    bank, expected, _ = case
    clusters, concept = by_direction(bank, "cluster"), by_direction(bank, "concept")
    ends = np.cumsum(expected["n_concepts"])
    compared = 0
    for direction in range(64):
        if adjusted_rand_score(clusters[direction], expected["km"][direction]) < 1:
            continue
        kept = np.where(np.isnan(concept[direction]), -1, concept[direction])
        assert adjusted_rand_score(kept, expected["kept"][direction]) == 1
        np.testing.assert_array_equal(kept < 0, expected["kept"][direction] < 0)
        mine = bank.for_direction(direction)
        theirs = expected["vectors"][ends[direction] - len(mine) : ends[direction]]
        assert len(mine) == expected["n_concepts"][direction]
        if mine:
            cosine = np.stack([each.vector for each in mine]) @ theirs.T
            assert (cosine.max(1) >= 1 - 1e-5).all()
            compared += len(mine)
    assert compared >= 0.95 * len(expected["vectors"])


def test_top_images_of_the_concept_vectors_are_the_same(case):
    bank, expected, _ = case
    match = (bank.vectors @ expected["vectors"].T).argmax(1)
    mine = bank.top["image_id"].to_numpy().reshape(len(bank), -1)
    same = (mine == expected["projections"][match]).all(1)
    assert np.mean(same) >= 0.95


def test_singular_directions_are_those_of_the_whole_decomposition(shared):
    golden = np.load(shared / "golden" / "published_method.npz")
    values, vectors = ms.svd_directions(golden["activations"])
    np.testing.assert_allclose(values, golden["singular_values"], rtol=1e-5)
    cosine = np.abs(np.einsum("dc,dc->d", vectors[:64], golden["svd_directions"]))
    assert (cosine >= 1 - 1e-5).all()
