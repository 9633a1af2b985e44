"""Causal evidence: a bank, the run and the model behind it; images come in batches, each as far as the layer once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from ...banks import ConceptBank, Frame
from ...base import Reporter, Silent, UsageError
from ...images import ImageSource
from ...models import FromLayer, pool
from ...runs import Originals, Run, model_of, originals
from .._dictionary import unit
from .._images import gathered, require_fit
from .._sets import Sets
from ._directions import Spectrum
from ._effects import Moved, effects, joined
from ._result import CLASS_FIELDS, EFFECT_FIELDS, NEGLIGIBLE, VERDICTS, Causal
from ._summary import OWN, RANDOM, SIBLINGS, classes, summary

if TYPE_CHECKING:
    from ...models import Model

MOST_ROWS = 16_384
_POOL = 8
"""Random images are drawn from this many times as many as one concept sees, the same for all concepts."""


def causal(
    bank: ConceptBank,
    run: Run,
    model: Model | str | None = None,
    *,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None,
    concepts: Sequence[int] | None = None,
    per_set: int = 12,
    directions: int = 8,
    batch_size: int = 32,
    resamples: int = 1000,
    seed: int = 0,
    progress: Reporter | None = None,
) -> Causal:
    """Test whether concepts matter to the model: what its predictions do without each of them, and with more of it.

    Each concept is taken out (embeddings are moved to the data set's mean along it, at every position) and added (by as much
    as its exemplars have more of it than the average image), on its own exemplars, on those of its sibling concepts of the
    same neuron, and on random images. The same is done with the neuron itself, with random directions, and with random
    directions along which the embeddings vary as much as along the concept: a direction of much variance carries much of
    everything, so that only what exceeds these speaks for the concept. Images go as far as the layer once; from there on the
    model is run again for each change.

    Parameters
    ----------
    bank : ConceptBank
        Of a layer of the run.
    run : Run
        The run that it was made from.
    model : Model or str, optional
        The run's model, where its record is not enough to load it.
    images : optional
        Where the images are now, if they have moved.
    concepts : sequence of int, optional
        Which; all by default.
    per_set : int
        The most images of each kind for a concept: its strongest exemplars, its siblings' strongest, random ones.
    directions : int
        Random directions of each kind for a concept.
    batch_size : int
        Images the model takes at once, four times as many from the layer on.
    resamples, seed : int
        Of the bootstrap, and for everything random.
    progress : Reporter, optional
        Told of images.

    Raises
    ------
    UsageError
        The bank is not of the run, the model or the images are not at hand, the model gives no predictions, or there is no
        such concept.

    Notes
    -----
    The rule of the verdict is in ``info["verdicts"]``. Effects are shares of the predicted probability that move to other
    classes (total variation distance, from 0 to 1); intervals are 95 % percentiles of a bootstrap over images, and for the
    excess over images and random directions.
    """
    numbers = _numbers(bank, concepts)
    for name, number in (("per_set", per_set), ("directions", directions), ("batch_size", batch_size)):
        if number < 1:
            raise UsageError(f"{name} must be a whole number of at least 1, not {number}")
    acts = run.activations(bank.layer, bank.pooling)
    require_fit(bank, acts)
    network = model_of(run, model)
    progress, random = progress or Silent(), np.random.default_rng(seed)
    rows = np.arange(len(acts))
    if len(rows) > MOST_ROWS:
        rows = np.sort(random.choice(rows, MOST_ROWS, replace=False))
    raw = gathered(acts, rows)
    spectrum = Spectrum.of(bank.frame(raw))
    with originals(run, images) as source:
        from_layer = FromLayer(network, bank.layer)
        chosen = _choose(bank, numbers, len(run), per_set, random)
        centre = raw.mean(0, dtype=np.float64)
        if bank.pooling not in (None, "mean"):
            # a maximum, or a class token, is not what an average position holds
            centre = _mean_position(from_layer, source, chosen[0].rows[RANDOM], batch_size) if chosen else centre
        trials = [_Trial.of(bank, each, spectrum, directions, random) for each in chosen]
        order = list(dict.fromkeys(number for each in chosen for number in each.every.tolist()))
        with progress.task("intervening", len(order), "images") as task:
            for ids in (order[first : first + batch_size] for first in range(0, len(order), batch_size)):
                with torch.inference_mode():
                    begun = from_layer.begin(source.tensor(ids, network))
                    before = from_layer(begun, begun.output)
                    for trial in trials:
                        mine = np.flatnonzero(np.isin(ids, trial.chosen.every))
                        if len(mine):
                            where = torch.from_numpy(mine)
                            moved = effects(
                                from_layer,
                                begun.take(where),
                                before[where.to(before.device)],
                                trial.directions,
                                trial.amount,
                                Frame(centre, bank.frame.scale),
                                4 * batch_size,
                            )
                            trial.ids += [ids[place] for place in mine.tolist()]
                            trial.parts.append(moved)
                task.advance(len(ids))
    info = {
        "layer": bank.layer,
        "model": network.spec,
        "concepts": len(numbers),
        "images": len(order),
        "per_set": per_set,
        "directions": directions,
        "from_layer": from_layer.skips,
        "negligible": NEGLIGIBLE,
        "verdicts": VERDICTS,
        "resamples": resamples,
        "seed": seed,
    }
    return _result(bank, trials, network.classes, resamples, seed, info)


@dataclass(frozen=True)
class _Chosen:
    """The images of one concept: its own, its siblings', random ones."""

    concept: int
    rows: dict[str, npt.NDArray[np.int64]]

    @property
    def every(self) -> npt.NDArray[np.int64]:
        """Each once."""
        return np.asarray(list(dict.fromkeys(np.concatenate(list(self.rows.values())).tolist())), dtype=np.int64)


