"""Frames against scikit-learn's scalers."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import monoseme as ms
from monoseme.base import ArrayActivations
from monoseme.splitting._frame import fit_frame, require_finite


@pytest.fixture
def values() -> np.ndarray:
    random = np.random.default_rng(0)
    array = (1e4 + random.normal(size=(5000, 6)) * [1, 2, 3, 4, 5, 0]).astype(np.float32)
    array[:, 5] = 3.0  # a neuron that never varies
    return array


@pytest.mark.parametrize(
    ("scaling", "scaler"),
    [("standardised", StandardScaler()), ("minmax", MinMaxScaler()), ("centred", StandardScaler(with_std=False))],
)
def test_scaled_embeddings_are_those_of_scikit_learn(values, scaling, scaler):
    frame = fit_frame(ArrayActivations(values), scaling)
    expected = scaler.fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(frame(values), expected, atol=2e-3)


def test_raw_embeddings_stay_as_they_are(values):
    assert fit_frame(ArrayActivations(values), "raw")(values) is values


def test_folded_vectors_and_offsets_give_the_projection_in_the_frame(values):
    frame = fit_frame(ArrayActivations(values), "standardised")
    vectors = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    folded = values.astype(np.float64) @ frame.fold(vectors).T.astype(np.float64) - frame.offsets(vectors)
    np.testing.assert_allclose(folded, frame(values) @ vectors.T, atol=2e-2)


def test_an_unknown_scaling_is_refused_with_the_nearest_name(values):
    with pytest.raises(ms.UsageError, match="did you mean standardised"):
        ms.disentangle(values, "published", scaling="standardized")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(bad):
    block = np.zeros((10, 3), dtype=np.float32)
    block[4, 1] = block[7, 0] = bad
    with pytest.raises(ms.MonosemeError, match="image 104 are not finite"):
        require_finite(block, 100)


def test_large_but_finite_numbers_whose_sum_overflows_pass():
    require_finite(np.full((10, 3), 3e38, dtype=np.float32), 0)
