"""A model in which one polysemantic channel has become several, one for each of its concepts, and whose outputs are as before."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..banks import ConceptBank
from ..base import MonosemeError, Reporter, Silent, UsageError, counted, first_line, whole_file
from ..runs import Run, model_of, originals, recorded_model
from ._asked import layer_of, pooling_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..images import ImageSource
    from ..models import Model, Producer, Tap

RATIOS = tuple(np.arange(1, 21) / 20)
"""Those that are tried, as in the paper."""
_FORMAT = 1
CHANNELS = pa.schema(
    [
        pa.field("channel", pa.int64(), nullable=False),
        pa.field("neuron", pa.int64(), nullable=False),
        pa.field("concept", pa.int64(), nullable=False),
        pa.field("ratio", pa.float64(), nullable=False),
        pa.field("inputs", pa.int64(), nullable=False),
        pa.field("shared", pa.int64(), nullable=False),
        pa.field("kept", pa.float64(), nullable=False),
        pa.field("purity", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class SplitChannels:
    """A model with channels split. Made by `split_channels` and `load_split`.

    model : Model
        Its predictions and all its layers are as before; the layer named by `layer` is new. The model it was made from is as
        it was.
    layer : str
        Where the new channels are read, in the units of the layer that was split: give it to `embed`.
    channels : Table
        A row a new channel: its number in `layer`, the neuron and the concept of the bank that it is for; the ratio (rho) that
        chose its inputs, how many inputs it has for itself and how many it shares with its siblings; how much of the neuron's
        activation it keeps on the concept's exemplars (their median), and its share of all the new channels' there (their
        mean; 1 over their number is what an even division gives).
    info : dict
        The model, layer and module it was made from.
    """

    model: Model
    layer: str
    channels: pa.Table
    info: dict[str, Any]
    sources: tuple[npt.NDArray[np.bool_], ...] = field(repr=False)
    """(k, inputs) of each neuron: which inputs belong to one of its new channels alone."""

    def save(self, path: str | PathLike[str], *, replace: bool = False) -> Path:
        """Write what was done to the model as one safetensors file, which holds no weights: `load_split` makes it anew."""
        from safetensors.numpy import save

        tensors = {str(number): each.astype(np.uint8) for number, each in enumerate(self.sources)}
        facts = {"format": _FORMAT, "info": self.info, "channels": self.channels.to_pylist()}
        target = Path(path)
        with whole_file(target, replace=replace) as aside:
            aside.write_bytes(save(tensors, metadata={"monoseme": json.dumps(facts, ensure_ascii=False)}))
        return target


def split_channels(
    bank: ConceptBank,
    run: Run,
    neurons: int | Sequence[int],
    model: Model | str | None = None,
    *,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None,
    ratio: float | None = None,
    batch_size: int = 32,
    progress: Reporter | None = None,
) -> SplitChannels:
    """Make one channel for each concept of a neuron, by rewriting weights, in a copy of the model.

    The convolution or linear layer behind the neuron adds up input channels. Each concept gets those that drive the neuron for
    it and not for its siblings, and all that drive it for none in particular: its new channel is the old one without the inputs
    that belong to the siblings alone. Adding the new channels up, less what was counted more than once, gives the old one
    again, so that everything that follows is as before.

    Parameters
    ----------
    bank : ConceptBank
        Whose directions are neurons.
    run : Run
        The run that it was made from.
    neurons : int or sequence of int
        Which to split, each with two concepts or more.
    model, images : optional
        As for `causal`: where the run's record is not enough.
    ratio : float in (0, 1], optional
        An input belongs to a concept alone if this share of its mean attribution there exceeds that for each sibling (rho in
        the paper). By default for each neuron that of 0.05, 0.1, ... 1 with the greatest purity.
    batch_size : int
        Images that the model takes at once.
    progress : Reporter, optional
        Told of exemplars.

    Raises
    ------
    UsageError
        The bank is not of the run or not of neurons; a neuron has fewer than two concepts, or is not one channel of a
        convolution or linear layer (a sum of two branches, say; the sentence names a layer that is); the model or the images
        are not at hand.

    Notes
    -----
    Hesse et al., Disentangling Polysemantic Channels in Convolutional Neural Networks, CVPR Workshops 2025. There: two classes,
    the last convolution of a ResNet-50, a ratio that maximises the quotient of the two channels. Here: any number of concepts,
    any convolution (groups included) or linear layer, and the mean share in place of the quotient, which has no upper limit.
    """
    import torch

    from ..models import Attribution, Tap, producer, with_readable_input, with_split_units
    from ..splitting import attributed, shares

    wanted = _wanted(bank, neurons)
    if ratio is not None and not 0 < ratio <= 1:
        raise UsageError(f"the ratio must be above 0 and at most 1, not {ratio}")
    if batch_size < 1:
        raise UsageError(f"batch_size must be a whole number of at least 1, not {batch_size}")
    network = model_of(run, model)
    info = layer_of(bank, network, None)
    pooling = pooling_of(bank, info, None, network.spec)
    producers = [producer(network, bank.layer, neuron) for neuron in wanted]
    open_input, name = with_readable_input(network, producers[0].name)
    rows, concept = _exemplars(bank, wanted)
    with originals(run, images) as source:
        attribution = Attribution(open_input, bank.layer, name, pooling)
        drives = np.empty((rows.size, attribution.lower.channels), dtype=np.float32)
        for places, found in attributed(
            source, attribution, rows, np.array(wanted), progress or Silent(), batch_size=batch_size
        ):
            drives[places] = shares(found)
        drives = drives.reshape(*rows.shape, -1)
        chosen, facts = [], []
        for neuron, behind, mine, of, driven in zip(wanted, producers, rows, concept, drives, strict=True):
            numbers = [number for number in dict.fromkeys(of.tolist()) if number >= 0]
            member = of == np.array(numbers)[:, None]
            mean = np.stack([driven[each].mean(0, dtype=np.float64) for each in member])
            tried: dict[bytes, tuple[float, npt.NDArray[np.bool_]]] = {}
            for each in RATIOS if ratio is None else (ratio,):
                own = source_channels(mean, each)
                tried.setdefault(own.tobytes(), (float(each), own))
            batches = (source.tensor(mine[i : i + batch_size], network) for i in range(0, len(mine), batch_size))
            own, about = _best(network, Tap(bank.layer, pooling), neuron, behind, tried, member, batches)
            chosen.append(own)
            facts += [{"neuron": neuron, "concept": number, **row} for number, row in zip(numbers, about, strict=True)]
    made, layer = with_split_units(network, producers, [torch.from_numpy(own) for own in chosen])
    table = pa.Table.from_pylist([{"channel": channel, **fact} for channel, fact in enumerate(facts)], schema=CHANNELS)
    made_from = {"model": network.describe(), "layer": bank.layer, "module": producers[0].name, "neurons": wanted}
    return SplitChannels(made, layer, table, made_from, tuple(chosen))


def load_split(path: str | PathLike[str], model: Model | str | None = None) -> SplitChannels:
    """Split the channels of a model as `SplitChannels.save` wrote it down.

    Parameters
    ----------
    path : path
        The file.
    model : Model or str, optional
        The model that it was made from, where the record is not enough to load it. A ``python:`` spec is loaded only when it
        is named here.

    Raises
    ------
    UsageError
        There is no such file; the model is not at hand, or has other weights.
    MonosemeError
        The file is damaged, or holds something else.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from ..models import producer, with_split_units

    file = Path(path)
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    try:
        with safe_open(file, framework="numpy") as content:
            facts = json.loads((content.metadata() or {})["monoseme"])
            own = [content.get_tensor(str(number)) == 1 for number in range(len(content.keys()))]
        if facts["format"] != _FORMAT:
            raise MonosemeError(f"{file} is of format {facts['format']}, not {_FORMAT}; use the version that wrote it")
        info = {name: facts["info"][name] for name in ("model", "layer", "module", "neurons")}
        channels = pa.Table.from_pylist(facts["channels"], schema=CHANNELS)
        neurons = [int(neuron) for neuron in info["neurons"]]
        if len(own) != len(neurons) or [len(each) for each in own] != _counts(channels, neurons):
            raise ValueError("its parts do not fit each other")
    except (SafetensorError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise MonosemeError(f"{file} does not say how channels were split ({first_line(error)})") from error
    network = recorded_model(info["model"], str(file), model)
    producers = [producer(network, str(info["layer"]), neuron) for neuron in neurons]
    made, layer = with_split_units(network, producers, [torch.from_numpy(each) for each in own])
    return SplitChannels(made, layer, channels, info, tuple(own))


def source_channels(mean: npt.NDArray[np.float64], ratio: float) -> npt.NDArray[np.bool_]:
    """(k, F) whether an input belongs to one concept alone, from its mean attributions (k, F) for each of them.

    >>> source_channels(np.array([[0.9, 0.1, 0.4], [0.1, 0.8, 0.3]]), 0.5).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0]]
    """
    own = np.zeros(mean.shape, dtype=np.bool_)
    for number, mine in enumerate(mean):
        siblings = np.delete(mean, number, axis=0).max(0)
        own[number] = (mine > 0) & (mine * ratio > siblings)
    return own


def _counts(channels: pa.Table, neurons: Sequence[int]) -> list[int]:
    """How many new channels each neuron has."""
    of = channels["neuron"].to_pylist()
    return [of.count(neuron) for neuron in neurons]


def _wanted(bank: ConceptBank, neurons: int | Sequence[int]) -> list[int]:
    """The neurons to split, each with concepts enough."""
    kind = bank.info.get("parameters", {}).get("directions", "neurons")
    if kind != "neurons":
        raise UsageError(
            f"channels are neurons, and the bank's directions are {kind}; split the neurons of the layer first"
        )
    asked = np.atleast_1d(np.asarray(neurons))
    if asked.ndim != 1 or asked.dtype.kind not in "iu" or len(asked) == 0:
        raise UsageError("name the neurons to split by their numbers")
    wanted = list(dict.fromkeys(asked.tolist()))
    for neuron in wanted:
        found = len(bank.for_direction(neuron))
        if found < 2:
            raise UsageError(
                f"the bank has {counted(found, 'concept')} for neuron {neuron}; choose one with two or more"
            )
    return wanted


def _exemplars(bank: ConceptBank, neurons: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Exemplars of neurons (D, K) and the concept of each, -1 for none; those of all bands."""
    table = bank.exemplars
    direction = table["direction"].to_numpy()
    where = np.stack([np.flatnonzero(direction == neuron) for neuron in neurons])
    concept = table["concept"].fill_null(-1).to_numpy()
    return table["image_id"].to_numpy()[where], concept[where].astype(np.int64)


def _best(
    network: Model,
    old: Tap,
    neuron: int,
    behind: Producer,
    tried: dict[bytes, tuple[float, npt.NDArray[np.bool_]]],
    member: npt.NDArray[np.bool_],
    batches: Iterable[Tensor],
) -> tuple[npt.NDArray[np.bool_], list[dict[str, Any]]]:
    """The sources (k, inputs) of greatest purity among those tried, and what the table says of each of the k new channels.

    The channels of all that are tried are made at once, in one model, which each image passes once.
    """
    import torch

    from ..models import Tap, Tapped, with_split_units

    own = [sources for _, sources in tried.values()]
    made, layer = with_split_units(network, [behind] * len(own), [torch.from_numpy(each) for each in own])
    new = Tap(layer, old.pooling)
    before, after = [], []
    with Tapped(made, [old, new], predictions=False) as tapped:
        for images in batches:
            pooled = tapped(images).pooled
            before.append(pooled[old].cpu().double().numpy())
            after.append(pooled[new].cpu().double().numpy())
    readings = np.maximum(np.concatenate(after), 0).reshape(len(member[0]), len(own), len(member))
    every = readings.sum(2, keepdims=True)
    share = np.where(every > 0, readings / np.where(every > 0, every, 1), 1 / len(member))
    purity = np.array([[share[mine, way, each].mean() for each, mine in enumerate(member)] for way in range(len(own))])
    best = int(purity.mean(1).argmax())
    ratio = next(itertools.islice(tried.values(), best, None))[0]
    rows = []
    for each, mine in enumerate(member):
        activation = np.concatenate(before)[mine, neuron]
        rows.append(
            {
                "ratio": ratio,
                "inputs": int(own[best][each].sum()),
                "shared": int((~own[best].any(0)).sum()),
                "kept": float(np.median(readings[mine, best, each] / np.maximum(activation, 1e-12))),
                "purity": float(purity[best, each]),
            }
        )
    return own[best], rows
