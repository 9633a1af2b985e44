"""Interventions: within a ``with`` block a model loses concepts, or gains one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..banks import Concept, Frame
from ..base import Activations, UsageError, counted
from ._asked import centre_of, layer_of

if TYPE_CHECKING:
    from ..models import Change, LayerInfo, Model
    from ._edits import Edit, Tokens

Vectors = Concept | Sequence[Concept] | int | Sequence[int] | npt.ArrayLike


def ablate(
    model: Model,
    layer: str,
    vectors: Vectors,
    *,
    frame: Frame | None = None,
    centre: npt.ArrayLike | Activations | None = None,
    above: float | None = None,
    tokens: Tokens = "all",
) -> Change:
    """Take vectors out of what a layer gives, while a ``with`` block lasts.

    Every embedding (each position's, each token's) is replaced by its orthogonal projection on the complement of the span of
    the vectors: their projections become zero, and what is orthogonal to them stays as it was. In a bank's frame that is done
    in the frame, so that `ConceptBank.project` gives zero; with the data set's mean as `centre` the embedding is moved to the
    mean along the vectors, and `ConceptBank.project` gives the mean's projections.

    Blocks can be nested, on one layer or several; changes are made in the order in which blocks were entered. `Tapped`,
    `ToLayer` and the model itself see the changed activations in the thread that entered the block, and in no other. What is
    kept must be the model's own, so `embed` refuses a model that is being changed. Gradients flow through. When the block
    ends, also by an exception, the model is as it was.

    Parameters
    ----------
    model : Model
        From `load_model` or `wrap`.
    layer : str
        Its exact name, as in ``bank.layer``.
    vectors : Concept, int, (C,) or (R, C) array, or a sequence of these
        Concepts of a bank, whose frame is then theirs; numbers of neurons; or vectors of your own, of any length.
    frame : Frame, optional
        For vectors of your own: the one that they are in, such as ``bank.frame``; raw embeddings by default.
    centre : (C,) array or Activations, optional
        The embedding, in raw units, to which is moved along the vectors, or activations whose mean it is; by default the
        frame's zero.
    above : float, optional
        Change only the positions where the projection on any of the vectors is larger than this: the parts of `heatmaps`,
        with the same centre, that are higher. Everywhere by default.
    tokens : "all", "patches" or "cls"
        Which tokens of a transformer are changed.

    Returns
    -------
    Change
        To be entered with ``with``, again and again if need be.

    Raises
    ------
    UsageError
        There is no such layer, the vectors are of another layer, width or model, or of length zero.

    Examples
    --------
    >>> import monoseme as ms
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> model = ms.wrap(net, ms.Preprocess.imagenet(32), device="cpu")
    >>> images = torch.rand(2, 3, 32, 32)
    >>> before = model.module(images)
    >>> with ms.ablate(model, "1", [3, 5]):
    ...     [float(maps.abs().max()) for maps in net[:2](images)[:, [3, 5]].unbind(1)]
    [0.0, 0.0]
    >>> torch.equal(model.module(images), before)
    True
    """
    from ..models import Change
    from ._edits import Where, ablation

    info, rows, frame = _asked(model, layer, vectors, frame)
    if centre is not None:
        frame = Frame(centre_of(centre, info.channels), frame.scale)
    edit = ablation(info, rows, frame, Where.of(info, rows, frame, above, tokens))
    return Change(model, layer, edit, f"ablation of {counted(len(rows), 'vector')}")


def steer(
    model: Model,
    layer: str,
    vector: Concept | int | npt.ArrayLike,
    amount: float,
    *,
    frame: Frame | None = None,
    above: float | None = None,
    tokens: Tokens = "all",
) -> Change:
    """Add a vector to what a layer gives, while a ``with`` block lasts.

    The projection of every embedding (each position's, each token's) on the vector rises by `amount`, in the units of
    `ConceptBank.project`, and so does that of the picture, whatever the pooling, where every position is changed; negative
    amounts lower it. To set a projection to a value, ablate first and steer then. All else is as for `ablate`.

    Parameters
    ----------
    model, layer
        As for `ablate`.
    vector : Concept, int or (C,) array
        A concept of a bank, the number of a neuron, or a vector of your own, of which only the direction counts.
    amount : float
        By how much the projection rises.
    frame, above, tokens : optional
        As for `ablate`.

    Raises
    ------
    UsageError
        As for `ablate`, or the amount is not finite.

    Examples
    --------
    >>> import monoseme as ms
    >>> import torch
    >>> from monoseme.models import Tap, Tapped
    >>> from torch import nn
    >>> model = ms.wrap(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), ms.Preprocess.imagenet(32), device="cpu")
    >>> read, images = Tapped(model, [Tap("1")], predictions=False), torch.rand(2, 3, 32, 32)
    >>> before = read(images).pooled[Tap("1")]
    >>> with ms.steer(model, "1", np.ones(8), 2.0):
    ...     ((read(images).pooled[Tap("1")] - before) @ (torch.ones(8) / 8**0.5)).round(decimals=3)
    tensor([2., 2.])
    """
    from ..models import Change
    from ._edits import Where, steering

    if not np.isfinite(amount):
        raise UsageError(f"the amount to steer by must be finite, not {amount}")
    info, rows, frame = _asked(model, layer, vector, frame)
    if len(rows) != 1:
        raise UsageError(f"steer by one vector at a time, not {len(rows)}; nest several with blocks")
    edit = steering(info, rows[0], float(amount), frame, Where.of(info, rows, frame, above, tokens))
    return Change(model, layer, edit, f"steering by {amount:g}")


def intervention(info: LayerInfo, direction: npt.NDArray[np.float64], frame: Frame, amount: float) -> tuple[Edit, Edit]:
    """The edits that take a unit vector (C,) of a frame out of a layer's output, and add an amount of it, everywhere."""
    from ._edits import Where, ablation, steering

    everywhere = Where.of(info, direction[None], frame)
    return ablation(info, direction[None], frame, everywhere), steering(info, direction, amount, frame, everywhere)


