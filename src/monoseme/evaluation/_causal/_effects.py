"""What predictions do when the output of a layer is changed along directions: image by image, way by way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...banks import Frame
from ...models import Begun, FromLayer
from ...use import intervention

ABLATED, STEERED = 0, 1
CHANGES = ("ablated", "steered")


@dataclass(frozen=True)
class Moved:
    """What n images' predictions did under W directions, ablated and steered: arrays (2, W, n).

    moved : share of the predicted probability that went to other classes (total variation distance, 0 to 1)
    dropped : how much the log-probability of the class that was predicted fell
    flipped : whether another class is predicted now
    classes : (2, n, classes) float32, how the probability of each class changed under the first direction
    """

    moved: npt.NDArray[np.float32]
    dropped: npt.NDArray[np.float32]
    flipped: npt.NDArray[np.bool_]
    classes: npt.NDArray[np.float32]


def effects(
    from_layer: FromLayer,
    begun: Begun,
    before: Tensor,
    directions: npt.NDArray[np.float64],
    amount: float,
    frame: Frame,
    most: int,
) -> Moved:
    """Ablate and steer the images of a batch that has begun.

    Parameters
    ----------
    from_layer : FromLayer
        The model from the layer on.
    begun : Begun
        n images.
    before : (n, classes) Tensor
        Their logits as they are.
    directions : (W, C)
        Unit vectors of the frame.
    amount : float
        To steer by.
    frame : Frame
        Ablation moves embeddings to its zero.
    most : int
        Images that the model takes at once.
    """
    edits = [intervention(from_layer.info, direction, frame, amount) for direction in directions]
    outputs = [edit[change] for change in (ABLATED, STEERED) for edit in edits]
    together = max(1, most // len(begun))
    after: list[Tensor] = []
    for first in range(0, len(outputs), together):
        some = outputs[first : first + together]
        rows = torch.arange(len(begun)).repeat(len(some))
        after.append(from_layer(begun.take(rows), torch.cat([edit(begun.output) for edit in some])))
    logs = torch.cat(after).log_softmax(1).reshape(2, len(edits), len(begun), -1)
    return _compared(before.log_softmax(1), logs)


def _compared(before: Tensor, after: Tensor) -> Moved:
    """Log-probabilities (n, classes) before, (2, W, n, classes) after."""
    changed = after.exp() - before.exp()
    likeliest = before.argmax(1)
    place = likeliest.expand(after.shape[:3])[..., None]
    return Moved(
        moved=changed.abs().sum(3).div(2).cpu().numpy(),
        dropped=(before.gather(1, likeliest[:, None])[:, 0] - after.gather(3, place)[..., 0]).cpu().numpy(),
        flipped=(after.argmax(3) != likeliest).cpu().numpy(),
        classes=changed[:, 0].cpu().numpy(),
    )


def joined(parts: Sequence[Moved]) -> Moved:
    """Those of several batches as one."""
    return Moved(
        moved=np.concatenate([part.moved for part in parts], axis=2),
        dropped=np.concatenate([part.dropped for part in parts], axis=2),
        flipped=np.concatenate([part.flipped for part in parts], axis=2),
        classes=np.concatenate([part.classes for part in parts], axis=1),
    )
