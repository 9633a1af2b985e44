"""Encoders that bring images and texts into one space, such as CLIP: the image side is a model like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..base import MonosemeError, UsageError, did_you_mean, first_line, join_words
from ._loaders import hf
from ._loaders.common import Request, import_extra
from ._model import Model, wrap
from ._preprocess import CallablePreprocess

KINDS = ("hf", "open_clip")
_LAYER = "embedding"


class ImageTextEncoder:
    """An encoder of images and texts. Made by `load_encoder`.

    Attributes
    ----------
    spec : str
        What it was loaded by.
    model : Model
        Its image side, without predictions.
    layer : str
        The layer of that which holds the embeddings to compare with texts.
    """

    layer = _LAYER

    def __init__(self, spec: str, model: Model, encode: Callable[[list[str], torch.device], Tensor]) -> None:
        self.spec, self.model, self._encode = spec, model, encode

    def texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Texts (V,) -> embeddings (V, d)."""
        with torch.inference_mode():
            return np.asarray(self._encode(list(texts), self.model.device).float().cpu().numpy())

    def __repr__(self) -> str:
        return f"<encoder of images and texts {self.spec}>"


class _ImageSide(nn.Module):
    """The images' embeddings, given through a module of a known name."""

    def __init__(self, whole: nn.Module, encode: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.whole = whole
        self.embedding = nn.Identity()
        self._images = encode

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.embedding(_tensor(self._images(images))))


def load_encoder(spec: str, *, device: str = "auto") -> ImageTextEncoder:
    """An encoder of images and texts by name, with its own preprocessing.

    Parameters
    ----------
    spec
        ``hf:openai/clip-vit-base-patch32`` or ``hf:FOLDER`` (CLIP, SigLIP and others of transformers with a side for each), or
        ``open_clip:ViT-B-32/laion2b_s34b_b79k`` (a model and its weights) or ``open_clip:FOLDER``.
    device
        "auto" (a GPU if there is one), or as torch writes them.

    Raises
    ------
    UsageError
        The spec is not of these, or the model has no side for texts.
    MissingExtraError
        The package that it comes from is not installed.
    MonosemeError
        It cannot be loaded.
    """
    kind, colon, name = spec.partition(":")
    if not (colon and name) or kind not in KINDS:
        raise UsageError(
            f"{spec!r} is no encoder of images and texts{did_you_mean(kind, KINDS)}; name one as "
            f"{join_words(['hf:openai/clip-vit-base-patch32', 'open_clip:ViT-B-32/laion2b_s34b_b79k'])}"
        )
    request = Request(spec, name)
    return (_from_transformers if kind == "hf" else _from_open_clip)(request, device)


def _from_transformers(request: Request, device: str) -> ImageTextEncoder:
    transformers = import_extra("transformers", request, "hf")
    with hf.quiet(transformers):
        try:
            processor = hf.processor_of(transformers, request.name)
            tokenizer = transformers.AutoTokenizer.from_pretrained(request.name, trust_remote_code=False)
            config = transformers.AutoConfig.from_pretrained(request.name, trust_remote_code=False)
            module = hf.pretrained(transformers.AutoModel, config, request)
        except MonosemeError:
            raise
        except Exception as error:  # the hub's clients raise many kinds
            raise hf.refused(request, error) from error
    whole: Any = module.float().eval()
    if not (hasattr(whole, "get_image_features") and hasattr(whole, "get_text_features")):
        raise UsageError(
            f"{request.spec} ({type(module).__name__}) encodes no texts; name an image-text model, such as a CLIP"
        )
    length = getattr(getattr(config, "text_config", None), "max_position_embeddings", None)

    def encode(texts: list[str], where: torch.device) -> Tensor:
        # padded to the full length, as SigLIP was trained; CLIP reads nothing behind the end of the text
        tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        known = {key: value.to(where) for key, value in tokens.items() if key in ("input_ids", "attention_mask")}
        return _tensor(whole.get_text_features(**known))

    side = _ImageSide(module, lambda images: whole.get_image_features(pixel_values=images))
    return _made(request, side, hf.preprocess_of(processor), encode, device)


def _from_open_clip(request: Request, device: str) -> ImageTextEncoder:
    open_clip = import_extra("open_clip", request, "clip")
    folder = Path(request.name).is_dir()
    name, _, weights = (f"local-dir:{request.name}", "", "") if folder else request.name.rpartition("/")
    level = logging.root.level
    try:
        logging.root.setLevel(max(level, logging.ERROR))  # it tells of every step at the root
        module, preprocess = open_clip.create_model_from_pretrained(
            name or weights, pretrained=None if folder or not name else weights, device="cpu", return_transform=True
        )
        tokenizer = open_clip.get_tokenizer(name or weights)
    except Exception as error:  # its clients raise many kinds
        raise MonosemeError(
            f"{request.spec} cannot be loaded ({first_line(error, 200)}); connect to the network, or give a folder that "
            "holds its open_clip_config.json and weights: open_clip:FOLDER"
        ) from error
    finally:
        logging.root.setLevel(level)
    whole: Any = module.float().eval()

    def encode(texts: list[str], where: torch.device) -> Tensor:
        return _tensor(whole.encode_text(tokenizer(texts).to(where)))

    return _made(request, _ImageSide(module, whole.encode_image), CallablePreprocess(preprocess), encode, device)


def _made(request: Request, side: _ImageSide, preprocess: Any, encode: Any, device: str) -> ImageTextEncoder:
    # of a name of its own: the same checkpoint may be a judge by another of its layers
    model = wrap(side, preprocess, name=f"image-text:{request.spec}", device=device)
    return ImageTextEncoder(request.spec, model, encode)


def _tensor(found: Any) -> Tensor:
    """The embeddings: some versions give them with all that led to them."""
    return cast(Tensor, found if isinstance(found, Tensor) else found.pooler_output)
