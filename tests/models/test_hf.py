"""Real architectures of transformers, built from configurations and kept in local folders."""

import numpy as np
import pytest
import torch

from monoseme.base import MonosemeError, UsageError
from monoseme.models import CallablePreprocess, Preprocess, Tap, Tapped, load_model

transformers = pytest.importorskip("transformers", minversion="5")  # older ones name their Pillow processors otherwise

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
DINO = {"image_size": 518, "patch_size": 14, **SMALL}
DINO_PROCESSOR = {
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def bit():
    return transformers.BitImageProcessorPil(**DINO_PROCESSOR)


def vit():
    return transformers.ViTImageProcessorPil()


def clip():
    return transformers.CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})


@pytest.fixture
def folder(tmp_path):
    def make(model, processor):
        model.save_pretrained(tmp_path)
        if processor is not None:
            processor.save_pretrained(tmp_path)
        return f"hf:{tmp_path}"

    torch.manual_seed(7)
    return make


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def load(spec, **options):
    return load_model(spec, device="cpu", **options)


def images(model, batch=2):
    return torch.randn(batch, *model.input_size, generator=torch.Generator().manual_seed(1))


def test_dinov2_base_from_its_configuration():
    config = transformers.Dinov2Config(image_size=518, patch_size=14)  # the sizes of facebook/dinov2-base
    from monoseme.models import wrap

    torch.manual_seed(0)
    model = wrap(transformers.Dinov2Model(config), Preprocess.imagenet(224), device="cpu")
    assert model.default_layer() == "layernorm"
    info = model.layers()["layernorm"]
    assert (info.shape, info.layout, info.prefix_tokens, info.has_cls) == ((257, 768), "NLC", 1, True)
    assert (info.stride, info.positions) == ((14, 14), 256)
    assert model.outputs is None


@pytest.mark.parametrize(
    "architecture, default, layout, shape, prefix, has_cls",
    [
        (lambda: (transformers.Dinov2Model(transformers.Dinov2Config(**DINO)), bit()), "layernorm", "NLC", (257, 32), 1, True),
        (
            lambda: (transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**DINO)), bit()),
            "layernorm", "NLC", (261, 32), 5, True,
        ),
        (lambda: (transformers.DeiTModel(transformers.DeiTConfig(**SMALL)), vit()), "layernorm", "NLC", (198, 32), 2, True),
        (
            lambda: (
                transformers.ConvNextForImageClassification(
                    transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
                ),
                transformers.ConvNextImageProcessorPil(size={"shortest_edge": 224}),
            ),
            "convnext", "NCHW", (32, 7, 7), 0, False,
        ),
        (
            lambda: (
                transformers.SwinForImageClassification(
                    transformers.SwinConfig(embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])
                ),
                vit(),
            ),
            "swin", "NLC", (49, 96), 0, False,
        ),
        (
            lambda: (
                transformers.ResNetForImageClassification(
                    transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
                ),
                transformers.ConvNextImageProcessorPil(size={"shortest_edge": 224}),
            ),
            "resnet", "NCHW", (32, 7, 7), 0, False,
        ),
    ],
    ids=["dinov2", "dinov2-registers", "deit", "convnext", "swin", "resnet"],
)  # fmt: skip
def test_layouts_tokens_and_default_layer(folder, architecture, default, layout, shape, prefix, has_cls):
    original, processor = architecture()
    model = load(folder(original, processor))
    assert model.default_layer() == default
    info = model.layers()[default]
    assert (info.layout, info.shape, info.prefix_tokens, info.has_cls) == (layout, shape, prefix, has_cls)
    assert isinstance(model.preprocess, Preprocess)
    batch = images(model)
    original.eval()
    with torch.no_grad():
        whole = getattr(original, default)(batch) if default != "layernorm" else original(batch)
    hidden = whole.last_hidden_state
    expected = hidden[:, prefix:].mean(1) if layout == "NLC" else hidden.mean((2, 3))
    tap = Tap(default)
    # twice: an early stop must leave nothing behind in the model
    for _ in range(2):
        torch.testing.assert_close(Tapped(model, [tap], predictions=False)(batch).pooled[tap], expected)
    if model.outputs is not None:
        with torch.no_grad():
            logits = original(batch).logits
        torch.testing.assert_close(Tapped(model, [tap], predictions=True)(batch).output, logits)


def test_a_classifier_brings_the_names_of_its_classes(folder):
    config = transformers.ViTConfig(
        **SMALL, id2label={0: "cat", 1: "dog", 2: "eel"}, label2id={"cat": 0, "dog": 1, "eel": 2}
    )
    model = load(folder(transformers.ViTForImageClassification(config), vit()))
    assert model.classes == ("cat", "dog", "eel")
    assert model.outputs == 3
    assert "transformers" in model.describe()["versions"]


