"""A network that no graph holds."""

import torch
from torch import nn


class Deciding(nn.Module):
    """Its control flow depends on values, which no graph holds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        return maps.mean((2, 3)) if maps.sum() > 0 else maps.amax((2, 3))
