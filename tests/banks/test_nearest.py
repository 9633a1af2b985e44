"""The concepts nearest to a vector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import monoseme as ms
from monoseme.banks import _nearest


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 40))
def test_the_nearest_are_those_of_a_whole_sort_whatever_the_block(seed, k, block):
    random = np.random.default_rng(seed)
    vectors = random.integers(-1, 2, (9, 3)).astype(np.float32)  # many equal ones
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    queries = random.integers(-2, 3, (5, 3)).astype(np.float32)
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
    cosines = (queries / np.where(lengths > 0, lengths, 1)).astype(np.float32) @ vectors.T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_nearest, "_BLOCK", block)
        table = _nearest.nearest(vectors, queries, k, "concept")
    assert table.column_names == ["query", "rank", "concept", "cosine"]
    np.testing.assert_array_equal(table["query"], np.repeat(np.arange(5), min(k, 9)))
    np.testing.assert_array_equal(table["rank"], np.tile(np.arange(min(k, 9)), 5))
    expected = -np.sort(-cosines, axis=1)[:, :k]
    np.testing.assert_allclose(table["cosine"].to_numpy().reshape(5, -1), expected, atol=1e-6)
    numbers = table["concept"].to_numpy().reshape(5, -1)
    np.testing.assert_allclose(np.take_along_axis(cosines, numbers, 1), expected, atol=1e-6)


def test_equal_cosines_come_in_order_of_their_numbers():
    vectors = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)[::-1]
    assert _nearest.nearest(vectors, [0, 1], 3, "entry")["entry"].to_pylist() == [0, 1, 2]
    assert _nearest.nearest(vectors, [0, 0], 2, "entry")["cosine"].to_pylist() == [0, 0]


def test_a_concept_is_nearest_to_itself_in_bank_and_dictionary(layer):
    bank = ms.disentangle(layer, "published", top=40, distance_threshold=12.0)
    found = bank.nearest(3 * bank.vectors, k=1)
    np.testing.assert_allclose(found["cosine"], 1, atol=1e-6)
    np.testing.assert_allclose(bank.vectors[found["concept"].to_numpy()], bank.vectors, atol=1e-3)
    merged = ms.merge_concepts(bank, 0.95)
    first = merged.nearest(merged.vectors[1], k=2).to_pylist()[0]
    assert (first["query"], first["rank"], first["entry"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("queries", "k", "sentence"),
    [
        (np.ones((2, 5)), 5, r"24 components, but those asked for have shape \(2, 5\)"),
        (np.ones((2, 2, 24)), 5, "24 components"),
        (np.full(24, np.inf), 5, "not finite"),
        (np.ones(24), 0, "at least 1 nearest concept, not 0"),
    ],
)
def test_what_has_no_nearest_is_refused_in_a_sentence(layer, queries, k, sentence):
    bank = ms.disentangle(layer, "published", top=40, distance_threshold=12.0, select=[1, 2])
    with pytest.raises(ms.UsageError, match=sentence):
        bank.nearest(queries, k)
