"""The transformer keeps scikit-learn's contract and gives what the bank gives."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import monoseme as ms


@pytest.fixture(scope="module")
def bank(layer):
    return ms.disentangle(layer, "published", top=40, distance_threshold=12.0, outlier_threshold=1e9, scaling="centred")


@pytest.mark.parametrize(
    "scorer", [ms.ConceptScorer(), ms.ConceptScorer(fired=True, rate=0.3)], ids=["scores", "fired"]
)
def test_scikit_learn_finds_nothing_wrong_with_it(scorer):
    checked = check_estimator(scorer, on_fail=None, on_skip=None)
    assert len(checked) > 30
    assert [each["check_name"] for each in checked if each["status"] not in ("passed", "skipped")] == []


def test_scores_are_the_banks_projections(layer, bank):
    scorer = ms.ConceptScorer(bank).fit(layer)
    np.testing.assert_allclose(scorer.transform(layer[:7]), bank.project(layer[:7]))
    assert len(scorer.get_feature_names_out()) == len(bank)
    own = ms.ConceptScorer(bank.vectors).fit(layer).transform(layer[:7])
    np.testing.assert_allclose(own, layer[:7] @ bank.vectors.T, rtol=1e-5)


def test_concepts_fire_at_the_rate_on_what_was_fitted(layer, bank):
    fired = ms.ConceptScorer(bank, fired=True, rate=0.05).fit(layer).transform(layer)
    assert set(np.unique(fired)) == {0.0, 1.0}
    assert (fired.sum(0) == 30).all()


def test_it_goes_into_a_pipeline(layer, bank):
    label = layer[:, 0] > 2
    pipeline = clone(make_pipeline(ms.ConceptScorer(bank), LogisticRegression(max_iter=2000))).fit(layer, label)
    assert pipeline.score(layer, label) > 0.95


def test_what_does_not_fit_is_refused(layer, bank):
    with pytest.raises(ms.UsageError, match="5 components"):
        ms.ConceptScorer(bank).fit(layer[:, :5])
    with pytest.raises(ms.UsageError, match="give those of one layer"):
        ms.ConceptScorer(np.ones(24)).fit(layer)
    with pytest.raises(ms.UsageError, match="between 0 and 1"):
        ms.ConceptScorer(rate=1.5).fit(layer)
