"""Where splitting starts: neurons, singular directions, given vectors, or given scores of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..banks import Frame
from ..base import Activations, UsageError, as_activations, did_you_mean
from ._frame import require_finite


@dataclass(frozen=True)
class Starts:
    """D directions to start from.

    kind : "neurons", "svd", "vectors" or "scores"
    numbers : (D,) int64, the neuron, row or column that each direction is
    vectors : (D, C) float32 unit rows, or None for neurons (basis vectors) and scores
    scores : (N, D) any scores of the images, for kind "scores"
    """

    kind: str
    numbers: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32] | None = None
    scores: npt.NDArray[np.floating] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def named(self, position: int) -> str:
        """A stable name of a direction: its neuron, or a digest-worthy rendering of its vector."""
        if self.vectors is None or self.kind == "svd":
            return f"{self.kind}:{self.numbers[position]}"
        return f"vector:{self.vectors[position].tobytes().hex()}"


def make_starts(
    acts: Activations,
    frame: Frame,
    directions: str | npt.ArrayLike = "neurons",
    scores: npt.ArrayLike | None = None,
    select: Sequence[int] | None = None,
) -> Starts:
    """What the user asked for as `Starts`.

    Raises
    ------
    UsageError
        An unknown name, a wrong shape, a zero vector, numbers out of range.
    """
    count, width = acts.shape
    if scores is not None:
        if not isinstance(directions, str) or directions != "neurons":
            raise UsageError("give either directions or scores to start from, not both")
        given = np.asarray(scores)
        if given.ndim != 2 or given.shape[0] != count or given.shape[1] == 0 or given.dtype.kind not in "fiu":
            raise UsageError(
                f"scores must be a numeric array with a row for each of the {count:,} images, not of shape {given.shape}"
            )
        given = given.astype(np.float32, copy=False)
        require_finite(given, 0)
        numbers = _selected(select, given.shape[1], "scores")
        return Starts("scores", numbers, scores=given[:, numbers])
    if isinstance(directions, str):
        if directions == "neurons":
            return Starts("neurons", _selected(select, width, "neurons"))
        if directions == "svd":
            _, vectors = svd_directions(acts, frame=frame)
            numbers = _selected(select, len(vectors), "singular directions")
            return Starts("svd", numbers, vectors[numbers])
        raise UsageError(
            f"no directions called {directions!r}{did_you_mean(directions, ['neurons', 'svd'])}; "
            "use neurons, svd, or an array of directions x neurons"
        )
    given = np.asarray(directions)
    if given.ndim != 2 or given.shape[1] != width or given.shape[0] == 0 or given.dtype.kind not in "fiu":
        raise UsageError(
            f"directions must be a numeric array of directions x {width} neurons, not of shape {given.shape}"
        )
    numbers = _selected(select, len(given), "directions")
    wide = given[numbers].astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        row = int(numbers[~(np.isfinite(lengths) & (lengths > 0))][0])
        raise UsageError(f"direction {row} has no finite length above zero; leave it out")
    return Starts("vectors", numbers, (wide / lengths[:, None]).astype(np.float32))


def svd_directions(
    acts: Activations | npt.ArrayLike, *, centred: bool = False, frame: Frame | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Singular values and right singular vectors of the embedding matrix, from one pass over it.

    Parameters
    ----------
    acts : Activations or (N, C) array
        The embeddings.
    centred : bool
        Subtract the mean embedding first (principal components); the published method does not.
    frame : Frame, optional
        A frame that the embeddings are seen in.

    Returns
    -------
    values : (R,) float64
        Largest first; R = min(N, C).
    vectors : (R, C) float32
        Unit rows. The sign is chosen so that the mean projection of the images is not negative (for centred data: so that
        the largest component is positive).

    Notes
    -----
    From the eigenvectors of the float64 second-moment matrix: singular values below 1e-8 of the largest are rounding.
    """
    acts = as_activations(acts)
    count, width = acts.shape
    frame = frame or Frame()
    moment, total = torch.zeros(width, width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for first, block in acts.blocks():
        require_finite(block, first)
        rows = torch.from_numpy(np.array(frame(block.astype(np.float32, copy=False)), dtype=np.float64))
        moment.addmm_(rows.T, rows)
        total += rows.sum(0)
    mean = total / count
    if centred:
        moment -= count * torch.outer(mean, mean)
    values, vectors = torch.linalg.eigh(moment)
    rank = min(count, width)
    values = values.flip(0)[:rank].clamp_min(0).sqrt()
    vectors = vectors.flip(1).T[:rank].contiguous()
    side = vectors @ mean if not centred else vectors.gather(1, vectors.abs().argmax(1, keepdim=True))[:, 0]
    vectors *= torch.where(side < 0, -1.0, 1.0)[:, None]
    return values.numpy(), vectors.float().numpy()


class Scorer:
    """Scores blocks of rows on D directions; the memory of a product serves the next one."""

    def __init__(self, starts: Starts, folded: Tensor | None, block_rows: int) -> None:
        self._starts, self._folded = starts, folded
        self._product = torch.empty(0 if folded is None else len(folded) * block_rows)

    def __call__(self, first_row: int, block: Tensor) -> Tensor:
        """(D, B) float32 score of each row of a block (B, C), valid until the next call."""
        if self._starts.scores is not None:
            return torch.from_numpy(self._starts.scores[first_row : first_row + len(block)]).T
        if self._folded is None:
            everything = len(self._starts) == block.shape[1]
            return block.T if everything else block[:, torch.from_numpy(self._starts.numbers)].T
        size = (len(self._folded), len(block))
        return torch.mm(self._folded, block.T, out=self._product[: size[0] * size[1]].view(size))


def _selected(select: Sequence[int] | None, count: int, what: str) -> npt.NDArray[np.int64]:
    if select is None:
        return np.arange(count)
    given = np.asarray(select)
    if given.dtype == np.bool_ and given.shape == (count,):
        given = np.flatnonzero(given)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise UsageError(f"choose {what} by whole numbers or by a mask of {count:,} truth values")
    numbers = np.unique(given).astype(np.int64) if given.size else np.zeros(0, dtype=np.int64)
    if len(numbers) == 0:
        raise UsageError(f"no {what} are chosen; name at least one")
    if numbers[0] < 0 or numbers[-1] >= count:
        wrong = numbers[0] if numbers[0] < 0 else numbers[-1]
        raise UsageError(f"there is no number {wrong} among the {count:,} {what}; they go from 0 to {count - 1:,}")
    return numbers
