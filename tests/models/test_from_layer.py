"""The pass from a layer on gives what the whole pass gives, and does not run what comes before the layer."""

import pytest
import torch
from tests.torchvision_shim import make_torchvision_importable
from torch import nn

import monoseme as ms
from monoseme.models import Change, FromLayer

SIZE = ms.Preprocess.imagenet(32)


def images(batch=4, seed=0, size=32):
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def both_ways(model, layer, output_of, batch):
    """Predictions from the layer on, and of the whole pass with the layer changed alike."""
    from_layer = FromLayer(model, layer)
    with torch.no_grad():
        begun = from_layer.begin(batch)
        from_layer.begin(batch.flip(0))
        found = [from_layer(begun, output_of(begun.output)) for _ in range(2)]
        with Change(model, layer, output_of):
            expected = model.module(model.batch(batch))
    torch.testing.assert_close(found[0], expected)
    assert torch.equal(found[0], found[1])
    return from_layer


class Block(nn.Module):
    """As in ResNet: one ReLU for two places, and the branch round the convolutions added in place."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.conv2(self.relu(self.conv1(x)))
        out += x
        return self.relu(out)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.blocks, self.head = (
            nn.Conv2d(3, 8, 4, stride=4),
            nn.Sequential(Block(), Block()),
            nn.Linear(8, 5),
        )
        self.ran = []
        for name, module in self.named_modules():
            module.register_forward_hook(lambda m, a, o, name=name: self.ran.append(name))

    def forward(self, x):
        x = self.stem(2 * x - 1)
        x += 1
        return self.head(self.blocks(x).mean((2, 3)))


@pytest.mark.parametrize(
    "layer",
    ["stem", "blocks.0.conv1", "blocks.0.relu", "blocks.0.conv2", "blocks.0", "blocks.1.conv1", "blocks.1.conv2", "blocks.1.relu", "blocks", "head"],
)  # fmt: skip
def test_branches_shared_modules_and_operations_in_place(layer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ms.wrap(Residual(), SIZE, device="cpu")
    assert both_ways(model, layer, lambda out: out * 0.5 + 0.3, images()).skips


def test_what_comes_before_the_layer_does_not_run():
    class Bomb(nn.Module):
        armed = False

        def forward(self, x):
            assert not Bomb.armed
            return x + 1

    model = ms.wrap(
        nn.Sequential(nn.Conv2d(3, 4, 3), Bomb(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), SIZE, device="cpu"
    )
    from_layer = FromLayer(model, "2")
    begun = from_layer.begin(images())
    Bomb.armed = True
    assert from_layer(begun, begun.output).shape == (4, 4)


class ByAttribute(nn.Module):
    """Hands a value on where no module's output shows it."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.last = nn.Conv2d(3, 4, 3), First(), nn.Identity()

    def forward(self, x):
        x = self.first(self.conv(x))
        return self.last(x).mean((2, 3)) * self.first.level[:, None]


class First(nn.Module):
    def forward(self, x):
        self.level = x.mean((1, 2, 3))
        return x.relu()


def test_where_skipping_changes_the_outcome_the_whole_pass_is_run():
    model = ms.wrap(ByAttribute(), SIZE, device="cpu")
    assert not both_ways(model, "last", lambda out: out + 1, images()).skips
    assert not model.module.last._forward_hooks


def test_tokens_and_outputs_in_tuples():
    class Pair(nn.Module):
        def forward(self, x):
            return x, None

    class Takes(nn.Module):
        def forward(self, pair):
            pair[0].add_(1)
            return pair[0].mean(1)

    net = nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.Flatten(2), nn.Linear(16, 6), Pair(), Takes())
    assert both_ways(ms.wrap(net, SIZE, device="cpu"), "3", lambda out: out - 1, images()).skips


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1.conv1"])
def test_images_of_a_batch_can_be_taken_and_repeated(layer):
    model = ms.wrap(Residual(), SIZE, device="cpu")
    from_layer = FromLayer(model, layer)
    with torch.no_grad():
        begun = from_layer.begin(images())
        some = begun.take(torch.tensor([2, 0, 2]))
        found = from_layer(some, 2 * some.output)
        torch.testing.assert_close(found, from_layer(begun, 2 * begun.output)[[2, 0, 2]])


def test_gradients_come_back_to_the_layer(small_model):
    from_layer = FromLayer(small_model, "1")
    begun = from_layer.begin(images())
    output = begun.output.requires_grad_()
    from_layer(begun, output)[:, 2].sum().backward()
    kept = small_model.module[:2](images()).detach().requires_grad_()
    small_model.module[2:](kept)[:, 2].sum().backward()
    torch.testing.assert_close(output.grad, kept.grad)


def test_the_model_itself_is_left_alone(small_model):
    before = dict(small_model.module[0].__dict__)
    from_layer = FromLayer(small_model, "3")
    begun = from_layer.begin(images())
    with torch.no_grad():
        from_layer(begun, begun.output)
    assert small_model.module[0].__dict__.keys() == before.keys()
    assert not small_model.module[3]._forward_hooks


def test_what_cannot_be_is_refused(small_model):
    with pytest.raises(ms.UsageError, match="no layer 9"):
        FromLayer(small_model, "9")
    bare = ms.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), SIZE, device="cpu")
    with pytest.raises(ms.UsageError, match="gives no predictions"):
        FromLayer(bare, "0")
    with ms.ablate(small_model, "1", 0), pytest.raises(ms.UsageError, match="in force at layer 1"):
        FromLayer(small_model, "3")
    from_layer = FromLayer(small_model, "3")
    begun = from_layer.begin(images())
    with pytest.raises(ms.UsageError, match="not \\(2, 20"):
        from_layer(begun, begun.output[:2])


@pytest.mark.parametrize("layer", ["layer3", "layer4.1.conv1", "layer4.1.bn2"])
def test_a_resnet_of_torchvision_starts_at_any_layer(layer):
    make_torchvision_importable()
    pytest.importorskip("torchvision")
    model = ms.load_model("torchvision:resnet18", weights="none", image_size=64, device="cpu")
    assert both_ways(model, layer, lambda out: out * 0.5, images(size=64)).skips
