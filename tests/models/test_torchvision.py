"""Real architectures of torchvision with random weights."""

import urllib.error
from functools import cache

import pytest
import torch

from monoseme.base import MonosemeError, UsageError
from monoseme.models import Tap, Tapped, load_model

torchvision = pytest.importorskip("torchvision")
from torchvision.models.feature_extraction import create_feature_extractor  # noqa: E402


@cache
def load(name, **options):
    options.setdefault("weights", "none")
    return load_model(f"torchvision:{name}", device="cpu", **options)


def images(model, batch=2):
    return torch.randn(batch, *model.input_size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def inception():
    return load("inception_v3")


def test_inception_v3_is_read_at_mixed_7b_with_2048_channels(inception):
    layers = inception.layers()
    assert inception.input_size == (3, 299, 299)
    assert (layers["Mixed_7b"].channels, layers["Mixed_7b"].shape) == (2048, (2048, 8, 8))
    assert inception.default_layer() == "Mixed_7c"
    assert "never calls it" in layers["AuxLogits"].unusable
    assert inception.module.transform_input  # as its ImageNet weights want it
    assert inception.outputs == len(inception.classes) == 1000
    assert inception.classes[954] == "banana"


def test_several_layers_of_inception_in_one_pass_equal_torchvisions_own_extractor(inception):
    names = inception.resolve(["Mixed_7b", "Mixed_6e", "maxpool1", "Mixed_5*.branch1x1.conv"])
    assert len(names) == 6
    batch = images(inception)
    got = Tapped(inception, [Tap(name) for name in names], predictions=True)(batch)
    extractor = create_feature_extractor(inception.module, [*names, "fc"], suppress_diff_warning=True)
    with torch.no_grad():
        expected = extractor(batch)
    for name in names:
        torch.testing.assert_close(got.pooled[Tap(name)], expected[name].mean((2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(got.output, expected["fc"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name, default, kind, channels, stride",
    [
        ("resnet50", "layer4", "NCHW", 2048, 32),
        ("googlenet", "inception5b", "NCHW", 1024, 32),
        ("convnext_tiny", "features", "NCHW", 768, 32),
        ("swin_t", "permute", "NCHW", 768, 32),
        ("densenet121", "features", "NCHW", 1024, 32),
        ("mobilenet_v3_small", "features", "NCHW", 576, 32),
    ],
)
def test_the_default_layer_is_the_last_with_positions(name, default, kind, channels, stride):
    model = load(name, image_size=96)
    assert model.default_layer() == default
    info = model.layers()[default]
    assert (info.layout, info.channels, info.stride) == (kind, channels, (stride, stride))
    got = Tapped(model, [Tap(default)], predictions=True)(images(model))
    assert got.pooled[Tap(default)].shape == (2, channels)
    assert got.output.shape == (2, 1000)


def test_convnext_has_layers_of_both_layouts_and_swin_channels_last():
    convnext, swin = load("convnext_tiny", image_size=96).layers(), load("swin_t", image_size=96).layers()
    assert (convnext["features.1.0.block.3"].layout, convnext["features.1.0.block.3"].shape) == ("NHWC", (24, 24, 384))
    assert (convnext["features.1.0"].layout, convnext["features.1.0"].channels) == ("NCHW", 96)
    assert (swin["features.5"].layout, swin["features.5"].shape) == ("NHWC", (6, 6, 384))


def test_vit_is_read_by_patch_tokens_or_by_its_class_token():
    model = load("vit_b_32")
    assert model.default_layer() == "encoder"
    info = model.layers()["encoder"]
    assert (info.shape, info.layout, info.prefix_tokens, info.has_cls, info.stride) == (
        (50, 768),
        "NLC",
        1,
        True,
        (32, 32),
    )
    batch, seen = images(model), []
    handle = model.module.encoder.register_forward_hook(lambda module, args, output: seen.append(output))
    got = Tapped(model, [Tap("encoder"), Tap("encoder", "cls")], predictions=True)(batch)
    handle.remove()
    torch.testing.assert_close(got.pooled[Tap("encoder")], seen[0][:, 1:].mean(1))
    torch.testing.assert_close(got.pooled[Tap("encoder", "cls")], seen[0][:, 0])


@pytest.mark.parametrize(
    "name", ["inception_v3", "resnet50", "vit_b_16", "efficientnet_b1", "swin_v2_t", "regnet_y_16gf"]
)
def test_preprocessing_equals_the_weights_own_transforms(photo, monkeypatch, name):
    weights = torchvision.models.get_model_weights(name).DEFAULT
    # the preprocessing does not depend on the network, so none is built
    monkeypatch.setattr(torchvision.models, "get_model", lambda *args, **options: torch.nn.Identity())
    preprocess = load.__wrapped__(name).preprocess
    for shape in ((500, 333), (333, 500), (200, 100)):
        image = photo(*shape)
        made = preprocess.tensor(preprocess.pixels(image)[None])[0]
        torch.testing.assert_close(made, weights.transforms()(image), atol=3e-6, rtol=0)


def test_without_a_network_the_sentence_says_what_to_do(monkeypatch):
    def unreachable(*args, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(
        MonosemeError, match=r"weights of torchvision:resnet18 could not be fetched .*no route.*weights=PATH"
    ):
        load("resnet18", weights=None)


def test_downloaded_weights_are_loaded_by_name(monkeypatch):
    torch.manual_seed(3)
    state = torchvision.models.resnet18().state_dict()
    urls = []
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda url, *args, **options: urls.append(url) or state
    )
    for weights in (None, "IMAGENET1K_V1"):
        assert torch.equal(load.__wrapped__("resnet18", weights=weights).module.fc.weight, state["fc.weight"])
    assert len(urls) == 2


@pytest.mark.parametrize("name, prefix", [("inception_v3", "AuxLogits."), ("googlenet", "aux")])
@pytest.mark.parametrize("keep", [True, False])
def test_local_weights_may_have_auxiliary_classifiers_or_not(tmp_path, name, prefix, keep):
    state = torchvision.models.get_model(name, init_weights=False, aux_logits=True).state_dict()
    state = {key: tensor for key, tensor in state.items() if keep or not key.startswith(prefix)}
    torch.save(state, tmp_path / "weights.pt")
    model = load(name, weights=str(tmp_path / "weights.pt"))
    assert torch.equal(model.module.fc.weight, state["fc.weight"])
    assert model.module.transform_input
    assert model.outputs == 1000


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("resnet5", {}, "no image classifier resnet5; did you mean resnet50"),
        ("fasterrcnn_resnet50_fpn", {}, "no image classifier fasterrcnn"),
        ("resnet18", {"weights": "IMAGENET1K_V9"}, "no file IMAGENET1K_V9, nor has resnet18 such a set of weights"),
    ],
)
def test_what_torchvision_does_not_have_is_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        load(name, **options)


def test_a_size_that_the_network_cannot_take_is_named():
    with pytest.raises(
        MonosemeError, match=r"torchvision:vit_b_32 does not take images of 3x160x160: .*give the image size"
    ):
        load("vit_b_32", image_size=160).layers()
