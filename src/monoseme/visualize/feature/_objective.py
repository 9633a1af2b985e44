"""What images are made to maximise."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models import LayerInfo, by_position
from ._config import FeatureConfig, Size

_LEAST_COSINE = 0.1


def embeddings(output: Tensor, info: LayerInfo, resolution: Size, where: str) -> Tensor:
    """What a layer gave, at the positions that count: (B, P, C) float32."""
    if info.layout == "NC":
        return output.float()[:, None]
    grid = by_position(output, info, resolution)
    if where == "centre":
        return grid[:, grid.shape[1] // 2, grid.shape[2] // 2][:, None]
    return grid.flatten(1, 2)


def activations(found: Tensor, directions: Tensor) -> Tensor:
    """(B, P, C) embeddings, (B, C) unit directions -> (B,): the dot, averaged over positions."""
    return (found.mean(1) * directions).sum(1)


def scores(found: Tensor, directions: Tensor, config: FeatureConfig) -> Tensor:
    """(B, P, C) embeddings, (B, C) unit directions -> (B,): the objective, larger is better.

    "cosine" is Lucid's: dot * max(cosine, 0.1) ** exponent, averaged over positions (the floor keeps a gradient where an
    image starts, with a cosine below nothing).
    """
    wanted = directions * config.sign
    if config.objective == "dot":
        return activations(found, wanted)
    dots = (found @ wanted[:, :, None]).squeeze(2)
    cosines = dots / found.norm(dim=2).clamp_min(1e-6)
    weights = cosines.clamp_min(_LEAST_COSINE).pow(config.cosine_exponent)
    weighted: Tensor = (dots * weights).mean(1)
    return weighted


def similarities(found: Tensor, images: int) -> Tensor:
    """How alike each image is to the others of its direction: (B,), summed over those.

    The cosine of two images' Gram matrices of channels (Olah et al. 2017, "diversity"). Of embeddings F (P, C) that is
    |F G'|^2 / (|F F'| |G G'|), which needs no C x C matrix.

    Parameters
    ----------
    found : (B, P, C)
        Embeddings; images of a direction behind each other.
    images : int
        How many a direction has.
    """
    _, positions, channels = found.shape
    grouped = found.reshape(-1, images, positions, channels)
    if channels <= positions:
        grams = torch.einsum("rnpc,rnpd->rncd", grouped, grouped).flatten(2)
        products = grams @ grams.transpose(1, 2)
    else:
        rows = grouped.flatten(1, 2)
        dots = (rows @ rows.transpose(1, 2)).reshape(-1, images, positions, images, positions)
        products = dots.square().sum((2, 4))
    lengths = products.diagonal(dim1=1, dim2=2).clamp_min(1e-12).sqrt()
    cosines = products / (lengths[:, :, None] * lengths[:, None])
    return (cosines.sum(2) - cosines.diagonal(dim1=1, dim2=2)).flatten()
