"""A model and a preprocessing of one's own: any module, any function from a picture to a tensor."""

import sys

import numpy as np
import torch
from PIL import Image
from torch import nn

import monoseme as ms


def preprocess(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((48, 48)), dtype=np.float32).transpose(2, 0, 1) / 255


def main(photos: str, out: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
    )
    net(torch.zeros(1, 3, 48, 48))
    model = ms.wrap(net, preprocess, input_size=(3, 48, 48))
    print(*(f"{info.name}: {info.kind} {info.shape}" for info in model.layers().values()), sep="\n")
    run = ms.embed(model, photos, ["1", "3"], out)
    bank = ms.disentangle(run.activations("3"), top=min(50, len(run) // 2))
    print(run, bank, bank.histogram(), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
