"""Where images and texts can be compared, and the texts to choose names among."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...base import Activations, Reporter, UsageError, counted, first_line
from ...runs import Run
from .._dictionary import unit
from .._judge_run import beside

if TYPE_CHECKING:
    from ...models import ImageTextEncoder

Matrix = npt.NDArray[np.float64]
TOGETHER = 256
"""Texts that are encoded at once."""


@dataclass(frozen=True)
class TextSpace:
    """Where images and texts can be compared: the images' embeddings by an encoder, and its side for texts.

    Attributes
    ----------
    images : Activations or (N, d) array
        Embeddings of the images; matched by the images' digests where these are known, else in the same order.
    texts : callable
        Texts (V,) -> embeddings (V, d).
    name : str
        Of the encoder.
    """

    images: Activations | npt.ArrayLike
    texts: Callable[[Sequence[str]], npt.ArrayLike]
    name: str = "an encoder"

    def encoded(self, texts: Sequence[str], width: int) -> Matrix:
        """(V, d) unit rows.

        Raises
        ------
        UsageError
            The encoder fails, or gives something else.
        """
        parts = []
        for begin in range(0, len(texts), TOGETHER):
            some = list(texts[begin : begin + TOGETHER])
            try:
                found = np.asarray(self.texts(some), dtype=np.float64)
            except Exception as error:  # the user's function, or a library's: any kind
                raise UsageError(f"{self.name} cannot encode the texts ({first_line(error, 160)})") from error
            if found.shape != (len(some), width) or not np.isfinite(found).all():
                raise UsageError(
                    f"{self.name} gives texts the shape {found.shape}, not {(len(some), width)} and finite as its images; "
                    "give both sides of one encoder"
                )
            parts.append(found)
        return unit(np.concatenate(parts)).astype(np.float64)


def text_space(
    encoder: ImageTextEncoder, run: Run, *, images: str | None = None, progress: Reporter | None = None
) -> TextSpace:
    """Embed the images of a run with an encoder of images and texts, into ``RUN/judges`` unless that is done already.

    Parameters
    ----------
    encoder : ImageTextEncoder
        From `load_encoder`.
    run : Run
        Whose images.
    images : str, optional
        Where they are now, if they have moved.
    progress : Reporter, optional
        Told of images.

    Raises
    ------
    UsageError
        The images are no longer where they were, or were embedded before with other weights.
    """
    model = encoder.model
    made = beside(run, model.spec, lambda: model, [encoder.layer], images=images, progress=progress)
    if made.manifest.model.get("weights_digest") != model.weights_digest:
        raise UsageError(f"{made.path} was made with other weights than {encoder.spec} has now; remove that folder")
    return TextSpace(made.activations(encoder.layer), encoder.texts, encoder.spec)


def read_vocabulary(vocabulary: Sequence[str] | str | PathLike[str]) -> tuple[str, ...]:
    """Texts from a list or a file with one in each line, none twice, blanks left out.

    Raises
    ------
    UsageError
        There is no such file, or fewer than two texts.

    Examples
    --------
    >>> read_vocabulary(["dog ", "cat", "", "dog"])
    ('dog', 'cat')
    """
    if isinstance(vocabulary, str | PathLike):
        path = Path(vocabulary)
        try:
            lines: Sequence[str] = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise UsageError(f"the vocabulary {path} cannot be read: {first_line(error, 160)}") from error
        where = f"the vocabulary {path}"
    else:
        lines, where = list(vocabulary), "the vocabulary"
    if not all(isinstance(line, str) for line in lines):
        raise UsageError("the vocabulary must be a list of texts")
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(words) < 2:
        raise UsageError(f"{where} holds {counted(len(words), 'text')}; a name is chosen among at least two")
    return words
