"""How independent a judge is of the model that it judges, as far as the names of the two say."""

from __future__ import annotations

import re

SAME = "not independent: it is the same model"
SHARED = "shares its training labels (ImageNet)"
WITHOUT = "trained without these labels"
NONE_SHARED = "shares no training labels, since the model was trained without any"
UNKNOWN = "not known"

_TUNED = re.compile(r"(ft_|finetuned|fine-tuned|[._]ft[._]).*(in1k|in12k|in22k|imagenet)", re.IGNORECASE)
_WITHOUT_LABELS = re.compile(
    r"dino|(^|[^a-z])mae([^a-z]|$)|clip|siglip|moco|simclr|swav|byol|ijepa|i-jepa|data2vec", re.IGNORECASE
)
_IMAGENET = re.compile(r"(^|[^a-z])(in1k|in12k|in22k|in21k|imagenet\w*)([^a-z]|$)", re.IGNORECASE)
_DETECTORS = re.compile(
    r"rcnn|retinanet|fcos|ssd|deeplab|lraspp|fcn_|raft|r3d|mc3|r2plus1d|s3d|mvit|swin3d", re.IGNORECASE
)


def independence(model: str | None, judge: str | None, *, same_weights: bool | None = None) -> str:
    """In words, from the specs of the model and of its judge, and whether their weights are known to be the same or not.

    >>> independence("bundled:efficientnet-lite0", "bundled:efficientnet-lite2")
    'shares its training labels (ImageNet)'
    >>> independence("torchvision:resnet50", "timm:vit_small_patch14_dinov2.lvd142m")
    'trained without these labels'
    >>> independence("bundled:efficientnet-lite0", "bundled:efficientnet-lite0")
    'not independent: it is the same model'
    >>> independence("python:my.nets:make", "torchvision:resnet50")
    'not known'
    """
    if same_weights or (same_weights is None and judge is not None and judge == model):
        return SAME
    mine, theirs = _trained_on(model), _trained_on(judge)
    if theirs == "no labels":
        return WITHOUT
    if mine == "no labels" and theirs == "ImageNet":
        return NONE_SHARED
    return SHARED if mine == theirs == "ImageNet" else UNKNOWN


def _trained_on(spec: str | None) -> str | None:
    """Either "ImageNet" or "no labels", or None where the name does not say."""
    source, _, name = (spec or "").partition(":")
    if source == "bundled":
        return "ImageNet" if name.startswith("efficientnet-lite") else None
    if source not in ("torchvision", "timm", "hf"):
        return None
    if _TUNED.search(name):
        return "ImageNet"
    if _WITHOUT_LABELS.search(name):
        return "no labels"
    if source == "torchvision":
        return None if _DETECTORS.search(name) else "ImageNet"
    if source == "timm" and "." not in name:
        return "ImageNet"  # timm's own weights, where a name comes without a tag
    return "ImageNet" if _IMAGENET.search(name) else None
