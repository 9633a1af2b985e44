import pytest
import torch
from torch import nn

from monoseme.base import MonosemeError, UsageError
from monoseme.models import Preprocess, wrap

SIZE = Preprocess.imagenet(32)


def wrapped(module, **options):
    return wrap(module, SIZE, device="cpu", **options)


class Net(nn.Module):
    """Branches, a module called twice, one never called, and outputs of many kinds."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.shared = nn.Conv2d(8, 8, 3, 1, 1)
        self.never = nn.Linear(3, 3)
        self.pair = Gives(lambda maps: (None, maps + 1, maps + 2))
        self.mapping = Gives(lambda maps: {"other": maps, "last_hidden_state": maps.flatten(2).mT})
        self.nothing = Gives(lambda maps: "text")
        self.numbers = Gives(lambda maps: maps.argmax(1))
        self.windows = Gives(lambda maps: maps.reshape(-1, 64, 8))
        self.sequence_first = Gives(lambda maps: maps.flatten(2).permute(2, 0, 1))
        self.five = Gives(lambda maps: maps[:, :, None])
        self.empty = Gives(lambda maps: maps[:, :0])
        self.heads = Gives(lambda maps: maps.reshape(len(maps), 8, 4, 64))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        maps = self.shared(self.shared(self.stem(images)))
        for module in (self.mapping, self.nothing, self.numbers, self.windows):
            module(maps)
        for module in (self.sequence_first, self.five, self.empty, self.heads):
            module(maps)
        return self.head(self.pool(self.pair(maps)[1]).flatten(1))


class Gives(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, maps):
        return self.function(maps)


@pytest.fixture(scope="module")
def net():
    return wrapped(Net())


def test_layers_come_in_the_order_in_which_they_finish(net):
    names = list(net.layers())
    assert names[:5] == ["stem.0", "stem.1", "stem", "shared", "mapping"]
    assert names[-2:] == ["head", "never"]
    assert [info.order for info in net.layers().values()] == list(range(len(names)))


def test_a_layer_is_described_by_shape_channels_and_stride(net):
    stem = net.layers()["stem"]
    assert (stem.kind, stem.shape, stem.layout, stem.channels) == ("Sequential", (8, 16, 16), "NCHW", 8)
    assert (stem.stride, stem.calls, stem.positions) == ((2, 2), 1, 256)
    head = net.layers()["head"]
    assert (head.layout, head.channels, head.stride, head.positions) == ("NC", 5, None, 1)


def test_calls_are_counted(net):
    assert net.layers()["shared"].calls == 2
    assert net.layers()["never"].calls == 0


def test_the_first_tensor_of_a_tuple_and_the_last_hidden_state_of_a_mapping_stand_for_the_output(net):
    assert net.layers()["pair"].shape == (8, 16, 16)
    mapping = net.layers()["mapping"]
    assert (mapping.shape, mapping.layout, mapping.prefix_tokens) == ((256, 8), "NLC", 0)


@pytest.mark.parametrize(
    "name, reason",
    [
        ("never", "never calls it"),
        ("nothing", "not a tensor"),
        ("numbers", "int64, not floating point"),
        ("windows", "gives 8 items for 2 images"),
        ("sequence_first", "gives 256 items for 2 images"),
        ("five", "has 5 dimensions"),
        ("empty", "empty"),
        ("heads", "does not look like a feature map; state its layout"),
    ],
)
def test_a_layer_that_cannot_be_read_says_why(net, name, reason):
    assert reason in net.layers()[name].unusable
    with pytest.raises(UsageError, match=f"layer {name} of wrapped:Net cannot be read: .*{reason}"):
        net.resolve([name])


def test_the_default_is_the_last_layer_with_positions(net):
    assert net.default_layer() == "pair"


def test_what_only_hands_on_its_input_is_no_default():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.Dropout2d(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert wrapped(net).default_layer() == "0"


def test_a_model_without_positions_has_no_default():
    with pytest.raises(MonosemeError, match="name a layer"):
        wrapped(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))).default_layer()


def test_names_and_globs_resolve_to_the_order_of_execution_without_repeats(net):
    assert net.resolve(["head", "stem*", "stem.0"]) == ("stem.0", "stem.1", "stem", "head")
    assert net.resolve(["stem.[01]"]) == ("stem.0", "stem.1")
    assert net.resolve("head") == ("head",)


def test_a_glob_leaves_out_what_cannot_be_read(net):
    assert net.resolve(["[hn]e*"]) == ("head",)
    with pytest.raises(UsageError, match="layer never of wrapped:Net cannot be read"):
        net.resolve(["neve*"])


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("Stem", "has no layer Stem; did you mean stem"),
        ("stem.9*", "has no layer that matches stem.9"),
        ("xyz", "has no layer xyz \\(`monoseme layers"),
    ],
)
def test_an_unknown_layer_gets_a_suggestion(net, pattern, message):
    with pytest.raises(UsageError, match=message):
        net.resolve([pattern])


def test_a_stated_layout_wins_and_makes_unclear_layers_usable():
    model = wrapped(Net(), layouts={"heads": "NHWC", "stem*": "NHWC"})
    heads, stem = model.layers()["heads"], model.layers()["stem.0"]
    assert (heads.layout, heads.channels, heads.unusable) == ("NHWC", 64, None)
    assert (stem.layout, stem.channels) == ("NHWC", 16)


@pytest.mark.parametrize(
    "layouts, message",
    [
        ({"stem": "NCWH"}, "unknown layout 'NCWH' for stem; did you mean NCHW"),
        ({"steam": "NCHW"}, "no such layer; did you mean stem"),
        ({"head": "NCHW"}, "head cannot have the layout NCHW: its output is NC, 5 an image"),
        ({"windows": "NLC"}, "windows cannot have the layout NLC: it gives 8 items"),
        ({"never": "NC"}, "never cannot have the layout NC: the forward pass never"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(layouts, message):
    with pytest.raises(UsageError, match=message):
        wrapped(Net(), layouts=layouts).layers()


class Transformer(nn.Module):
    def __init__(self, prefix, patch=8, width=16):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.front = nn.Parameter(torch.randn(1, prefix, width))
        self.block = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).mT
        tokens = torch.cat([self.front.expand(len(tokens), -1, -1), tokens], 1)
        return self.norm(self.block(tokens))[:, 0]


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_before_the_patches_are_found_by_the_patch_grid(prefix):
    model = wrapped(Transformer(prefix))
    norm = model.layers()["norm"]
    assert (norm.layout, norm.channels, norm.stride, norm.positions) == ("NLC", 16, (8, 8), 16)
    assert (norm.prefix_tokens, norm.has_cls) == (prefix, prefix > 0)
    assert model.default_layer() == "norm"


def test_a_stated_number_of_prefix_tokens_is_believed():
    norm = wrapped(Transformer(3), prefix_tokens=2).layers()["norm"]
    assert (norm.prefix_tokens, norm.positions) == (2, 17)
    with pytest.raises(UsageError, match="cannot be -1"):
        wrapped(Transformer(3), prefix_tokens=-1)


def test_a_failing_dry_run_names_the_image_size():
    with pytest.raises(
        MonosemeError, match=r"wrapped:Sequential does not take images of 3x32x32: .*give the image size"
    ):
        wrapped(nn.Sequential(nn.Flatten(), nn.Linear(10, 2))).layers()


def test_the_dry_run_leaves_no_hooks_and_no_trace_in_the_random_numbers():
    model = wrapped(Net())
    before = torch.get_rng_state()
    model.layers()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module._forward_hooks for module in model.module.modules())


def test_hooks_are_removed_when_the_dry_run_fails():
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Linear(7, 2))
    with pytest.raises(MonosemeError):
        wrapped(module).layers()
    assert not any(inner._forward_hooks for inner in module.modules())


def test_what_a_module_caches_in_the_dry_run_can_still_be_differentiated():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)
            self.cache = None

        def forward(self, images):
            if self.cache is None:
                self.cache = torch.ones(1)
            return self.conv(images) * self.cache

    model = wrapped(Caching())
    model.layers()
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    model.module(images).sum().backward()
    assert images.grad is not None


def test_modules_that_reshape_with_view_are_run_in_the_usual_memory_layout():
    class View(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(4 * 30 * 30, 5)

        def forward(self, images):
            return self.head(self.conv(images).view(len(images), -1))

    model = wrapped(View())
    assert model.outputs == 5
    assert model.batch(torch.rand(2, 3, 32, 32)).is_contiguous()
    assert model.module.conv.weight.is_contiguous()
