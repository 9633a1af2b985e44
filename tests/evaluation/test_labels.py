"""Purity, enrichment and retrieval, against scipy, scikit-learn and plain loops."""

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.metrics import average_precision_score

from monoseme.evaluation._enrichment import count_labels, enrichment, q_values
from monoseme.evaluation._retrieval import retrieval


@pytest.fixture
def tested():
    random = np.random.default_rng(0)
    labels = sparse.csr_array(random.random((200, 6)) < [0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
    sets = sparse.csr_array((random.random((9, 200)) < 0.1).astype(np.float32))
    has = np.diff(labels.indptr) > 0
    return sets, labels, has


def test_enrichment_is_fishers_exact_test(tested):
    sets, labels, has = tested
    background = labels[np.flatnonzero(has)].sum(axis=0)
    found = enrichment(count_labels(sets, labels), background, int(has.sum()))
    dense, members = labels.toarray(), sets.toarray() > 0
    for s, label, count, p in zip(found.sets, found.labels, found.found, found.p_value, strict=True):
        inside, without = members[s] & has, ~members[s] & has
        table = [
            [int(dense[inside, label].sum()), int((~dense[inside, label]).sum())],
            [int(dense[without, label].sum()), int((~dense[without, label]).sum())],
        ]
        assert count == table[0][0]
        assert p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)
    padded = np.ones(9 * 6)
    padded[: len(found.p_value)] = found.p_value
    assert np.allclose(found.q_value, stats.false_discovery_control(padded)[: len(found.p_value)])


def test_the_most_enriched_label_of_a_set_is_that_of_the_least_p_value(tested):
    sets, labels, has = tested
    found = enrichment(count_labels(sets, labels), labels[np.flatnonzero(has)].sum(axis=0), int(has.sum()))
    best = found.best(10)
    assert best[9] == -1
    for number in range(9):
        assert found.p_value[best[number]] == found.p_value[found.sets == number].min()


def test_false_discoveries_stay_at_their_rate_when_nothing_is_enriched():
    random = np.random.default_rng(0)
    discoveries = 0
    for _ in range(100):
        labels = sparse.csr_array(np.eye(5, dtype=bool)[random.integers(0, 5, 300)])
        sets = sparse.csr_array((random.random((20, 300)) < 0.1).astype(np.float32))
        found = enrichment(count_labels(sets, labels), labels.sum(axis=0), 300)
        discoveries += (found.q_value <= 0.05).any()
    assert discoveries <= 10


def test_no_tests_have_no_q_values():
    assert q_values(np.zeros(0), tests=7).tolist() == []


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_scikit_learns(ties):
    random = np.random.default_rng(0)
    scores = random.normal(size=(7, 120)).astype(np.float32)
    if ties:
        scores = np.round(np.maximum(scores, 0), 1)
    relevant, eligible = random.random((7, 120)) < 0.2, random.random((7, 120)) < 0.8
    found = retrieval(scores, relevant, eligible, ks=[5])
    everything = retrieval(scores, relevant)
    for row in range(7):
        part = eligible[row]
        expected = average_precision_score(relevant[row, part], scores[row, part])
        assert found.average_precision[row] == pytest.approx(expected)
        assert everything.average_precision[row] == pytest.approx(average_precision_score(relevant[row], scores[row]))


def test_precision_at_k_is_the_mean_over_random_orders_of_ties():
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, (3, 40)).astype(np.float32)
    relevant = random.random((3, 40)) < 0.4
    found = retrieval(scores, relevant, ks=[7]).precision[:, 0]
    for row in range(3):
        orders = (np.lexsort((random.random(40), -scores[row])) for _ in range(4000))
        assert found[row] == pytest.approx(np.mean([relevant[row, order[:7]].mean() for order in orders]), abs=0.01)


def test_what_cannot_be_found_has_no_precision():
    scores = np.arange(6, dtype=np.float32)[None].repeat(2, 0)
    relevant = np.array([[False] * 6, [True, True] + [False] * 4])
    found = retrieval(scores, relevant, ks=[2, 3, 50])
    assert np.isnan(found.average_precision[0])
    assert found.average_precision[1] == pytest.approx((1 / 5 + 2 / 6) / 2)
    assert np.isnan(found.precision).tolist() == [[True, True, True], [False, True, True]]
