"""Which images are ranked: held-out ones, or those that no exemplar of the concept's direction has to do with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..banks import ConceptBank
from ..base import Activations, Labels, UsageError, held_out, with_digests
from ._scores import Scored
from ._sets import Bools, Sets


def images_to_rank(
    bank: ConceptBank, acts: Activations, concepts: Sets, most: int, random: np.random.Generator
) -> tuple[Bools, Scored, dict[str, Any]]:
    """The images that exemplars were chosen from (N,), those to rank, and what to say of these.

    With held-out images only these are ranked. Without, all are, but for each concept not the exemplars of its direction nor
    what was cut from their photographs: its neuron, which chose them, is compared with it on what is left. Of copies of an
    image the first alone takes part. At most `most` images are ranked; more are sampled.
    """
    images, count = acts.images(), acts.shape[0]
    first, out = _parts(bank, acts)
    apart = bool((out & first).any())
    candidates = np.flatnonzero(out & first if apart else first)
    rows = np.sort(random.choice(candidates, most, replace=False)) if len(candidates) > most else candidates
    exclude = None
    if not apart:
        photograph = np.arange(count) if images.groups is None else images.groups
        direction, place = np.nonzero(concepts.rows >= 0)
        cut_from = photograph[concepts.rows[direction, place]]
        shape = (len(concepts.rows), int(photograph.max()) + 1)
        exclude = sparse.csr_array((np.ones(len(direction), dtype=np.int8), (direction, cut_from)), shape=shape)
        exclude = exclude.tocsc()[:, photograph[rows]].tocsr()
    of = (
        f"held-out images ({_held_share(bank):.0%})"
        if apart
        else "images that are no exemplars of the concept's direction"
    )
    if len(candidates) > most:
        of += f", a sample of {most:,}"
    facts = {"ranked": {"images": len(rows), "of": of, "held_out": apart}, "images": count}
    return first & ~out, Scored(rows, bank.frame(gathered(acts, rows)), exclude), facts


def chosen_from(bank: ConceptBank, acts: Activations) -> Bools:
    """(N,) the images that a bank's exemplars were chosen from: no copies, and none that were held out."""
    first, out = _parts(bank, acts)
    return first & ~out


def _parts(bank: ConceptBank, acts: Activations) -> tuple[Bools, Bools]:
    """(N,) the first of each image's copies; those that were held out."""
    images, count = acts.images(), acts.shape[0]
    first = images.first_copies if images.first_copies is not None else np.ones(count, dtype=np.bool_)
    share = _held_share(bank)
    out: Bools = held_out(with_digests(acts), share) if share > 0 else np.zeros(count, dtype=np.bool_)
    return first, out


def _held_share(bank: ConceptBank) -> float:
    return float(bank.info.get("parameters", {}).get("holdout", 0.0) or 0.0)


def labels_for(labels: Labels | Sequence[object], images: int) -> Labels:
    """Labels of so many images.

    Raises
    ------
    UsageError
        They are of another number of images.
    """
    known = labels if isinstance(labels, Labels) else Labels.of(labels)
    if len(known) != images:
        raise UsageError(
            f"there are labels for {len(known):,} images, but activations of {images:,}; give one for each"
        )
    return known


def require_fit(bank: ConceptBank, acts: Activations) -> None:
    """Raise a `UsageError` where the activations are not those that the bank was made from."""
    made_from = bank.info.get("activations", {})
    here = {"images": acts.shape[0], "neurons": acts.shape[1], **acts.provenance()}
    for name, value in here.items():
        if name in made_from and made_from[name] != value:
            raise UsageError(
                f"the bank was made from activations with {name} {made_from[name]}, not {value}; give those it was made from"
            )
    if bank.vectors.shape[1] != acts.shape[1]:
        raise UsageError(
            f"the bank's vectors have {bank.vectors.shape[1]} components, the activations {acts.shape[1]} neurons; give those "
            "it was made from"
        )


def gathered(acts: Activations, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The rows (n, C) float32, in one pass over the blocks."""
    taken = np.zeros(acts.shape[0], dtype=np.bool_)
    taken[rows] = True
    embeddings = np.empty((len(rows), acts.shape[1]), dtype=np.float32)
    filled = 0
    for first, block in acts.blocks():
        wanted = block[taken[first : first + len(block)]]
        embeddings[filled : filled + len(wanted)] = wanted
        filled += len(wanted)
    return embeddings
