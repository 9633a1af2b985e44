"""Real architectures of timm with random weights."""

from functools import cache

import numpy as np
import pytest
import torch

from monoseme.base import MonosemeError, UsageError
from monoseme.models import CallablePreprocess, Preprocess, Tap, Tapped, load_model
from monoseme.models._loaders.timm import _preprocess

timm = pytest.importorskip("timm")


@cache
def load(name, **options):
    options.setdefault("weights", "none")
    return load_model(f"timm:{name}", device="cpu", **options)


def images(model, batch=2):
    return torch.randn(batch, *model.input_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name, size, default, layout, shape, prefix, has_cls",
    [
        ("resnet50", 96, "layer4", "NCHW", (2048, 3, 3), 0, False),
        ("convnext_tiny", 96, "stages", "NCHW", (768, 3, 3), 0, False),
        ("swin_tiny_patch4_window7_224", None, "norm", "NHWC", (7, 7, 768), 0, False),
        ("vit_small_patch16_224", 96, "norm", "NLC", (37, 384), 1, True),
        ("deit_tiny_distilled_patch16_224", 96, "norm", "NLC", (38, 192), 2, True),
        ("vit_small_patch14_reg4_dinov2", 98, "norm", "NLC", (54, 384), 5, True),
        ("vit_small_patch16_dinov3", 96, "norm", "NLC", (41, 384), 5, True),
        ("mixer_s32_224", None, "norm", "NLC", (49, 512), 0, False),
        ("pvt_v2_b0", 96, "stages", "NCHW", (256, 3, 3), 0, False),
        ("efficientnet_lite0", 96, "bn2", "NCHW", (1280, 3, 3), 0, False),
    ],
)
def test_layouts_tokens_and_default_layer(name, size, default, layout, shape, prefix, has_cls):
    model = load(name, image_size=size)
    assert model.default_layer() == default
    info = model.layers()[default]
    assert (info.layout, info.shape, info.prefix_tokens, info.has_cls) == (layout, shape, prefix, has_cls)
    assert info.positions == (info.stride and (model.input_size[1] // info.stride[0]) ** 2)
    # what timm itself returns as features is what the default layer gives
    batch = images(model)
    with torch.no_grad():
        features = model.module.forward_features(batch)
    over = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}[layout]
    features = features[:, prefix:] if layout == "NLC" else features
    pooled = Tapped(model, [Tap(default)], predictions=False)(batch).pooled[Tap(default)]
    torch.testing.assert_close(pooled, features.mean(over), rtol=1e-4, atol=1e-5)


def test_patch_embeddings_have_no_class_token_yet():
    info = load("vit_small_patch16_224", image_size=96).layers()["patch_embed"]
    assert (info.shape, info.prefix_tokens, info.has_cls) == ((36, 384), 0, False)


def test_windows_and_token_mixing_say_why_they_cannot_be_read():
    swin = load("swin_tiny_patch4_window7_224").layers()
    assert "works on windows" in swin["layers.0.blocks.0.attn"].unusable
    mixer = load("mixer_s32_224").layers()
    assert "channels x tokens" in mixer["blocks.0.mlp_tokens"].unusable


def test_stopping_early_in_a_transformer_and_reading_several_blocks_of_it():
    model = load("vit_small_patch16_224", image_size=96)
    names = model.resolve(["blocks.[02]", "blocks.1.mlp"])
    assert names == ("blocks.0", "blocks.1.mlp", "blocks.2")
    taps = [Tap(name, pooling) for name in names for pooling in ("mean", "max", "cls")]
    stopped, whole = (Tapped(model, taps, predictions=wanted)(images(model)) for wanted in (False, True))
    assert stopped.output is None
    assert whole.output.shape == (2, 1000)
    for tap in taps:
        assert torch.equal(stopped.pooled[tap], whole.pooled[tap])


def test_a_model_without_a_classifier_gives_no_predictions_but_is_read_all_the_same():
    model = load("vit_small_patch14_reg4_dinov2", image_size=98)
    assert model.outputs is None
    assert model.classes is None
    assert Tapped(model, [Tap("norm", "cls")], predictions=True)(images(model)).output is None


def test_classes_are_imagenets():
    classes = load("resnet18", image_size=64).classes
    assert len(classes) == 1000
    assert "banana" in classes[954]


@pytest.mark.parametrize(
    "name",
    [
        "resnet50.a1_in1k",
        "vit_base_patch16_224",
        "swin_tiny_patch4_window7_224",
        "convnext_tiny.in12k_ft_in1k",
        "efficientnet_b3",
        "inception_v3",
        "eva02_base_patch14_448",
        "vit_base_patch16_clip_224.openai",
        "caformer_s18",
    ],
)
@pytest.mark.parametrize("size", [None, 160])
def test_preprocessing_equals_timms_own_transform(photo, name, size):
    config = timm.data.resolve_data_config(pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict())
    preprocess = _preprocess(timm, config, size)
    assert isinstance(preprocess, Preprocess)
    if size is not None:
        config = {**config, "input_size": (3, size, size)}
    own = timm.data.create_transform(**config)
    for shape in ((500, 333), (333, 500), (150, 100)):
        image = photo(*shape)
        made = preprocess.tensor(preprocess.pixels(image)[None])[0]
        torch.testing.assert_close(made, own(image), atol=3e-6, rtol=0)


def test_a_transform_that_cannot_be_said_in_sizes_is_used_as_it_is(photo):
    config = {
        "input_size": (3, 64, 64),
        "interpolation": "bicubic",
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "crop_pct": 0.9,
        "crop_mode": "border",
    }
    preprocess = _preprocess(timm, config, None)
    assert isinstance(preprocess, CallablePreprocess)
    assert preprocess.picklable
    image = photo(90, 50)
    np.testing.assert_array_equal(preprocess.pixels(image), timm.data.create_transform(**config)(image).numpy())
    assert _preprocess(timm, config, 32).pixels(image).shape == (3, 32, 32)


def test_local_weights_are_loaded(tmp_path):
    torch.manual_seed(4)
    state = timm.create_model("resnet18").state_dict()
    torch.save(state, tmp_path / "weights.pt")
    assert torch.equal(load("resnet18", weights=str(tmp_path / "weights.pt")).module.fc.weight, state["fc.weight"])


def test_without_a_network_the_sentence_says_what_to_do(monkeypatch):
    def unreachable(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        MonosemeError, match=r'weights of timm:resnet18 could not be fetched .*no route.*weights="none"'
    ):
        load("resnet18", weights=None)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError, match="timm has no model resnet5o; did you mean"):
        load("resnet5o")
