"""Reading a layer at every position, with gradients."""

import numpy as np
import pytest
import torch
from torch import nn

import monoseme as ms
from monoseme.models import LayerInfo, Tap, Tapped, ToLayer, by_position


def test_positions_average_to_what_embed_keeps(small_model):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    to_layer = ToLayer(small_model, "3")
    with torch.inference_mode():
        grid = by_position(to_layer(images), to_layer.info)
    pooled = Tapped(small_model, [Tap("3")], predictions=False)(images).pooled[Tap("3")]
    torch.testing.assert_close(grid.mean((1, 2)), pooled)


def test_gradients_reach_the_images_and_the_pass_ends_at_the_layer():
    class Bomb(nn.Module):
        def forward(self, x):
            if x.shape[-1] == 30 and self.armed:
                raise RuntimeError("never reached")
            return x

    bomb = Bomb()
    bomb.armed = False
    model = ms.wrap(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), bomb), ms.Preprocess.imagenet(32), device="cpu"
    )
    to_layer = ToLayer(model, "0")
    bomb.armed = True
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    to_layer(images)[:, 1].sum().backward()
    expected = model.module[0].weight[1].sum((1, 2))
    torch.testing.assert_close(images.grad[0, :, 10, 10], expected)
    assert not model.module[0]._forward_hooks


def test_other_sizes_of_images_are_read_as_well(small_model):
    to_layer = ToLayer(small_model, "1")
    with torch.inference_mode():
        assert by_position(to_layer(torch.rand(1, 3, 32, 64)), to_layer.info).shape == (1, 14, 30, 12)


@pytest.mark.parametrize(
    ("layout", "shape", "size", "expected"),
    [
        ("NCHW", (2, 5, 3, 4), None, (2, 3, 4, 5)),
        ("NHWC", (2, 3, 4, 5), None, (2, 3, 4, 5)),
        ("NLC", (2, 1 + 9, 5), None, (2, 3, 3, 5)),
        ("NLC", (2, 1 + 8, 5), (64, 32), (2, 4, 2, 5)),
    ],
)
def test_every_layout_becomes_a_grid_of_embeddings(layout, shape, size, expected):
    info = LayerInfo("x", "Module", shape[1:], layout, 5, prefix_tokens=1)
    assert by_position(torch.zeros(shape), info, size).shape == expected


def test_tokens_keep_their_order():
    info = LayerInfo("x", "Module", (7, 1), "NLC", 1, prefix_tokens=1)
    grid = by_position(torch.arange(7.0).reshape(1, 7, 1), info, (32, 48))
    np.testing.assert_array_equal(grid[0, :, :, 0], [[1, 2, 3], [4, 5, 6]])


def test_layers_without_positions_are_refused(small_model):
    with pytest.raises(ms.UsageError, match="no positions"):
        by_position(torch.zeros(2, 5), LayerInfo("x", "Linear", (5,), "NC", 5))
    with pytest.raises(ms.UsageError, match="form no grid"):
        by_position(torch.zeros(2, 7, 5), LayerInfo("x", "Module", (7, 5), "NLC", 5))
    with pytest.raises(ms.UsageError, match="no layer"):
        ToLayer(small_model, "99")
    with pytest.raises(ms.UsageError, match="name one layer"):
        ToLayer(small_model, "[13]")
