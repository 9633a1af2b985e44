"""Concept scores as a scikit-learn transformer, for pipelines of those who have embeddings at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ..banks import ConceptBank
from ..base import UsageError
from ._firing import RATE


class ConceptScorer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embeddings (n, C) to their projections on M concepts, or to whether each concept fires.

    Fitting learns from which projection on each concept fires: that which a share `rate` of the embeddings reaches. The
    concepts themselves are not learned.

    Parameters
    ----------
    bank : ConceptBank or (M, C) array, optional
        Concepts, or vectors of raw embeddings of your own; without any, the neurons themselves.
    fired : bool
        Give 1.0 where a concept fires and 0.0 elsewhere, in place of projections.
    rate : float
        The share of the embeddings fitted on in which a concept fires.

    Attributes
    ----------
    levels_ : (M,) float64
        From which projection on each concept fires.

    Examples
    --------
    >>> import monoseme as ms
    >>> acts = np.random.default_rng(0).random((200, 8)).astype(np.float32)
    >>> bank = ms.disentangle(acts, "published", top=20, distance_threshold=1.0, outlier_threshold=9.0)
    >>> scorer = ms.ConceptScorer(bank, fired=True, rate=0.1).fit(acts)
    >>> scorer.transform(acts).shape == (200, len(bank)), set(scorer.transform(acts).sum(0).tolist())
    (True, {20.0})
    """

    def __init__(
        self, bank: ConceptBank | npt.ArrayLike | None = None, *, fired: bool = False, rate: float = RATE
    ) -> None:
        self.bank = bank
        self.fired = fired
        self.rate = rate

    def fit(self, X: npt.ArrayLike, y: object = None) -> ConceptScorer:
        """Learn the levels from embeddings X (n, C); y is not used.

        Raises
        ------
        UsageError
            The rate does not lie between 0 and 1, or the embeddings have another width than the concepts.
        """
        if not 0 < self.rate < 1:
            raise UsageError(f"the rate at which concepts fire lies between 0 and 1, not at {self.rate}")
        embeddings = validate_data(self, X, dtype=[np.float64, np.float32])
        self._vectors(embeddings.shape[1])
        projected = np.sort(self._projected(embeddings), axis=0)
        count = max(1, int(np.ceil(self.rate * len(projected) - 1e-9)))
        self.levels_ = projected[-count]
        self._n_features_out = projected.shape[1]
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """(n, C) embeddings to (n, M) projections, or to 1.0 where a concept fires."""
        check_is_fitted(self)
        projected = self._projected(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        return (projected >= self.levels_).astype(projected.dtype) if self.fired else projected

    def _projected(self, embeddings: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.bank is None:
            return embeddings.copy()
        if isinstance(self.bank, ConceptBank):
            return self.bank.project(embeddings)
        return np.asarray(embeddings @ self._vectors(embeddings.shape[1]).T.astype(embeddings.dtype))

    def _vectors(self, width: int) -> npt.NDArray[Any]:
        if self.bank is None:
            return np.eye(width)
        vectors = np.asarray(self.bank.vectors if isinstance(self.bank, ConceptBank) else self.bank)
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or vectors.shape[1] != width:
            raise UsageError(
                f"the embeddings have {width:,} components, but the concepts shape {vectors.shape}; give those of one layer"
            )
        return vectors
