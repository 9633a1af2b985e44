"""What a run was made from, when it is still at hand: the images behind its rows and the model that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base import MonosemeError, UsageError, digest_bytes
from ..images import BadImage, ImageSource, as_file, open_images
from ._run import Run

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ..models import Model


class Originals:
    """The photographs behind the rows of a run, by image id. Made by `originals`; use it in a ``with`` block."""

    def __init__(self, run: Run, source: ImageSource) -> None:
        self._run, self._source = run, source

    def load(self, image_ids: npt.ArrayLike) -> list[Image.Image]:
        """The pictures of these images, upright RGB, in order, each checked to be the one that was embedded.

        Raises
        ------
        MonosemeError
            One is gone, cannot be decoded any more, or has other content than when the run was made.
        """
        return [self._loaded(self._place(entry, uri), uri, digest) for entry, uri, digest in self._facts(image_ids)]

    def tensor(self, image_ids: npt.ArrayLike, model: Model) -> Tensor:
        """These pictures as a model takes them: (n, C, H, W) on its device. Raises as `load` does."""
        pixels: npt.NDArray[Any] = np.stack([model.preprocess.pixels(picture) for picture in self.load(image_ids)])
        return model.preprocess.tensor(pixels, model.device)

    def files(self, image_ids: npt.ArrayLike) -> Iterator[tuple[bytes, str]]:
        """Each of these pictures as (content, suffix) of a file, in order and one at a time, checked as `load` does.

        The content is the original's, byte for byte, unless a program that opens it would not see what was embedded (it has
        no file of its own, or needs turning, a background or fewer bits); then it is a PNG of the upright RGB pixels. The
        suffix follows from the content.

        Raises
        ------
        MonosemeError
            As `load`.
        """
        for entry, uri, digest in self._facts(image_ids):
            place = self._place(entry, uri)
            image = self._loaded(place, uri, digest)
            with _usable(uri):
                encoded = self._source.encoded(place)
            if encoded is not None:
                _require_same(digest_bytes(encoded), digest, uri)
            yield as_file(image, encoded)

    def _facts(self, image_ids: npt.ArrayLike) -> list[tuple[int, str, str]]:
        rows = self._run.images(image_ids, ["entry", "uri", "digest"]).to_pylist()
        return [(row["entry"], row["uri"], row["digest"]) for row in rows]

    def _loaded(self, place: int, uri: str, digest: str) -> Image.Image:
        with _usable(uri):
            loaded = self._source.load(place)
        _require_same(loaded.digest, digest, uri)
        return loaded.image

    def _place(self, entry: int, uri: str) -> int:
        """Where an image is now: usually where it was listed, elsewhere if files came or went since."""
        if entry < len(self._source) and self._source.entry(entry).uri == uri:
            return entry
        if uri not in self._places:
            raise MonosemeError(
                f"{self._source.spec} holds no image {uri}, from which {self._run.path} was made; "
                "say where the images are now"
            )
        return self._places[uri]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {self._source.entry(place).uri: place for place in range(len(self._source))}

    def close(self) -> None:
        """Let go of open files."""
        self._source.close()

    def __enter__(self) -> Originals:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<originals of {self._run.path}: {self._source.spec}>"


@contextmanager
def _usable(uri: str) -> Iterator[None]:
    try:
        yield
    except BadImage as error:
        raise MonosemeError(f"image {uri} can no longer be used: {error}; restore it") from error


def _require_same(digest: str, recorded: str, uri: str) -> None:
    if digest != recorded:
        raise MonosemeError(f"image {uri} has changed since the run was made; restore it, or embed into a new run")


def originals(
    run: Run, images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object | None = None
) -> Originals:
    """Open the images that a run was made from.

    Parameters
    ----------
    run : Run
        The run.
    images : optional
        Where they are now, as `embed` takes it; by default where they were when the run was made.

    Raises
    ------
    UsageError
        They are not there.
    """
    if images is not None:
        return Originals(run, open_images(images))
    recorded = run.manifest.images["source"]
    if not recorded:
        raise UsageError(f"{run.path} was imported without its images; say where they are")
    try:
        return Originals(run, open_images(recorded))
    except MonosemeError as error:
        raise UsageError(
            f"the images of {run.path} are no longer where they were ({error}); say where they are now"
        ) from error


def model_of(run: Run, model: Model | str | None = None, *, weights: str | None = None, device: str = "auto") -> Model:
    """Load the model that a run was made with, and check that it is the same.

    Parameters
    ----------
    run : Run
        The run.
    model : Model or str, optional
        The model itself, or its spec; by default the spec that the run records. A run that came from elsewhere makes no
        code run: a ``python:`` spec is loaded only when it is named here.
    weights, device : str, optional
        As `load_model` takes them, for a spec.

    Raises
    ------
    UsageError
        The recorded model cannot be loaded by its spec, the one given has other weights than the run's, or the run's embeddings
        were imported.
    """
    if run.manifest.imported:
        raise UsageError(
            f"{run.path} holds imported embeddings and no model to ask; embed the images with the model into a run of its own to do "
            "that (monoseme embed)"
        )
    return recorded_model(run.manifest.model, str(run.path), model, weights=weights, device=device)


def recorded_model(
    recorded: Mapping[str, Any],
    of: str,
    model: Model | str | None = None,
    *,
    weights: str | None = None,
    device: str = "auto",
) -> Model:
    """Load the model that ``model.describe()`` recorded, as `model_of` does; `of` is the file or folder that needs it."""
    from ..models import Model as LoadedModel
    from ..models import load_model

    if isinstance(model, LoadedModel):
        return _checked(recorded, of, model)
    spec = recorded_spec(recorded, of) if model is None else str(model)
    standard = recorded.get("preprocess", {}).get("kind") == "standard"
    loaded = load_model(
        spec,
        device=device,
        weights=weights,
        image_size=min(recorded["input_size"][1:]) if standard and recorded.get("input_size") else None,
        layouts=recorded.get("layouts") or None,
        prefix_tokens=recorded.get("prefix_tokens"),
    )
    return _checked(recorded, of, loaded)


def recorded_spec(recorded: Mapping[str, Any], of: str) -> str:
    """The recorded spec, where it loads without making code run that nobody named here; imports no torch.

    Raises
    ------
    UsageError
        The model is code, or a module that was wrapped.
    """
    spec = str(recorded.get("spec"))
    if spec.startswith("python:"):
        raise UsageError(f"the model of {of} is code ({spec}); name it yourself if you trust that code")
    if ":" not in spec or spec.startswith("wrapped:"):
        raise UsageError(f"the model of {of} is a module that was wrapped ({spec}); give that model")
    return spec


def _checked(recorded: Mapping[str, Any], of: str, model: Model) -> Model:
    """The model with the recorded preprocessing; its weights must be those recorded."""
    from ..models import Preprocess

    if model.weights_digest != recorded.get("weights_digest"):
        raise UsageError(
            f"{model.spec} has other weights than the model of {of} ({recorded.get('spec')}); give that model, "
            "with its weights"
        )
    described = recorded.get("preprocess", {})
    if described == model.preprocess.describe():
        return model
    if described.get("kind") != "standard":
        raise UsageError(f"{of} was made with a preprocessing of your own; give the model with it")
    return model.with_preprocess(Preprocess.from_description(described))
