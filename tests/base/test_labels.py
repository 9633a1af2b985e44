"""Labels of images, from plain lists and from pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monoseme.base import Labels, UsageError

WORDS = st.sampled_from(["cat", "dog", "emu", "", "7", 7, None])


@given(st.lists(st.one_of(WORDS, st.lists(WORDS, max_size=4)), max_size=12))
def test_the_matrix_says_what_the_list_said(listed):
    labels = Labels.of(listed)
    said = [
        {str(each) for each in (row if isinstance(row, list) else [row]) if each not in (None, "")} for row in listed
    ]
    matrix = labels.matrix()
    assert matrix.shape == (len(listed), len(labels.names)) == (len(labels), len(set().union(*said)))
    assert matrix.dtype == np.bool_
    assert [{labels.names[code] for code in np.flatnonzero(row)} for row in matrix.toarray()] == said
    assert labels.labelled.tolist() == [bool(row) for row in said]
    assert list(labels.names) == sorted(labels.names)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30), st.randoms())
def test_order_and_repeats_of_pairs_do_not_matter(pairs, random):
    shuffled = [*pairs, *pairs[:3]]
    random.shuffle(shuffled)
    one, other = (
        Labels.from_pairs(6, *np.array(each, np.int64).reshape(-1, 2).T, ["b", "a", "d", "c"])
        for each in (pairs, shuffled)
    )
    assert one.names == other.names
    np.testing.assert_array_equal(one.matrix().toarray(), other.matrix().toarray())
    np.testing.assert_array_equal(one.codes, other.codes)


def test_arrays_of_numpy_are_labels_too():
    assert Labels.of(np.array([3, 1, 3])).names == ("1", "3")
    assert Labels.of(np.array(["b", "a"])).codes.tolist() == [1, 0]
    assert Labels.of([np.int64(3), np.array(["x"])]).names == ("3", "x")


@pytest.mark.parametrize(
    ("given_", "sentence"), [("cat", "not str"), (3, "not int"), ([0.5], "image 0 is of type float")]
)
def test_what_is_no_label_is_refused_in_a_sentence(given_, sentence):
    with pytest.raises(UsageError, match=sentence):
        Labels.of(given_)
