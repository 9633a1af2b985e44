"""How far two banks agree on a neuron: against closed forms and a reference of a few lines."""

from itertools import combinations

import numpy as np
import pytest

import monoseme as ms
from monoseme.views import agreements, same_start, view_neuron


@pytest.fixture(scope="module")
def banks(layer) -> list[ms.ConceptBank]:
    return [
        ms.disentangle(layer, "published", top=top, distance_threshold=cut, outlier_threshold="q0.9")
        for top, cut in ((40, 6.0), (30, 5.0), (40, 1e6))
    ]


def views(banks, layer, direction):
    return [view_neuron(bank, direction, acts=layer) for bank in banks]


def rand(one, other) -> float:
    """Hubert and Arabie's index, from counts of pairs."""
    pairs = list(combinations(range(len(one)), 2))
    mine = np.array([one[i] == one[j] for i, j in pairs])
    theirs = np.array([other[i] == other[j] for i, j in pairs])
    expected = mine.sum() * theirs.sum() / len(pairs)
    most = (mine.sum() + theirs.sum()) / 2
    return 1.0 if most == expected else ((mine & theirs).sum() - expected) / (most - expected)


def test_counts_hold_each_shared_exemplar_once_and_the_indices_are_those_of_the_kept(banks, layer):
    for direction in (2, 5, 8):
        both = views(banks, layer, direction)
        found = agreements(both)
        assert [(each.one, each.other) for each in found] == [(0, 1), (0, 2), (1, 2)]
        for each in found:
            mine, theirs = both[each.one], both[each.other]
            shared = sorted(set(mine.image_ids.tolist()) & set(theirs.image_ids.tolist()))
            assert each.shared == len(shared) == each.counts.sum()
            where = [dict(zip(view.image_ids.tolist(), view.concept.tolist(), strict=True)) for view in (mine, theirs)]
            kept = [image for image in shared if where[0][image] >= 0 and where[1][image] >= 0]
            assert each.both_kept == len(kept) == each.counts[:-1, :-1].sum()
            assert each.rand == pytest.approx(rand(*[[side[image] for image in kept] for side in where]))
            for at, concept in enumerate(mine.concepts):
                expected = [len({*concept.image_ids} & {*other.image_ids}) for other in theirs.concepts]
                assert each.counts[at, :-1].tolist() == expected
            for at, to in np.ndindex(each.cosines.shape):
                assert each.cosines[at, to] == pytest.approx(
                    mine.concepts[at].vector @ theirs.concepts[to].vector, abs=1e-5
                )


def test_a_bank_agrees_with_itself_wholly(banks, layer):
    split = next(each for each in range(24) if len(banks[0].for_direction(each)) > 1)
    [found] = agreements(views([banks[0], banks[0]], layer, split))
    assert (found.rand, found.information) == (1.0, 1.0)
    assert found.shared == 40
    off = found.counts[:-1, :-1].copy()
    np.fill_diagonal(off, 0)
    assert off.sum() == 0
    np.testing.assert_allclose(np.diag(found.cosines), 1, atol=1e-5)


def test_without_shared_exemplars_or_concepts_no_index_is_made_up(layer):
    apart = [np.where(np.arange(600)[:, None] < 300, layer, 0), np.where(np.arange(600)[:, None] >= 300, layer, 0)]
    banks = [ms.disentangle(each.astype(np.float32), "published", top=20) for each in apart]
    [found] = agreements([view_neuron(bank, 3, acts=acts) for bank, acts in zip(banks, apart, strict=True)])
    assert (found.shared, found.rand, found.information) == (0, None, None)


def test_vectors_of_different_frames_have_no_cosines(layer):
    banks = [ms.disentangle(layer, "published", top=20, scaling=scaling) for scaling in ("raw", "standardised")]
    [found] = agreements(views(banks, layer, 3))
    assert found.cosines is None
    assert found.shared > 0


def test_other_directions_of_the_same_number_are_refused(banks, layer):
    svd = ms.disentangle(layer, "published", top=20, directions="svd", select=[0, 1, 2])
    again = ms.disentangle(layer, "published", top=30, directions="svd", select=[0, 1, 2])
    one, other = (view_neuron(bank, 1, acts=layer) for bank in (svd, again))
    assert same_start(one, other)
    assert not same_start(one, view_neuron(again, 2, acts=layer))
    with pytest.raises(ms.UsageError, match="another direction than"):
        agreements([view_neuron(banks[0], 1, acts=layer), one])
