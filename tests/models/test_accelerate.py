"""Faster backends give what taps give, or are refused."""

from __future__ import annotations

import sys

import pytest
import torch
from tests.deciding import Deciding
from torch import nn

from monoseme import UsageError
from monoseme.models import Model, NotAccelerated, Preprocess, Tap, Tapped, chosen, disagreement, graphs, wrap


class Branching(nn.Module):
    """Folded, in place, twice called, with a branch that is not wanted behind the last wanted layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.again = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.act(self.norm(self.conv(images)))
        maps = maps + self.act(self.again(self.again(maps)))
        return self.head(maps.mean((2, 3)))


def model_of(module: nn.Module) -> Model:
    torch.manual_seed(3)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.2)
    return wrap(module, Preprocess.imagenet(16), device="cpu")


TAPS = [Tap("norm"), Tap("again", "max"), Tap("conv"), Tap("act")]


@pytest.mark.parametrize("predictions", [True, False])
def test_openvino_reads_the_same_layers_poolings_and_outputs_as_hooks(predictions: bool) -> None:
    model = model_of(Branching())
    images = torch.rand(4, 3, 16, 16)
    expected = Tapped(model, TAPS, predictions=predictions)(images)
    for graph in graphs(model, TAPS, 4, "openvino", predictions=predictions):
        got = graph(images)
        assert list(got.pooled) == TAPS
        for tap in TAPS:
            torch.testing.assert_close(got.pooled[tap], expected.pooled[tap], rtol=1e-4, atol=1e-5)
        if predictions:
            torch.testing.assert_close(got.output, expected.output, rtol=1e-4, atol=1e-5)
        else:
            assert got.output is None


def test_a_batch_that_is_not_full_gives_the_rows_of_a_full_one() -> None:
    model = model_of(Branching())
    images = torch.rand(4, 3, 16, 16)
    graph = graphs(model, TAPS, 4, "openvino", predictions=True)[0]
    whole, part = graph(images), graph(images[:3])
    assert torch.equal(part.pooled[TAPS[0]], whole.pooled[TAPS[0]][:3])
    assert torch.equal(part.output, whole.output[:3])


def test_an_answer_is_not_overwritten_by_the_next_batch() -> None:
    model = model_of(Branching())
    graph = graphs(model, TAPS, 2, "openvino", predictions=True)[0]
    first = graph(torch.rand(2, 3, 16, 16))
    kept = first.pooled[TAPS[0]].clone()
    graph(torch.rand(2, 3, 16, 16))
    assert torch.equal(first.pooled[TAPS[0]], kept)


def test_a_model_that_no_graph_holds_is_refused_with_a_sentence() -> None:
    with pytest.raises(NotAccelerated, match=r"openvino does not take .*; use --accelerate off"):
        graphs(model_of(Deciding()), [Tap("conv")], 2, "openvino", predictions=True)


def test_disagreement_is_the_largest_relative_difference_of_all_that_is_read() -> None:
    model = model_of(Branching())
    images = torch.rand(4, 3, 16, 16)
    reference = Tapped(model, TAPS, predictions=True)(images)
    assert disagreement(reference, reference) == 0
    with torch.no_grad():
        model.module.head.weight.mul_(1.01)
        model.module.head.bias.mul_(1.01)
    assert disagreement(Tapped(model, TAPS, predictions=True)(images), reference) == pytest.approx(0.01, rel=1e-3)


def test_auto_takes_openvino_only_where_it_is_installed_and_worth_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(Branching())
    assert chosen("auto", model, 100_000) == "openvino"
    assert chosen("auto", model, 100) == "off"
    monkeypatch.setattr("monoseme.models._accelerate.find_spec", lambda name: None)
    assert chosen("auto", model, 100_000) == "off"
    with pytest.raises(UsageError, match=r"pip install 'monoseme\[openvino\]'"):
        graphs(model, TAPS, 4, "openvino", predictions=True)


def test_an_unknown_acceleration_is_named_with_its_neighbour() -> None:
    with pytest.raises(UsageError, match="did you mean openvino"):
        chosen("openvinoo", model_of(Branching()), 1)


def test_openvino_is_imported_without_its_telemetry() -> None:
    graphs(model_of(Branching()), TAPS, 1, "openvino", predictions=False)
    assert "openvino_telemetry.backend" not in sys.modules
