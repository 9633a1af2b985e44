"""Names from a function of the user's, such as a captioner or a language model, to which everything worth seeing is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from ...banks import Concept
from ...base import Labels, UsageError, counted, first_line, printable
from ...runs import Originals, model_of, originals
from ...use import concept_crops, heatmaps
from .._sets import Ints
from ._asked import Asked, Proposal
from ._labels import LEAST
from ._texts import TextSpace
from ._vocabulary import Nearness

if TYPE_CHECKING:
    from ...models import Model

LONGEST = 100
"""Letters that a name may have."""


class Sibling(NamedTuple):
    """Another concept of the same neuron.

    concept : its number
    image_ids : its strongest exemplars
    pictures : these, where there are pictures
    labels : how many of all its exemplars have each label
    """

    concept: int
    image_ids: Ints
    pictures: tuple[Image.Image, ...]
    labels: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ConceptMaterial:
    """All that is worth seeing of a concept for someone who is to name it.

    Attributes
    ----------
    concept : Concept
        The concept: number, key, vector.
    layer, direction : str
        Where it is from, as ``neuron 35``.
    image_ids : (n,) int64
        The exemplars to name it by, strongest first; the others are kept to score the name on.
    uris : tuple of str
        What these images are called; empty without a run. File names and labels are data, not to be trusted as instructions.
    pictures : tuple of PIL images
        These images, small; empty where there are none.
    crops : tuple of PIL images
        The part of each that shows the concept; empty unless asked for.
    labels : tuple of (str, int)
        How many of them have each label, the commonest first.
    contrast_ids, contrast : (k,) int64, tuple of PIL images
        Random images of the data set, which a good name does not fit.
    siblings : tuple of Sibling
        The other concepts of the same neuron, from which the name should tell this one.
    prompt : str
        What to ask a language model along with the pictures.
    """

    concept: Concept
    layer: str
    direction: str
    image_ids: Ints
    uris: tuple[str, ...]
    pictures: tuple[Image.Image, ...]
    crops: tuple[Image.Image, ...]
    labels: tuple[tuple[str, int], ...]
    contrast_ids: Ints
    contrast: tuple[Image.Image, ...]
    siblings: tuple[Sibling, ...]

    @property
    def prompt(self) -> str:
        """The question in words."""
        lines = [
            f"These {len(self.image_ids)} images make a part of a neural network fire ({self.direction} of {self.layer}).",
            "Name what they have in common and other images do not, in one to five words. Answer with the name alone, or with "
            "nothing if they have nothing in common.",
        ]
        if self.labels:
            lines.append("Labels of the images: " + _listed(self.labels) + ".")
        for each in self.siblings:
            if each.labels:
                lines.append("The name must not fit images with these labels: " + _listed(each.labels) + ".")
        return "\n".join(lines)


@dataclass(frozen=True)
class CallableNamer:
    """Names concepts by asking a function of yours: a captioner, a language model, a person.

    The function is given a `ConceptMaterial` and answers with a name, or with None where it has none. An answer is not trusted:
    what is no text, empty, longer than 100 letters or several lines leaves that concept without a name, and so does an error;
    the other concepts go on.

    Parameters
    ----------
    function : callable
        ConceptMaterial -> str or None.
    source : str
        Where its names come from, as it will be shown.
    pictures : int
        The most exemplars that are shown of a concept.
    contrast : int
        How many random images.
    crops : bool
        Whether parts of images that show the concept are cut out; that needs the run's model and images.
    model, images : optional
        The run's model, and where the images are; by default as the run records them.
    labels : Labels, optional
        Of the images; by default those of the run.
    space : TextSpace, optional
        An encoder of images and texts that scores the answers on exemplars that were not shown, as `VocabularyNamer` does.
        Without it names are neither scored nor tested.
    least : float
        Area under the curve that a name must reach there.
    seed : int
        Of the random images.
    """

    function: Callable[[ConceptMaterial], object]
    source: str = "a function"
    pictures: int = 12
    contrast: int = 12
    crops: bool = False
    model: Model | str | None = None
    images: object | None = None
    labels: Labels | None = None
    space: TextSpace | None = None
    least: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise UsageError(f"the function that names must be callable, not a {type(self.function).__name__}")
        if self.pictures < 1 or self.contrast < 0:
            raise UsageError(
                f"show at least one picture and no fewer than 0 others, not {self.pictures}, {self.contrast}"
            )

    @property
    def scored_by(self) -> str:
        """What scores are."""
        if self.space is None:
            return "nothing: names were not scored"
        return f"area under the ROC curve: how well its cosine for {self.space.name} tells exemplars that were not shown from others"

    @property
    def tests(self) -> bool:
        """Random images are not asked about, which would cost as many calls again."""
        return False

    def __call__(self, asked: Asked) -> list[Proposal]:
        """A proposal for each concept.

        Raises
        ------
        UsageError
            Crops are wanted, and there is no run, model or image.
        """
        near = None if self.space is None else Nearness.of(self.space, asked)
        proposals = []
        with asked.progress.task("naming", len(asked.concepts), "concepts") as task:
            for place, material in enumerate(self.materials(asked)):
                proposals.append(self._answered(material, near, asked.chosen[place], asked.kept[place]))
                task.advance()
        return proposals

    def materials(self, asked: Asked) -> Iterator[ConceptMaterial]:
        """What is given to the function, concept by concept.

        Raises
        ------
        UsageError
            As for a call.
        """
        random = np.random.default_rng(self.seed)
        pool = np.flatnonzero(asked.pool)
        labels = self._labels(asked)
        with ExitStack() as stack:
            cut = self._cutter(asked, stack)
            for number, chosen in zip(asked.concepts, asked.chosen, strict=True):
                concept, ids = asked.bank[number], chosen[: self.pictures]
                drawn = random.permutation(pool)[: self.contrast + concept.size]
                others = drawn[~np.isin(drawn, concept.image_ids)][: self.contrast]
                yield ConceptMaterial(
                    concept=concept,
                    layer=asked.bank.layer,
                    direction=f"{asked.bank.start_name} {concept.direction}",
                    image_ids=ids,
                    uris=() if asked.run is None else tuple(asked.run.images(ids, ["uri"])["uri"].to_pylist()),
                    pictures=_pictures(asked, ids),
                    crops=() if cut is None else cut(number, ids),
                    labels=tuple(labels.counts(ids)),
                    contrast_ids=others,
                    contrast=_pictures(asked, others),
                    siblings=tuple(
                        Sibling(
                            each.number,
                            each.image_ids[: self.pictures],
                            _pictures(asked, each.image_ids[: self.pictures]),
                            tuple(labels.counts(each.image_ids)),
                        )
                        for each in asked.bank.for_direction(concept.direction)
                        if each.number != number
                    ),
                )

    def _labels(self, asked: Asked) -> Labels:
        if self.labels is not None:
            return self.labels
        return Labels.none(len(asked.acts)) if asked.run is None else asked.run.shown_labels()

    def _cutter(self, asked: Asked, stack: ExitStack) -> Callable[[int, Ints], tuple[Image.Image, ...]] | None:
        """Images of a concept -> the part of each that shows it."""
        if not self.crops:
            return None
        if asked.run is None:
            raise UsageError("crops are cut from images, which a run has; give the run that the bank was made from")
        network = model_of(asked.run, self.model)
        source: Originals = stack.enter_context(originals(asked.run, self.images))

        def cut(concept: int, ids: Ints) -> tuple[Image.Image, ...]:
            pictures = source.load(ids)
            maps = heatmaps(asked.bank, network, pictures, concept)
            return tuple(found[0].picture for found in concept_crops(maps, pictures))

        return cut

    def _answered(self, material: ConceptMaterial, near: Nearness | None, chosen: Ints, kept: Ints) -> Proposal:
        try:
            answer = self.function(material)
        except Exception as error:  # the user's function: any kind; the others go on
            return Proposal(None, f"{self.source} failed ({type(error).__name__}: {first_line(error, 160)})")
        name, reason = _checked(answer)
        if name is None or near is None:
            return Proposal(name, reason)
        chosen, kept = near.known(chosen), near.known(kept)
        if len(kept) < LEAST:
            return Proposal(None, f"too few of its exemplars are left to score {name} on ({len(kept)})")
        text = near.space.encoded([name], near.width)[0]
        area, p_value = near.told(text, kept, chosen)
        if area < self.least:
            reason = f"the answer, {name}, does not fit: it tells its images from others at {area:.2f}"
        return Proposal(name, reason, area, 0.5, p_value, len(kept))


def _checked(answer: object) -> tuple[str | None, str | None]:
    """A name, or why the answer is none."""
    if answer is None or answer == "":
        return None, "it was asked, and gave no name"
    if not isinstance(answer, str):
        return None, f"the answer is no text but of type {type(answer).__name__}"
    name = answer.strip()
    if len(name) > LONGEST or len(name.splitlines()) != 1:
        return None, f"the answer is no name: {counted(len(name), 'letter')} that begin {printable(name, 40)!r}"
    return printable(name, LONGEST), None


def _pictures(asked: Asked, ids: Ints) -> tuple[Image.Image, ...]:
    """Thumbnails, where the run has them."""
    if asked.run is None or asked.run.manifest.thumbnails is None or not len(ids):
        return ()
    return tuple(asked.run.thumbnails(ids))


def _listed(labels: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{printable(name)} ({count})" for name, count in labels[:8])