@dataclass
class _Trial:
    """One concept under way: the directions that are changed, and what happened so far."""

    chosen: _Chosen
    ways: list[str]
    directions: npt.NDArray[np.float64]
    amount: float
    ids: list[int]
    parts: list[Moved]

    @classmethod
    def of(
        cls, bank: ConceptBank, chosen: _Chosen, spectrum: Spectrum, count: int, random: np.random.Generator
    ) -> _Trial:
        vector = unit(bank.vectors[[chosen.concept]]).astype(np.float64)
        start = bank.start(int(bank.concepts["direction"][chosen.concept].as_py()))
        parts = {
            "concept": vector,
            "neuron": None if start is None else unit(start[None]).astype(np.float64),
            "random directions": spectrum.random(count, random),
            "equal variance": spectrum.random_of(float(spectrum.captured(vector)[0]), count, random),
        }
        kept = {name: each for name, each in parts.items() if each is not None}
        ways = [name for name, each in kept.items() for _ in each]
        mean = float(bank.concepts["mean_projection"][chosen.concept].as_py())
        amount = mean - float(spectrum.mean @ vector[0])
        return cls(chosen, ways, np.concatenate(list(kept.values())), amount, [], [])


def _numbers(bank: ConceptBank, concepts: Sequence[int] | None) -> list[int]:
    if len(bank) == 0:
        raise UsageError("the bank holds no concepts; split the layer with other parameters")
    numbers = range(len(bank)) if concepts is None else [bank[int(number)].number for number in concepts]
    if len(numbers) == 0:
        raise UsageError("name at least one concept")
    return list(dict.fromkeys(numbers))


def _choose(
    bank: ConceptBank, numbers: Sequence[int], images: int, most: int, random: np.random.Generator
) -> list[_Chosen]:
    """The images to try each concept on: strongest exemplars first."""
    sets = Sets.of(bank)
    at_random = np.sort(random.choice(images, min(images, _POOL * most), replace=False))
    chosen = []
    for number in numbers:
        direction = sets.direction[number]
        rows, member = sets.rows[direction], sets.member[direction]
        others = np.setdiff1d(at_random, rows)
        others = others if len(others) else at_random
        parts = {
            OWN: rows[member == number][:most],
            SIBLINGS: rows[(member >= 0) & (member != number)][:most],
            RANDOM: random.choice(others, min(most, len(others)), replace=False),
        }
        chosen.append(_Chosen(number, parts))
    return chosen


def _mean_position(
    from_layer: FromLayer, source: Originals, ids: npt.NDArray[np.int64], batch_size: int
) -> npt.NDArray[np.float64]:
    """(C,) the mean of what positions of images hold."""

    def means() -> Iterator[npt.NDArray[np.float64]]:
        for first in range(0, len(ids), batch_size):
            begun = from_layer.begin(source.tensor(ids[first : first + batch_size], from_layer.model))
            yield pool(begun.output, from_layer.info, "mean").cpu().double().numpy()

    return np.asarray(np.concatenate(list(means())).mean(0))


def _result(
    bank: ConceptBank,
    trials: list[_Trial],
    names: Sequence[str] | None,
    resamples: int,
    seed: int,
    info: dict[str, Any],
) -> Causal:
    verdicts, rows, moving = [], [], []
    for trial in trials:
        moved, number = joined(trial.parts), trial.chosen.concept
        place = {image: where for where, image in enumerate(trial.ids)}
        where = {on: np.array([place[i] for i in ids.tolist()], np.int64) for on, ids in trial.chosen.rows.items()}
        effect, columns = summary(moved, trial.ways, where, resamples, seed)
        rows += [{"concept": number, **each} for each in effect]
        moving += [{"concept": number, **each} for each in classes(moved, where, names)]
        verdicts.append({"concept": number, "amount": trial.amount, **columns})
    found = pa.Table.from_pylist(verdicts)
    about = bank.concepts.select(["concept", "key", "direction"]).take(found["concept"])
    for name in ("verdict", "amount", *(n for n in found.column_names if n not in ("concept", "amount", "verdict"))):
        column = found[name]
        about = about.append_column(name, column.cast(pa.float64()) if pa.types.is_null(column.type) else column)
    return Causal(
        about,
        pa.Table.from_pylist(rows, schema=EFFECT_FIELDS),
        pa.Table.from_pylist(moving, schema=CLASS_FIELDS),
        info,
    )
