"""What a study asks: its configuration and its questions, as they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ...base import UsageError

TESTS = ("intruder", "label", "word")
MOST = 500
"""The most questions of a kind; people tire long before."""


@dataclass(frozen=True)
class StudyConfig:
    """What a study asks.

    tests : any of "intruder", "label" and "word"; None for intruder, and label where the run has labels
    concepts : how many concepts each kind of question asks about
    controls : how many sets of the baseline it asks about, among them
    shown : images of a set that are shown
    options : labels to choose from
    seed : of the draw

    Examples
    --------
    >>> StudyConfig(shown=1)
    Traceback (most recent call last):
        ...
    monoseme.base._errors.UsageError: shown must be a whole number from 2 to 24, not 1
    """

    tests: tuple[str, ...] | None = None
    concepts: int = 10
    controls: int = 5
    shown: int = 5
    options: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tests is not None and (not self.tests or not set(self.tests) <= set(TESTS)):
            raise UsageError(f"the tests are any of {', '.join(TESTS)}, not {', '.join(self.tests) or 'none'}")
        for name, low, high in (
            ("concepts", 1, MOST),
            ("controls", 0, MOST),
            ("shown", 2, 24),
            ("options", 2, 9),
            ("seed", 0, 2**32),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise UsageError(f"{name} must be a whole number from {low} to {high:,}, not {value!r}")


@dataclass(frozen=True)
class Question:
    """One question, the same for all who take part.

    test : "intruder", "label" or "word"
    of : "concepts", or the baseline that the images are of
    against : where the intruder is from, "same neuron" or "another neuron"; None for other tests
    direction : of the set that is shown
    concept, key : which concept is shown, None for a baseline
    images : image numbers; the intruder is among them
    options : labels to choose from, none for other tests
    answer : place of the intruder in `images`, or of the set's own label in `options`; None for words
    """

    test: str
    of: str
    against: str | None
    direction: int
    concept: int | None
    key: str | None
    images: tuple[int, ...]
    options: tuple[str, ...] = ()
    answer: int | None = None

    @property
    def choices(self) -> int:
        """How many there are to choose from; 0 for words."""
        return {"intruder": len(self.images), "label": len(self.options), "word": 0}[self.test]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def of_json(cls, given: Mapping[str, Any]) -> Self:
        """What `to_json` gave.

        Raises
        ------
        ValueError
            It is no question.
        """
        made = cls(**{**given, "images": tuple(given["images"]), "options": tuple(given["options"])})
        numbers = (made.direction, *made.images, *(each for each in (made.concept, made.answer) if each is not None))
        texts = (made.of, *made.options, *(each for each in (made.against, made.key) if each is not None))
        sound = (
            made.test in TESTS
            and all(isinstance(each, int) and 0 <= each < 2**53 for each in numbers)
            and all(isinstance(each, str) for each in texts)
            and (made.answer is None) == (made.choices == 0)
            and (made.answer or 0) <= max(made.choices - 1, 0)
        )
        if not sound:
            raise ValueError("it holds a question that is none")
        return made
