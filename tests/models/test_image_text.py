"""Encoders of images and texts, built from small configurations and kept in local folders."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import monoseme as ms
from monoseme.models import load_encoder

TEXTS = ["a dog", "two cats", "zebra"]
SIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TOKENS = {"max_position_embeddings": 16, "vocab_size": 600, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def tokenizer():
    """A few letters, as CLIP's tokens begin and end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "<start>": 1, "<end>": 2, "<unk>": 3}
    vocabulary |= {letter: 4 + place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<start>", eos_token="<end>", pad_token="<pad>", unk_token="<unk>"
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory, tokenizer):
    """(folder, module, processor) of a small CLIP with random weights."""
    import transformers

    torch.manual_seed(3)
    config = transformers.CLIPConfig(
        vision_config={**SIDE, "image_size": 32, "patch_size": 8}, text_config={**SIDE, **TOKENS}, projection_dim=24
    )
    module = transformers.CLIPModel(config).eval()
    processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    folder = tmp_path_factory.mktemp("clip")
    for part in (module, processor, tokenizer):
        part.save_pretrained(folder)
    return folder, module, processor


def pictures():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 56, 3), dtype=np.uint8)) for _ in range(3)]


def through(encoder, images):
    from monoseme.models import Tap, Tapped

    model = encoder.model
    tap = Tap(encoder.layer)
    pixels = np.stack([model.preprocess.pixels(image) for image in images])
    return Tapped(model, [tap], predictions=False)(model.preprocess.tensor(pixels)).pooled[tap].cpu().numpy()


def test_both_sides_of_a_clip_of_transformers_are_its_own(clip, tokenizer):
    folder, module, processor = clip
    encoder = load_encoder(f"hf:{folder}", device="cpu")
    with torch.inference_mode():
        tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
        found = module(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            **processor(pictures(), return_tensors="pt"),
        )
    texts = encoder.texts(TEXTS)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    np.testing.assert_allclose(texts, found.text_embeds.numpy(), atol=1e-5)
    images = through(encoder, pictures())
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    np.testing.assert_allclose(images, found.image_embeds.numpy(), atol=1e-5)


def test_both_sides_of_an_open_clip_model_are_its_own(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(5)
    module = open_clip.CLIP(
        24, open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**config["text_cfg"])
    )
    save_file(module.state_dict(), tmp_path / "open_clip_model.safetensors")
    level = logging.root.level
    encoder = load_encoder(f"open_clip:{tmp_path}", device="cpu")
    assert logging.root.level == level
    module.eval()
    tokens = open_clip.get_tokenizer("ViT-B-32", context_length=16)(TEXTS)
    with torch.inference_mode():
        np.testing.assert_allclose(encoder.texts(TEXTS), module.encode_text(tokens).numpy(), atol=1e-5)
        pixels = np.stack([encoder.model.preprocess.pixels(image) for image in pictures()])
        expected = module.encode_image(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(through(encoder, pictures()), expected, atol=1e-5)


def test_concepts_are_named_through_a_run_and_what_was_embedded_is_kept(clip, small_run, tmp_path, photos):
    import shutil

    run = ms.open_run(shutil.copytree(small_run.path, tmp_path / "run"))
    encoder = load_encoder(f"hf:{clip[0]}", device="cpu")
    space = ms.text_space(encoder, run)
    assert np.asarray(space.images).shape == (61, 24)
    bank = ms.disentangle(run.activations("3"), "published", top=24, distance_threshold=8.0, outlier_threshold=1e9)
    names = ms.name_concepts(bank, run, ms.VocabularyNamer(["a dog", "a cat"], space, least=0.5))
    assert set(names.table["source"].to_pylist()) == {encoder.spec}
    made = list((run.path / "judges").iterdir())
    assert len(made) == 1
    before = made[0].stat().st_mtime_ns
    ms.text_space(load_encoder(f"hf:{clip[0]}", device="cpu"), run)
    assert made[0].stat().st_mtime_ns == before
    with torch.no_grad():
        encoder.model.module.whole.visual_projection.weight.add_(1)
    changed = load_encoder(f"hf:{clip[0]}", device="cpu")
    with torch.no_grad():
        changed.model.module.whole.visual_projection.weight.add_(1)
    with pytest.raises(ms.UsageError, match="other weights"):
        ms.text_space(changed, run)


@pytest.mark.parametrize(
    "spec, said",
    [
        ("clip", "is no encoder of images and texts"),
        ("timm:vit", "is no encoder of images and texts"),
        ("hf:", "is no encoder of images and texts"),
        ("hf:no/such-model-here", "cannot be loaded"),
        ("open_clip:no-such-model", "cannot be loaded"),
    ],
)
def test_what_is_no_encoder_is_refused(spec, said):
    with pytest.raises(ms.MonosemeError, match=said):
        load_encoder(spec, device="cpu")


def test_a_model_without_a_side_for_texts_is_refused(tmp_path, tokenizer):
    import transformers

    module = transformers.ViTModel(transformers.ViTConfig(**SIDE, image_size=32, patch_size=8))
    for part in (module, transformers.ViTImageProcessorPil(), tokenizer):
        part.save_pretrained(tmp_path)
    with pytest.raises(ms.UsageError, match="encodes no texts"):
        load_encoder(f"hf:{tmp_path}", device="cpu")