def test_placeholder_names_are_no_names(folder):
    config = transformers.ViTConfig(**SMALL, num_labels=4)
    assert load(folder(transformers.ViTForImageClassification(config), vit())).classes is None


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_of_an_image_text_model_the_image_side_is_loaded_with_its_weights(folder, kind):
    sides = {
        "vision_config": {**SMALL, "image_size": 64, "patch_size": 16},
        "text_config": {**SMALL, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2},
    }
    original = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**sides)).eval()
    model = load(folder(original, clip()))
    batch = images(model)
    with torch.no_grad():
        expected = original.vision_model(batch).last_hidden_state
        got = model.module(batch).last_hidden_state
    torch.testing.assert_close(got, expected)
    assert model.layers()[model.default_layer()].has_cls == (kind == "CLIP")


def test_a_checkpoint_that_lacks_weights_is_refused_instead_of_left_random(folder):
    original = transformers.Dinov2Model(transformers.Dinov2Config(**DINO))
    original.encoder.layer[2] = torch.nn.Identity()
    spec = folder(original, bit())
    with pytest.raises(MonosemeError, match=r"lacks weights of Dinov2Model .*layer\.2"):
        load(spec)


def test_half_precision_checkpoints_are_computed_in_float32(folder):
    original = transformers.Dinov2Model(transformers.Dinov2Config(**DINO)).half()
    assert load(folder(original, bit())).describe()["dtype"] == "float32"


def test_random_weights_come_from_the_configuration_and_a_fixed_seed(folder):
    spec = folder(transformers.Dinov2Model(transformers.Dinov2Config(**DINO)), bit())
    first, again, own = load(spec, weights="none"), load(spec, weights="none"), load(spec)
    assert first.weights_digest == again.weights_digest != own.weights_digest


PROCESSORS = {
    "dinov2": lambda: bit(),
    "vit": lambda: vit(),
    "deit": lambda: transformers.DeiTImageProcessorPil(),
    "clip": lambda: clip(),
    "siglip": lambda: transformers.SiglipImageProcessorPil(),
    "convnext-224": lambda: transformers.ConvNextImageProcessorPil(size={"shortest_edge": 224}),
    "convnext-384": lambda: transformers.ConvNextImageProcessorPil(size={"shortest_edge": 384}),
    "no normalisation": lambda: transformers.ViTImageProcessorPil(do_normalize=False),
    "raw pixels": lambda: transformers.ViTImageProcessorPil(do_normalize=False, do_rescale=False),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_preprocessing_equals_the_checkpoints_own(photo, name):
    from monoseme.models._loaders.hf import preprocess_of

    processor = PROCESSORS[name]()
    preprocess = preprocess_of(processor)
    assert isinstance(preprocess, Preprocess)
    for shape in ((500, 333), (367, 500), (150, 101)):
        image = photo(*shape)
        expected = processor(image, return_tensors="pt")["pixel_values"]
        made = preprocess.tensor(preprocess.pixels(image)[None])
        torch.testing.assert_close(made, expected.float(), atol=1e-5, rtol=1e-6)


def test_a_processor_of_another_kind_is_used_as_it_is(photo):
    from monoseme.models._loaders.hf import preprocess_of

    processor = transformers.EfficientNetImageProcessorPil(size={"height": 64, "width": 64}, rescale_offset=True)
    preprocess = preprocess_of(processor)
    assert isinstance(preprocess, CallablePreprocess)
    assert preprocess.picklable
    image = photo(90, 70)
    expected = processor(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(preprocess.pixels(image), expected)


def test_another_image_size_is_taken_where_the_network_allows_it(folder):
    model = load(folder(transformers.Dinov2Model(transformers.Dinov2Config(**DINO)), bit()), image_size=112)
    assert model.preprocess.resize == 128
    assert model.layers()["layernorm"].positions == 64


@pytest.mark.parametrize("spec", ["hf:no-such/model-at-all", "hf:/no/such/folder"])
def test_what_cannot_be_fetched_says_what_to_do(spec):
    with pytest.raises(MonosemeError, match=f"{spec} cannot be loaded .*connect to the network, or give a folder"):
        load(spec)


def test_a_folder_without_an_image_processor_is_refused(folder):
    spec = folder(transformers.Dinov2Model(transformers.Dinov2Config(**DINO)), None)
    with pytest.raises(MonosemeError, match=r"cannot be loaded .*preprocessor_config\.json"):
        load(spec)


def test_code_that_comes_with_a_checkpoint_is_never_run(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "code.Own"}}')
    (tmp_path / "code.py").write_text("raise SystemExit('code ran')")
    with pytest.raises(UsageError, match="comes with code of its own, which is not run"):
        load(f"hf:{tmp_path}")
