"""Exemplars described by their circuits: the units of a lower layer that drove the neuron in each image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base import Reporter, UsageError
from ..runs import Originals, Run, model_of, originals
from ._features import FloatArray
from ._layer import Layer
from ._starts import Starts

if TYPE_CHECKING:
    from torch import Tensor

    from ..images import ImageSource
    from ..models import Attribution, Model, Rule


@dataclass(frozen=True)
class Circuit:
    """Describe exemplars by which units of a lower layer drove the neuron: for `disentangle`, ``features=Circuit(...)``.

    A neuron that fires for two things for two reasons is told apart by the reasons, also where the layer's embeddings of the
    two are alike. The description of an exemplar holds the share of each unit of the lower layer in the neuron's activation
    there: its attribution over the sum of the attributions' sizes. Vectors of concepts are means of embeddings as ever.

    run : Run
        That the activations are of.
    lower : str
        Exact name of a layer below; the one just below is quickest, and what PURE takes.
    model : Model or str, optional
        The run's model, where its record is not enough to load it.
    images : optional
        Where the images are now, if they have moved.
    attribution : "gradient", "lrp" or a zennit composite
        How a neuron's pooled activation is handed down: activation times gradient, or relevance by the epsilon rule, which
        needs zennit (``monoseme[lrp]``).
    beside : bool
        Take the embeddings as well: less the layer's mean, and scaled so that they vary as much in all as the shares do.
    batch_size : int
        Images that the model takes at once.

    Notes
    -----
    Dreyer et al., PURE: Turning Polysemantic Neurons Into Pure Features by Identifying Relevant Circuits, CVPR Workshops 2024.
    They attribute the positions' activations squared, and split in two by k-means; here the pooled activation is attributed
    for which the images were chosen, and the method of `disentangle` decides on the number.

    Examples
    --------
    >>> import monoseme as ms
    >>> run = ms.open_run("runs/photos")                                       # doctest: +SKIP
    >>> circuit = ms.Circuit(run, "blocks.15")                                 # doctest: +SKIP
    >>> bank = ms.disentangle(run.activations("head"), features=circuit)       # doctest: +SKIP
    """

    run: Run
    lower: str
    model: Model | str | None = None
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None
    attribution: Rule | object = "gradient"
    beside: bool = False
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.batch_size < 1:
            raise UsageError(f"batch_size must be a whole number of at least 1, not {self.batch_size}")

    def recorded(self) -> dict[str, Any]:
        """For the bank."""
        rule = self.attribution if isinstance(self.attribution, str) else type(self.attribution).__name__
        return {"kind": "circuit", "lower": self.lower, "attribution": rule, "beside": self.beside}

    def describe(self, layer: Layer, starts: Starts, rows: npt.NDArray[np.int64], progress: Reporter) -> FloatArray:
        """(D, K, F) shares of the lower layer's units, and the embeddings beside them where these are wanted.

        In a temporary file, so that they need not fit the memory. Each image goes through the model once, whatever number of
        neurons it is an exemplar of, and from the layer back once for each of these.

        Raises
        ------
        UsageError
            The activations are of no layer of the run, start from scores, or the lower layer is not below; the model or the
            images are not at hand.
        """
        import torch

        from ..models import Attribution, keep_freed_memory

        acts = layer.acts
        if acts.run != self.run.path.absolute():
            raise UsageError(f"the circuit is of {self.run.path}, so give activations of that run, not {acts!r}")
        if starts.kind == "scores":
            raise UsageError(
                "scores of images come from no layer, so they have no circuit; start from neurons or directions"
            )
        keep_freed_memory()
        network = model_of(self.run, self.model)
        pooling = str(acts.provenance()["pooling"])
        attribution = Attribution(network, acts.name, self.lower, pooling, self.attribution)
        vectors = None if starts.vectors is None else torch.from_numpy(layer.frame.fold(starts.vectors))
        numbers = starts.numbers if vectors is None else np.arange(len(starts))
        lower = attribution.lower.channels
        width = lower + (acts.shape[1] if self.beside else 0)
        with tempfile.TemporaryFile() as file:  # its memory map outlives it
            described: FloatArray = np.memmap(file, np.float32, "w+", shape=(*rows.shape, width))
        with originals(self.run, self.images) as source:
            for places, found in attributed(source, attribution, rows, numbers, progress, vectors, self.batch_size):
                described.reshape(-1, width)[places, :lower] = shares(found)
        if self.beside:
            set_beside(described, lower, layer, rows)
        return described


def attributed(
    source: Originals,
    attribution: Attribution,
    rows: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    progress: Reporter,
    vectors: Tensor | None = None,
    batch_size: int = 32,
) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
    """Attributions (n, F) with their places (n,) in the flat rows (D, K) of the exemplars of D neurons or vectors."""
    import torch

    with progress.task("attributing", rows.size, "exemplars") as task:
        for where, images in _ahead(source, attribution.model, _by_image(rows), batch_size):
            rounds = _in_rounds(where)
            there = rounds >= 0
            wanted = torch.from_numpy(np.where(there, numbers[rounds // rows.shape[1]], -1))
            yield rounds[there], attribution(images, wanted, vectors).numpy()[there]
            task.advance(int(there.sum()))


def shares(drives: npt.NDArray[np.floating]) -> FloatArray:
    """Attributions (..., F) over the sum of their sizes; zeros where there are none.

    >>> shares(np.array([[3.0, -1.0], [0.0, 0.0]])).tolist()
    [[0.75, -0.25], [0.0, 0.0]]
    """
    total = np.abs(drives).sum(-1, keepdims=True)
    return np.asarray(drives / np.where(total > 0, total, 1), dtype=np.float32)


def set_beside(described: FloatArray, lower: int, layer: Layer, rows: npt.NDArray[np.int64]) -> None:
    """Write embeddings beside the shares, in the columns from `lower` on.

    They are taken less the layer's mean, and scaled so that their sum of squares over all exemplars is that of the shares.
    """
    squares = [0.0, 0.0]
    for direction, mine in zip(described, rows, strict=True):
        direction[:, lower:] = layer.take(mine) - layer.moments.mean
        squares[0] += float(np.square(direction[:, :lower], dtype=np.float64).sum())
        squares[1] += float(np.square(direction[:, lower:], dtype=np.float64).sum())
    scale = np.float32(np.sqrt(squares[0] / squares[1]) if squares[1] > 0 else 1)
    for direction in described:
        direction[:, lower:] *= scale


def _by_image(rows: npt.NDArray[np.int64]) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """Each image with its places in the flat rows; those with most places first, so that a batch has about equal numbers."""
    order = np.argsort(rows, axis=None, kind="stable")
    ids, first = np.unique(rows.reshape(-1)[order], return_index=True)
    places = np.split(order, first[1:])
    return sorted(zip(ids.tolist(), places, strict=True), key=lambda one: (-len(one[1]), one[0]))


def _in_rounds(where: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """(B, m) places of the images of a batch, -1 where an image has fewer than another."""
    rounds = np.full((len(where), max(map(len, where))), -1, dtype=np.int64)
    for row, places in zip(rounds, where, strict=True):
        row[: len(places)] = places
    return rounds


def _ahead(
    source: Originals, model: Model, by_image: list[tuple[int, npt.NDArray[np.int64]]], batch_size: int
) -> Iterator[tuple[list[npt.NDArray[np.int64]], Tensor]]:
    """Batches of images with their places; the next one is read while the model works on this one."""
    batches = [by_image[first : first + batch_size] for first in range(0, len(by_image), batch_size)]
    with ThreadPoolExecutor(1, "monoseme-read") as reader:
        coming = reader.submit(source.tensor, [image for image, _ in batches[0]], model)
        for number, batch in enumerate(batches):
            images = coming.result()
            if number + 1 < len(batches):
                coming = reader.submit(source.tensor, [image for image, _ in batches[number + 1]], model)
            yield [places for _, places in batch], images
