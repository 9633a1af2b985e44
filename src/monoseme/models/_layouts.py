"""Where the channels and the positions of a layer's output are: feature maps (NCHW, NHWC) and tokens (NLC).

Nothing in a tensor says so. It follows from what the positions must be: a grid in the proportions of the input image, or as
many tokens as a grid has cells, with class and register tokens in front.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

Grid = tuple[int, int]

# A class token and seven registers; a sequence that is further from a grid than that holds something else than patches.
_MOST_PREFIX_TOKENS = 8

# What implementations call the parameters of the tokens that they put in front of the patches.
_CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
_MORE_TOKENS = ("dist_token", "distillation_token")
_REGISTERS = ("reg_token", "register_tokens", "reg_tokens", "storage_tokens")


@dataclass(frozen=True)
class TokenFacts:
    """What is known of a model's token sequences before any is seen."""

    prefix: int | None = None
    """Tokens in front of the patch tokens; None when the model does not say."""
    has_cls: bool | None = None
    """Whether the first of them is a class token; None when the model does not say."""
    stated: bool = False
    """Whether the user said so, which counts more than any guess."""


def token_facts(module: nn.Module, stated_prefix: int | None) -> TokenFacts:
    """What a model's attributes (timm) and parameter names (transformers, torchvision) say of its tokens."""
    names = {name.rpartition(".")[2]: parameter for name, parameter in module.named_parameters()}
    has_cls = any(name in names for name in _CLASS_TOKENS)
    if stated_prefix is not None:
        return TokenFacts(stated_prefix, stated_prefix > 0 and (has_cls or _says_nothing(names)), stated=True)
    for inner in module.modules():
        prefix = getattr(inner, "num_prefix_tokens", None)
        if isinstance(prefix, int):
            return TokenFacts(prefix, has_cls)
    registers = sum(names[name].shape[-2] for name in _REGISTERS if name in names and names[name].ndim >= 2)
    prefix = has_cls + sum(name in names for name in _MORE_TOKENS) + registers
    return TokenFacts(prefix, has_cls) if prefix else TokenFacts()


def _says_nothing(names: dict[str, nn.Parameter]) -> bool:
    return not any(name in names for name in (*_MORE_TOKENS, *_REGISTERS))


def map_layout(shape: Sequence[int], input_size: Grid, module: nn.Module) -> str | None:
    """Tell "NCHW" from "NHWC" for a map of shape (a, b, c) without the batch, or None when it looks like neither.

    >>> map_layout((768, 7, 7), (224, 224), nn.Identity()), map_layout((7, 7, 768), (224, 224), nn.Identity())
    ('NCHW', 'NHWC')
    """
    a, b, c = shape
    first, last = _misfit((b, c), input_size), _misfit((a, b), input_size)
    if first != last:
        return "NCHW" if first < last else "NHWC"
    inner = tuple(module.modules())
    if any(isinstance(part, _ConvNd | _BatchNorm) for part in inner):
        return "NCHW"
    if math.isinf(first):
        return None
    for part in inner:
        if isinstance(part, nn.LayerNorm) and part.normalized_shape[-1] == c:
            return "NHWC"
        if isinstance(part, nn.Linear) and part.out_features == c:
            return "NHWC"
    return "NCHW"


def token_prefix(tokens: int, facts: TokenFacts, grids: Sequence[Grid], input_size: Grid) -> tuple[int, Grid | None]:
    """(tokens before the patch tokens, grid of the patch tokens or None when they form none).

    `grids` are the sizes of the maps seen so far: the patch embedding's tells how many tokens are patches. Without one, the
    tokens are taken for the largest grid in the input's proportions.

    >>> token_prefix(197, TokenFacts(), [(14, 14)], (224, 224))
    (1, (14, 14))
    >>> token_prefix(196, TokenFacts(prefix=1), [(14, 14)], (224, 224))
    (0, (14, 14))
    """
    for prefix in (facts.prefix, 0) if facts.prefix is not None else range(_MOST_PREFIX_TOKENS + 1):
        for grid in reversed(grids):
            if math.prod(grid) > 1 and tokens - math.prod(grid) == prefix:
                return prefix, grid
    if facts.prefix is not None:
        # before the class token is put in front, a sequence holds patches alone
        for prefix in (facts.prefix,) if facts.stated else (facts.prefix, 0):
            grid = _largest_grid(tokens - prefix, input_size)
            if math.prod(grid) == tokens - prefix:
                return prefix, grid
        return (facts.prefix if facts.prefix < tokens else 0), None
    grid = _largest_grid(tokens, input_size)
    prefix = tokens - math.prod(grid)
    return (prefix, grid) if prefix <= _MOST_PREFIX_TOKENS else (0, None)


def tokens_are_last(shape: Sequence[int], facts: TokenFacts, grids: Sequence[Grid]) -> bool:
    """Whether (a, b) without the batch holds channels x tokens, as inside an MLP-Mixer's token mixing."""
    cells = {math.prod(grid) for grid in grids} - {1}
    rows_are_tokens = any(0 <= shape[0] - count <= _MOST_PREFIX_TOKENS for count in cells)
    columns_are_tokens = any(shape[1] - count in (0, facts.prefix) for count in cells)
    return columns_are_tokens and not rows_are_tokens


def _misfit(grid: Grid, input_size: Grid) -> float:
    """How many cells a grid is off the proportions of the input; infinite when it is no reduced image of it."""
    (height, width), (full_height, full_width) = grid, input_size
    if height > full_height or width > full_width:
        return math.inf
    off = abs(height * full_width - width * full_height) / max(full_height, full_width)
    return off if off <= 1 else math.inf


def _largest_grid(cells: int, input_size: Grid) -> Grid:
    return max(_grids(max(cells, 1), input_size), key=math.prod)


def _grids(cells: int, input_size: Grid) -> Iterator[Grid]:
    yield 1, 1
    full_height, full_width = input_size
    for height in range(1, math.isqrt(cells * full_height // full_width) + 2):
        width = max(round(height * full_width / full_height), 1)
        if height * width <= cells:
            yield height, width
