"""Repeats, sparsity and random directions of a dictionary."""

import numpy as np
import pytest

from monoseme.evaluation._dictionary import effective, hoyer, nearest_other, same_spectrum, unit


def test_nearest_vectors_of_other_directions_are_those_of_a_loop():
    random = np.random.default_rng(0)
    vectors, direction = unit(random.normal(size=(600, 4)).astype(np.float32)), random.integers(0, 9, 600)
    nearest, cosine = nearest_other(vectors, direction)
    for number in range(0, 600, 50):
        likeness = np.where(direction == direction[number], -np.inf, vectors @ vectors[number])
        assert nearest[number] == likeness.argmax()
        assert cosine[number] == pytest.approx(likeness.max(), abs=1e-6)
    some = np.array([3, 599])
    assert nearest_other(vectors, direction, some)[1].tolist() == pytest.approx(cosine[some].tolist())


def test_vectors_of_one_direction_have_no_other():
    assert np.isnan(nearest_other(np.eye(3), np.zeros(3, dtype=np.int64))).all()


def test_sparsity_does_not_depend_on_scale_or_order_and_zero_vectors_have_none():
    vectors = np.random.default_rng(0).normal(size=(5, 30))
    for measure in (hoyer, effective):
        assert np.allclose(measure(vectors), measure(-3 * vectors[:, ::-1]))
        assert np.isnan(measure(np.zeros((1, 4)))).all()
    assert np.isnan(hoyer(np.ones((1, 1)))).all()
    for vector, needed in zip(vectors, effective(vectors), strict=True):
        squares = np.sort(vector**2)[::-1]
        assert squares[: int(needed)].sum() >= 0.9 * squares.sum() > squares[: int(needed) - 1].sum()


@pytest.mark.parametrize("count", [10, 400])
def test_random_directions_have_the_mean_and_the_spectrum_of_the_vectors(count):
    random = np.random.default_rng(0)
    vectors = unit((random.normal(size=(count, 20)) * np.linspace(0.1, 2, 20) + 1).astype(np.float32))
    drawn = np.concatenate([same_spectrum(vectors, random) for _ in range(40000 // count)])
    assert np.allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    assert np.allclose(drawn.mean(0), vectors.mean(0), atol=0.04)
    # scaling to unit length moves both a little
    assert np.allclose(np.cov(drawn.T), np.cov(vectors.T, bias=True), atol=0.05)
