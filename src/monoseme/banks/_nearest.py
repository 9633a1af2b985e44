"""The vectors nearest to a vector, block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import UsageError

_BLOCK = 1 << 24
"""Cosines held at a time: 64 MiB."""


def nearest(vectors: npt.NDArray[np.float32], queries: npt.ArrayLike, k: int, what: str) -> pa.Table:
    """For each query the k unit vectors (M, C) of greatest cosine, the lower number first where cosines are equal.

    Parameters
    ----------
    vectors : (M, C) float32
        Unit rows.
    queries : (R, C) or (C,)
        Of any length; a query of length nought has cosine 0 with all.
    k : int
        How many, all M where there are fewer.
    what : str
        What the column of numbers is called.

    Returns
    -------
    pyarrow.Table
        query, rank, `what` (row in `vectors`), cosine; min(k, M) rows a query.

    Raises
    ------
    UsageError
        The queries have another width or hold numbers that are not finite, or k is not positive.

    Examples
    --------
    >>> nearest(np.eye(3, dtype=np.float32), [0, 2, 1], 2, "concept").to_pydict()
    {'query': [0, 0], 'rank': [0, 1], 'concept': [1, 2], 'cosine': [0.894..., 0.447...]}
    """
    given = np.atleast_2d(np.asarray(queries, dtype=np.float32))
    if given.ndim != 2 or given.shape[1] != vectors.shape[1]:
        raise UsageError(
            f"the vectors have {vectors.shape[1]} components, but those asked for have shape {np.shape(queries)}; give an (R, C) "
            "array of the same layer"
        )
    if not np.isfinite(given).all():
        raise UsageError("the vectors asked for hold numbers that are not finite; leave those out")
    if k < 1:
        raise UsageError(f"ask for at least 1 nearest {what}, not {k}")
    k = min(k, len(vectors))
    numbers = np.empty((len(given), k), dtype=np.int64)
    cosines = np.empty((len(given), k), dtype=np.float32)
    step = max(1, _BLOCK // max(len(vectors), 1))
    for begin in range(0, len(given) if k else 0, step):
        block = given[begin : begin + step]
        lengths = np.linalg.norm(block.astype(np.float64), axis=1)[:, None]
        block = np.divide(block, lengths, out=np.zeros_like(block), where=lengths > 0, casting="same_kind")
        for query, row in enumerate(np.clip(block @ vectors.T, -1, 1), begin):
            least = np.partition(row, -k)[-k]
            chosen = np.flatnonzero(row >= least)  # in order of number, and all that are equal at the border
            numbers[query] = chosen[np.argsort(-row[chosen], kind="stable")[:k]]
            cosines[query] = row[numbers[query]]
    return pa.table(
        {
            "query": pa.array(np.repeat(np.arange(len(given)), k), pa.int64()),
            "rank": pa.array(np.tile(np.arange(k), len(given)), pa.int32()),
            what: pa.array(numbers.reshape(-1), pa.int32()),
            "cosine": pa.array(cosines.reshape(-1), pa.float32()),
        }
    )
