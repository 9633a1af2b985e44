"""The concept bank: concept vectors and everything that says where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..base import UsageError
from ._annotations import Annotation, Annotations
from ._frame import Frame
from ._nearest import nearest

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

FloatMatrix = npt.NDArray[np.float32]

CONCEPTS = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("size", pa.int32(), nullable=False),
        pa.field("separation", pa.float64()),
        pa.field("mean_projection", pa.float32(), nullable=False),
        pa.field("cosine_start", pa.float32()),
        pa.field("p_value", pa.float64()),
        pa.field("stability", pa.float64()),
        pa.field("stability_cosine", pa.float64()),
        pa.field("halves_cosine", pa.float64()),
        pa.field("across_k", pa.float64()),
    ]
)
DIVISIONS = pa.schema(
    [
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("concepts", pa.int32(), nullable=False),
        pa.field("p_value", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("cosine", pa.float64()),
    ]
)
EXEMPLARS = pa.schema(
    [
        pa.field("direction", pa.int64(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("activation", pa.float32(), nullable=False),
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("squared_distance", pa.float64(), nullable=False),
        pa.field("concept", pa.int32()),
    ]
)
TOP_IMAGES = pa.schema(
    [
        pa.field("concept", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("projection", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Concept:
    """One concept of a bank.

    number : its row in ``bank.vectors``
    key : hash of its members and its start; the same in every bank that finds the same concept
    direction : neuron number, or row of the directions / column of the scores that it was found from
    vector : (C,) float32, unit length
    image_ids : (size,) its exemplars, strongest first
    separation : Ward distance to the nearest concept of the same direction, None when it is the only one
    p_value : chance that a single concept would have been divided so clearly, over all divisions that led to this one;
        None when it is the only one or the method does not test
    stability : how much of it is found again in resampled images, from 0 to 1; None when that was not tried
    bank : the bank it belongs to
    """

    number: int
    key: str
    direction: int
    vector: FloatMatrix
    image_ids: npt.NDArray[np.int64]
    separation: float | None
    p_value: float | None = None
    stability: float | None = None
    bank: ConceptBank | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Number of exemplars."""
        return len(self.image_ids)

    @property
    def annotation(self) -> Annotation | None:
        """What people said of it when the bank was loaded, None where nobody said anything."""
        return None if self.bank is None else self.bank.annotations.get(self.key)

    def __repr__(self) -> str:
        return f"<concept {self.number} of direction {self.direction}: {self.size} images, key {self.key}>"

    def _repr_html_(self) -> str:
        from ._notebook import concept_html

        return concept_html(self)


