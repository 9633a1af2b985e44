"""How independent a judge is, from names."""

import pytest

from monoseme.evaluation import independence

LITE = "bundled:efficientnet-lite0"


@pytest.mark.parametrize(
    ("model", "judge", "words"),
    [
        (LITE, LITE, "not independent"),
        (LITE, "bundled:efficientnet-lite2", "shares its training labels"),
        ("torchvision:inception_v3", "timm:resnet50.a1_in1k", "shares its training labels"),
        ("torchvision:inception_v3", "timm:resnet50", "shares its training labels"),
        (LITE, "timm:vit_base_patch16_clip_224.openai_ft_in1k", "shares its training labels"),
        (LITE, "timm:vit_small_patch14_dinov2.lvd142m", "trained without these labels"),
        (LITE, "hf:facebook/dinov2-small", "trained without these labels"),
        (LITE, "hf:openai/clip-vit-base-patch32", "trained without these labels"),
        (LITE, "hf:facebook/vit-mae-base", "trained without these labels"),
        ("hf:facebook/dinov2-small", "torchvision:resnet50", "shares no training labels"),
        (LITE, "python:my.nets:dino", "not known"),
        (LITE, "hf:somebody/something", "not known"),
        (LITE, "torchvision:deeplabv3_resnet50", "not known"),
        (None, "torchvision:resnet50", "not known"),
        (LITE, None, "not known"),
    ],
)
def test_what_is_said_of_a_judge(model, judge, words):
    assert independence(model, judge).startswith(words)


def test_equal_weights_are_the_same_model_whatever_it_is_called():
    assert independence("python:a:b", "python:c:d", same_weights=True).startswith("not independent")
    assert independence("python:a:b", "python:a:b", same_weights=False) == "not known"
