import json

import numpy as np
import pytest
import torch
from torch import nn

from monoseme.base import UsageError
from monoseme.models import Model, Preprocess, wrap

SIZE = Preprocess.imagenet(32)


def make_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


def test_a_wrapped_module_is_ready_to_be_read():
    net = make_net().train()
    model = wrap(net, SIZE, device="cpu")
    assert isinstance(model, Model)
    assert model.module is net
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert model.spec == "wrapped:Sequential"
    assert model.input_size == (3, 32, 32)
    assert model.outputs == 5
    assert model.classes is None
    assert repr(model) == "<model wrapped:Sequential: Sequential, input 3x32x32, on cpu>"
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_name_can_be_chosen():
    assert wrap(make_net(), SIZE, name="mine", device="cpu").spec == "mine"


def test_the_input_size_of_a_callable_is_found_by_trying_it():
    def function(image):
        return np.zeros((1, image.height // 20, image.width // 20), np.float32)

    model = wrap(nn.Conv2d(1, 2, 3), function, device="cpu")
    assert model.input_size == (1, 24, 32)
    assert wrap(nn.Conv2d(1, 2, 3), function, device="cpu", input_size=(1, 9, 9)).input_size == (1, 9, 9)


@pytest.mark.parametrize(
    "module, preprocess, options, message",
    [
        ("resnet", SIZE, {}, "a model is a torch.nn.Module, not a str"),
        (nn.Identity(), "imagenet", {}, "must be a monoseme Preprocess or a function"),
        (
            nn.Identity(),
            SIZE,
            {"input_size": (3, 64, 64)},
            r"input_size is \(3, 64, 64\), but the preprocessing makes \(3, 32, 32\)",
        ),
        (nn.Identity(), Preprocess(32, None, "bilinear", (0.0,) * 3, (1.0,) * 3), {}, "cannot form a batch"),
        (nn.Identity(), SIZE, {"device": "gpu0"}, "the device gpu0 cannot be used here"),
        (nn.Identity(), SIZE, {"layouts": {"x": "CHWN"}}, "unknown layout 'CHWN'"),
        (nn.LazyLinear(3), SIZE, {}, "weights without values"),
        (nn.Linear(2, 2, device="meta"), SIZE, {}, "weights without values"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_with_a_sentence(module, preprocess, options, message):
    with pytest.raises(UsageError, match=message):
        wrap(module, preprocess, **options)


def test_class_names_must_be_as_many_as_outputs():
    assert wrap(make_net(), SIZE, device="cpu", classes=list("abcde")).classes == tuple("abcde")
    with pytest.raises(UsageError, match="3 class names are given for the 5 outputs"):
        wrap(make_net(), SIZE, device="cpu", classes=list("abc")).layers()


def test_a_compiled_module_is_taken_apart_so_that_hooks_fire():
    net = make_net()
    model = wrap(torch.compile(net, backend="eager"), SIZE, device="cpu")
    assert model.module is net
    assert model.layers()["0"].calls == 1


def test_feature_extractors_have_no_outputs():
    assert wrap(nn.Conv2d(3, 4, 3), SIZE, device="cpu").outputs is None


def test_the_weights_digest_tells_weights_apart_and_nothing_else():
    digest = wrap(make_net(), SIZE, device="cpu").weights_digest
    assert digest == wrap(make_net(), SIZE, device="cpu", name="other").weights_digest
    assert digest != wrap(make_net(1), SIZE, device="cpu").weights_digest
    changed = make_net()
    changed[1].running_mean += 1  # a buffer
    assert digest != wrap(changed, SIZE, device="cpu").weights_digest
    assert digest != wrap(make_net().double(), SIZE, device="cpu").weights_digest
    assert len(digest) == 32


def test_the_weights_digest_sees_names_and_shapes():
    def digest(module):
        return wrap(module, SIZE, device="cpu").weights_digest

    square, flat, renamed = nn.Module(), nn.Module(), nn.Module()
    square.weight = nn.Parameter(torch.ones(2, 2))
    flat.weight = nn.Parameter(torch.ones(4))
    renamed.other = nn.Parameter(torch.ones(2, 2))
    assert len({digest(square), digest(flat), digest(renamed)}) == 3


def test_bfloat16_and_scalar_weights_have_a_digest():
    assert wrap(make_net().bfloat16(), SIZE, device="cpu").weights_digest


def test_describe_is_plain_json():
    described = wrap(make_net(), SIZE, device="cpu", layouts={"0": "NCHW"}, prefix_tokens=1).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["spec"] == "wrapped:Sequential"
    assert described["class"] == "torch.nn.modules.container.Sequential"
    assert described["input_size"] == [3, 32, 32]
    assert described["dtype"] == "float32"
    assert described["layouts"] == {"0": "NCHW"}
    assert described["prefix_tokens"] == 1
    assert described["versions"]["torch"] in torch.__version__
    assert Preprocess.from_description(described["preprocess"]) == SIZE


@pytest.mark.parametrize(
    "batch",
    [np.zeros((2, 3, 32, 32), np.float32), torch.zeros(3, 32, 32), torch.zeros(2, 3, 32, 32, dtype=torch.uint8)],
)
def test_what_is_no_batch_of_images_is_refused(batch):
    with pytest.raises(UsageError, match=r"floating-point \(B, C, H, W\) tensor"):
        wrap(make_net(), SIZE, device="cpu").batch(batch)


def test_a_batch_is_brought_to_the_models_number_type_and_memory_layout():
    batch = wrap(make_net().bfloat16(), SIZE, device="cpu").batch(torch.rand(2, 3, 32, 32, dtype=torch.float64))
    assert batch.dtype == torch.bfloat16
    assert batch.is_contiguous(memory_format=torch.channels_last)