@dataclass(frozen=True)
class ConceptBank:
    """Concept vectors of one layer, with their exemplars, top images, trees and provenance.

    Attributes
    ----------
    vectors : (M, C) float32
        Unit rows, in the bank's frame.
    concepts : pyarrow.Table
        A row a concept: concept (its row in `vectors`), key, direction, cluster, size, separation (Ward distance to the
        nearest concept of the same direction, in units of the embedding; null when it is the only one), mean_projection
        (of its exemplars on its vector), cosine_start (with the direction it was found from; null for scores), p_value (of
        the divisions that led to it; null for an only concept and for methods that do not test), and where concepts were
        looked for again: stability (mean Jaccard index over bootstrap samples), stability_cosine (of the vectors),
        halves_cosine (of the vectors from two halves of the images), across_k (mean Jaccard index at K / 2 and 2 K).
    exemplars : pyarrow.Table
        A row for each direction and rank: direction, rank, image_id, activation, cluster (before any is dropped),
        squared_distance (to that cluster's centre), concept (null where dropped).
    top : pyarrow.Table
        A row for each concept and rank over the whole data set: concept, rank, image_id, projection.
    divisions : pyarrow.Table
        A row a direction: direction, concepts (how many), p_value (chance that one concept looks so much like several),
        q_value (the same corrected for the number of directions, Benjamini and Hochberg 1995), cosine (of the two sides of
        the first division on the whitened components). Null for methods that do not test.
    detectors : (M, C) float32 or None
        Shrunken linear discriminants: `vectors` say what a concept adds and are for steering, these say where it is and are
        for finding. None for ``vector="mean"``.
    directions : (D,) int64
        Numbers of the directions that were split, those without any concept included.
    bands : (D,) float64 or None
        Where exemplars were also taken below the top: the level of each row of `directions`, in which a direction then
        stands once for each band, as a part of its way from the mean to the top; 1 is the top.
    starts : (D, C) float32 or None
        The directions themselves; None for neurons and scores.
    merges, heights : (D, K - 1, 2) int32 and (D, K - 1) float64
        Ward tree of each direction's exemplars in order of rank: the nodes that each step joins and at which distance.
    frame : Frame
        How embeddings are moved and scaled before they meet the vectors; the identity for ``scaling="raw"``.
    info : dict
        Layer, method, parameters and provenance, as plain JSON values.
    run : Path or None
        Folder of the run that the bank was made from or loaded from, where that is known; for pictures, not saved.
    annotations : Annotations
        What people said of its concepts when it was loaded, by key; see `annotate`.
    """

    vectors: FloatMatrix
    concepts: pa.Table
    exemplars: pa.Table
    top: pa.Table
    directions: npt.NDArray[np.int64]
    merges: npt.NDArray[np.int32]
    heights: npt.NDArray[np.float64]
    divisions: pa.Table = field(default_factory=DIVISIONS.empty_table)
    detectors: FloatMatrix | None = None
    bands: npt.NDArray[np.float64] | None = None
    starts: FloatMatrix | None = None
    frame: Frame = field(default_factory=Frame)
    info: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = field(default=None, repr=False, compare=False)
    annotations: Annotations = field(default_factory=Annotations, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, concept: int) -> Concept:
        if not -len(self) <= concept < len(self):
            raise UsageError(f"there is no concept {concept}; the bank holds {len(self):,}, numbered from 0")
        number = range(len(self))[concept]
        row = self.concepts.slice(number, 1).to_pylist()[0]
        return Concept(
            number=number,
            key=row["key"],
            direction=row["direction"],
            vector=self.vectors[number],
            image_ids=self._members(number),
            separation=row["separation"],
            p_value=row["p_value"],
            stability=row["stability"],
            bank=self,
        )

    def __iter__(self) -> Iterator[Concept]:
        return (self[number] for number in range(len(self)))

    @property
    def layer(self) -> str:
        """The layer the vectors belong to, or "array"."""
        return str(self.info.get("layer", "array"))

    @property
    def start_name(self) -> str:
        """What the bank's directions are: "neuron", "singular direction", "score" or "direction"."""
        kind = self.info.get("parameters", {}).get("directions", "neurons")
        return {"neurons": "neuron", "svd": "singular direction", "scores": "score"}.get(str(kind), "direction")

    @property
    def pooling(self) -> str | None:
        """How the layer's positions became one vector; None for plain arrays."""
        pooling: str | None = self.info.get("activations", {}).get("pooling")
        return pooling

    @property
    def images_kept(self) -> int:
        """How many top images the bank keeps of each concept."""
        return len(self.top) // max(len(self), 1)

    def start(self, direction: int) -> FloatMatrix | None:
        """(C,) a direction itself as a unit vector of the frame: a basis vector for neurons, None for scores.

        Raises
        ------
        UsageError
            There is no such direction.
        """
        row = self.position(direction)
        if self.starts is not None:
            return np.asarray(self.starts[row])
        if self.start_name != "neuron":
            return None
        basis = np.zeros(self.vectors.shape[1], dtype=np.float32)
        basis[direction] = 1
        return basis

    def is_of(self, images: int, listing_digest: str | None) -> bool:
        """Whether the bank was made from so many images and from the listing of that digest, as far as it records."""
        made_from = self.info.get("activations", {})
        return made_from.get("images") == images and made_from.get("listing_digest") in (None, listing_digest)

    def for_direction(self, direction: int) -> list[Concept]:
        """The concepts found from one direction (a neuron's number), largest cluster's first appearance first."""
        self.position(direction)
        found = np.flatnonzero(self.concepts["direction"].to_numpy() == direction)
        return [self[int(number)] for number in found]

    def polysemantic(self, q: float = 0.05) -> npt.NDArray[np.int64]:
        """Directions with more than one concept, of which a share of at most `q` is expected to be false discoveries.

        Raises
        ------
        UsageError
            The bank was made by a method that does not test.
        """
        if len(self.divisions) == 0 or self.divisions["q_value"].null_count:
            raise UsageError("the bank has no q-values, for its method does not test; use the method calibrated")
        several = (self.divisions["q_value"].to_numpy() <= q) & (self.divisions["concepts"].to_numpy() > 1)
        return np.unique(self.divisions["direction"].to_numpy()[several])

    def position(self, direction: int) -> int:
        """Row of a direction in `directions`, `merges`, `heights` and `starts`; its bands are in the rows that follow."""
        where = np.flatnonzero(self.directions == direction)
        if len(where) == 0:
            span = f"{self.directions.min():,} to {self.directions.max():,}" if len(self.directions) else "none"
            raise UsageError(
                f"direction {direction} was not split in this bank, which holds {len(self.directions):,} ({span})"
            )
        return int(where[0])

    def exemplars_of(self, direction: int) -> pa.Table:
        """The rows of `exemplars` for one direction, best first, then those of its bands."""
        per = len(self.exemplars) // max(len(self.directions), 1)
        first, bands = self.position(direction), int((self.directions == direction).sum())
        return self.exemplars.slice(first * per, bands * per)

    def top_images(self, concept: int, k: int = 10) -> pa.Table:
        """The k images of the whole data set that project highest on a concept: rank, image_id, projection.

        Raises
        ------
        UsageError
            There is no such concept, or the bank keeps fewer images a concept.
        """
        number, per = self[concept].number, self.images_kept
        if not 0 < k <= per:
            raise UsageError(f"the bank keeps the {per} top images of each concept; ask for 1 to {per}, not {k}")
        return self.top.slice(number * per, k).drop_columns("concept")

    def project(self, embeddings: npt.ArrayLike) -> FloatMatrix:
        """How strongly embeddings show each concept: (N, C) raw embeddings -> (N, M) float32 projections.

        Raises
        ------
        UsageError
            The embeddings have another width.
        """
        raw = np.asarray(embeddings, dtype=np.float32)
        if raw.ndim != 2 or raw.shape[1] != self.vectors.shape[1]:
            raise UsageError(
                f"the bank's vectors have {self.vectors.shape[1]} components, but the embeddings have shape {raw.shape}; "
                "give an (N, C) array of the same layer"
            )
        return np.asarray(self.frame(raw) @ self.vectors.T)

    def cosines(self, others: npt.ArrayLike | None = None) -> FloatMatrix:
        """Cosine of each concept vector with each other one, or with given vectors (R, C) such as SVD directions.

        Returns
        -------
        (M, M) or (M, R) float32
        """
        if others is None:
            return np.asarray(self.vectors @ self.vectors.T)
        given = np.atleast_2d(np.asarray(others, dtype=np.float32))
        if given.shape[1] != self.vectors.shape[1]:
            raise UsageError(
                f"the bank's vectors have {self.vectors.shape[1]} components, the given ones {given.shape[1]}"
            )
        lengths = np.linalg.norm(given, axis=1)
        return np.asarray(self.vectors @ (given / np.where(lengths > 0, lengths, 1)[:, None]).T)

    def nearest(self, vectors: npt.ArrayLike, k: int = 5) -> pa.Table:
        """The k concepts of greatest cosine with each vector (R, C) of the bank's frame: query, rank, concept, cosine.

        Raises
        ------
        UsageError
            The vectors have another width, or k is not positive.
        """
        return nearest(self.vectors, vectors, k, "concept")

    def histogram(self) -> dict[int, int]:
        """How many directions have how many concepts, as the paper counts them: {concepts: directions}."""
        known = np.unique(self.directions)
        per_direction = np.searchsorted(known, self.concepts["direction"].to_numpy())
        counts = np.bincount(np.bincount(per_direction, minlength=len(known)))
        return {number: int(count) for number, count in enumerate(counts) if count}

    def clusters_at(self, distance_threshold: float) -> npt.NDArray[np.int64]:
        """(D,) number of Ward clusters of each direction's exemplars at another threshold, from the kept trees alone."""
        return np.asarray((self.heights >= distance_threshold).sum(1) + 1)

    def most_split(self, count: int = 5, *, overlap: float = 0.3) -> list[int]:
        """Directions whose concepts are told apart most clearly: where to look first.

        They are ranked by the least stability of their concepts, where that was tried; else by the least of their concepts'
        squared separation over twice the sum of squared distances to the concept's own centre, so that neither units nor a
        few stray images decide.

        Parameters
        ----------
        count : int
            How many directions at most.
        overlap : float
            Of two directions that share more than this part of their exemplars only the first is named.
        """
        member = self.exemplars["concept"].is_valid().to_numpy(zero_copy_only=False)
        own = self.exemplars["concept"].drop_null().to_numpy()
        scatter = np.bincount(own, self.exemplars["squared_distance"].to_numpy()[member], minlength=len(self))
        separation = self.concepts["separation"].to_numpy(zero_copy_only=False)
        several = np.flatnonzero(np.isfinite(separation))
        with np.errstate(over="ignore"):  # exemplars that are all alike are infinitely clear
            clear = separation[several] ** 2 / np.maximum(2 * scatter[several], np.finfo(np.float64).tiny)
        if self.concepts["stability"].null_count == 0:
            clear = self.concepts["stability"].to_numpy()[several]
        directions, first = np.unique(self.concepts["direction"].to_numpy()[several], return_index=True)
        least = np.minimum.reduceat(clear, first) if len(several) else clear
        images = self.exemplars["image_id"].to_numpy().reshape(len(self.directions), -1)
        chosen: dict[int, set[int]] = {}
        for direction in directions[np.argsort(-least, kind="stable")].tolist():
            if len(chosen) == count:
                break
            mine = set(images[self.position(direction)].tolist())
            if all(len(mine & other) <= overlap * len(mine) for other in chosen.values()):
                chosen[direction] = mine
        return list(chosen)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the bank to a folder, whole or not at all, and return its path.

        What people say of its concepts goes along: as annotations.jsonl in the folder, or, where that is a bank's place in
        another run, into that run's own, which keeps what it says already.

        Raises
        ------
        MonosemeError
            The folder exists and `overwrite` is false, or cannot be written.
        """
        from ._store import save_bank

        return save_bank(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        method = self.info.get("method", "unknown method")
        return (
            f"<concept bank of {self.layer}: {len(self):,} concepts from {len(self.directions):,} directions, {method}>"
        )

    def _repr_html_(self) -> str:
        from ._notebook import bank_html

        return bank_html(self)

    def _members(self, number: int) -> npt.NDArray[np.int64]:
        concept = self.concepts.slice(number, 1)
        rows = self.exemplars_of(concept["direction"][0].as_py())
        mine = rows["concept"].to_numpy(zero_copy_only=False) == number
        return np.asarray(rows["image_id"].to_numpy()[mine])
