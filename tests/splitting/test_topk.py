"""Streaming top-k against a full sort."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monoseme.splitting._topk import RunningTop

# Few distinct values, so that ties are common; signed zeros, subnormals and infinities among them.
VALUES = st.sampled_from([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 1.0, 1.0000001, 3.0, np.inf])
SCORES = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 60)), elements=VALUES)


def stream(scores: np.ndarray, k: int, block: int, **options) -> tuple[np.ndarray, np.ndarray]:
    top = RunningTop(len(scores), k, **options)
    for begin in range(0, scores.shape[1], block):
        piece = torch.from_numpy(scores[:, begin : begin + block])
        top.add(piece, torch.arange(begin, begin + piece.shape[1]))
    rows, values = top.result()
    return rows.numpy(), values.numpy()


@given(SCORES, st.integers(1, 12), st.integers(1, 25))
def test_top_k_is_that_of_a_full_stable_sort_whatever_the_blocks(scores, k, block):
    k = min(k, scores.shape[1])
    rows, values = stream(scores, k, block)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, 1))


@given(SCORES, st.integers(1, 12), st.integers(1, 25), st.integers(1, 3), st.data())
def test_capped_top_k_is_a_greedy_walk_down_the_sorted_rows(scores, k, block, cap, data):
    count = scores.shape[1]
    groups = np.array(data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    rows, _ = stream(scores, k, block, groups=torch.from_numpy(groups), cap=cap)
    for column, found in zip(scores, rows, strict=True):
        taken: dict[int, int] = {}
        expected = []
        for row in np.argsort(-column, kind="stable"):
            if taken.get(groups[row], 0) < cap and len(expected) < k:
                expected.append(row)
                taken[groups[row]] = taken.get(groups[row], 0) + 1
        np.testing.assert_array_equal(found[: len(expected)], expected)
        assert (found[len(expected) :] == -1).all()


def test_a_transposed_block_gives_the_same_as_a_plain_one():
    block = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 7)).astype(np.float32))
    transposed, plain = RunningTop(7, 10), RunningTop(7, 10)
    for begin in range(0, 500, 100):
        rows = torch.arange(begin, begin + 100)
        transposed.add(block[begin : begin + 100].T, rows)
        plain.add(block[begin : begin + 100].T.contiguous(), rows)
    assert torch.equal(transposed.result()[0], plain.result()[0])


def test_rows_beyond_two_billion_keep_their_numbers():
    top = RunningTop(1, 2)
    rows = torch.tensor([3_000_000_000, 4_000_000_000])
    top.add(torch.tensor([[1.0, 2.0]]), rows)
    assert top.result()[0].tolist() == [[4_000_000_000, 3_000_000_000]]