def _asked(
    model: Model, layer: str, vectors: Vectors, frame: Frame | None
) -> tuple[LayerInfo, npt.NDArray[np.float64], Frame]:
    """The layer, (R, C) vectors in a frame, and that frame."""
    from ..models import one_layer

    items: list[Any] = list(vectors) if isinstance(vectors, list | tuple) else [vectors]
    if items and all(isinstance(item, Concept) for item in items):
        if frame is not None:
            raise UsageError("concepts bring the frame of their bank; give no other")
        return _of_concepts(model, layer, items)
    info = one_layer(model, layer)
    rows = _rows(vectors, info)
    frame = frame or Frame()
    for part in (frame.centre, frame.scale):
        if part is not None and part.shape != (info.channels,):
            raise UsageError(
                f"the frame is of {part.shape[-1]:,} neurons, but layer {layer} has {info.channels:,}; give that of its bank"
            )
    return info, rows, frame


def _of_concepts(model: Model, layer: str, concepts: list[Concept]) -> tuple[LayerInfo, npt.NDArray[np.float64], Frame]:
    bank = concepts[0].bank
    if bank is None or any(each.bank is not bank for each in concepts):
        raise UsageError("concepts must be of one bank, as bank[number] gives them; else give vectors and a frame")
    if bank.layer not in ("array", layer):
        raise UsageError(f"the concepts are of layer {bank.layer}, not of {layer}; name their layer")
    info = layer_of(bank, model, layer)
    return info, np.stack([each.vector for each in concepts]).astype(np.float64), bank.frame


def _rows(vectors: Any, info: LayerInfo) -> npt.NDArray[np.float64]:
    """(R, C) unit vectors from vectors or from numbers of neurons."""
    try:
        given = np.asarray(vectors)
    except (TypeError, ValueError) as error:
        raise UsageError(f"vectors of layer {info.name} must have {info.channels:,} components each") from error
    if given.dtype.kind in "iu" and given.ndim <= 1:
        numbers = np.atleast_1d(given)
        if len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= info.channels:
            raise UsageError(
                f"layer {info.name} has {info.channels:,} neurons, numbered from 0; name at least one of them, not {given.tolist()}"
            )
        return np.asarray(np.eye(info.channels)[numbers])
    rows = np.atleast_2d(given)
    if given.dtype.kind not in "fiu" or rows.ndim != 2 or rows.shape[1] != info.channels or len(rows) == 0:
        raise UsageError(
            f"vectors of layer {info.name} must be numbers and have {info.channels:,} components each, but have shape "
            f"{given.shape}"
        )
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise UsageError("every vector must be finite and longer than zero")
    return np.asarray(rows / lengths[:, None], dtype=np.float64)
