"""The draw: a bank, labels and a configuration come in; questions go out, by chance alone."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ...banks import ConceptBank
from ...base import Labels, UsageError, digest_text
from .._bootstrap import Ints
from .._sets import Sets
from ._questions import Question, StudyConfig

SAME, ANOTHER = "same neuron", "another neuron"
PLAN: dict[str, tuple[tuple[str | None, str], ...]] = {
    "intruder": ((SAME, "random partitions"), (ANOTHER, "neurons")),
    "label": ((None, "neurons"),),
    "word": ((None, "neurons"),),
}
"""Of each test where intruders are from, and which baseline concepts are compared with."""


def draw(bank: ConceptBank, labels: Labels, config: StudyConfig) -> tuple[Question, ...]:
    """The questions of a study: a function of the bank's concepts, the labels and the configuration alone.

    Each concept is drawn at random from all those with enough images whose neurons have been asked about least: who has seen the
    concepts of a neuron once would know them. The images of a concept are drawn from its exemplars. An intruder of the same
    neuron is an exemplar of another concept of it; then only concepts of neurons with several are asked about. The
    baselines, whose questions look the same, are the exemplars of a neuron parted at random, and the kept exemplars of a neuron
    with several concepts as one set.

    Raises
    ------
    UsageError
        There is nothing to ask.

    Notes
    -----
    After the human evaluation of O'Mahony et al. 2023: five images of a concept, drawn at random, and an intruder, or a word for
    what they have in common. The intruder test is that of Chang et al., Reading Tea Leaves, NeurIPS 2009.
    """
    tests = config.tests or (("intruder", "label") if labels.names else ("intruder",))
    if "label" in tests and not labels.names:
        raise UsageError("the run has no labels to choose from; join some with monoseme label, or leave that test out")
    drawing = _Drawing(bank, labels, config)
    questions = []
    for test in tests:
        for against, baseline in PLAN[test]:
            questions += drawing.some(test, against, "concepts", config.concepts)
            questions += drawing.some(test, against, baseline, config.controls)
    if not any(each.of == "concepts" for each in questions):
        raise UsageError(f"no concept of the bank can be asked about with {config.shown} images; show fewer of each")
    return tuple(questions)


def content_digest(bank: ConceptBank) -> str:
    """Of the concepts that a draw depends on."""
    return digest_text(bank.layer, *bank.concepts["key"].to_pylist())


class _Pool:
    """Sets to draw from, with what is asked about them."""

    def __init__(self, sets: Sets, labels: Labels) -> None:
        self.sets, self._labels, self._padded = sets, labels, sets.padded()

    def images(self, number: int) -> Ints:
        """Of one set."""
        row = self._padded[number]
        return np.asarray(row[row >= 0])

    def label(self, number: int) -> str | None:
        """The commonest label of one set."""
        counts = self._labels.counts(self.images(number))
        return counts[0][0] if counts else None

    def siblings(self, number: int) -> list[int]:
        """The other sets of its neuron."""
        same = np.flatnonzero(self.sets.direction == self.sets.direction[number])
        return [int(each) for each in same if each != number]

    @cached_property
    def known_labels(self) -> list[str]:
        """The commonest label of each set, each once, sorted."""
        return sorted({label for number in range(len(self.sets)) if (label := self.label(number)) is not None})


class _Drawing:
    """One draw: its random numbers, and how often each neuron has been asked about."""

    def __init__(self, bank: ConceptBank, labels: Labels, config: StudyConfig) -> None:
        self._random = np.random.default_rng(config.seed)
        self._bank, self._labels, self._config = bank, labels, config
        sets = Sets.of(bank)
        self._pools = {
            "concepts": _Pool(sets, labels),
            "random partitions": _Pool(sets.shuffled(self._random), labels),
            "neurons": _Pool(sets.unsplit(), labels),
        }
        self._split, self._asked = sets.split, np.zeros(len(sets.rows), dtype=np.int64)

    def some(self, test: str, against: str | None, of: str, count: int) -> list[Question]:
        """Questions about at most `count` sets."""
        pool = self._pools[of]
        able = pool.sets.sizes >= self._config.shown
        if against == SAME or of == "neurons":
            able &= self._split[pool.sets.direction]
        left = self._random.permutation(np.flatnonzero(able))
        made: list[Question] = []
        while len(made) < count and len(left):
            directions = pool.sets.direction[left]
            next_one = int(np.argmin(self._asked[directions]))  # of those asked about least, the first
            question = self._question(test, against, of, int(left[next_one]))
            if question is not None:
                made.append(question)
                self._asked[directions[next_one]] += 1
            left = np.delete(left, next_one)
        return made

    def _question(self, test: str, against: str | None, of: str, number: int) -> Question | None:
        """A question about one set, None where there is none."""
        pool, random = self._pools[of], self._random
        images = random.choice(pool.images(number), self._config.shown, replace=False).tolist()
        options: list[str] = []
        answer = None
        if test == "intruder":
            intruder = self._intruder(pool, number, against)
            if intruder is None:
                return None
            answer = int(random.integers(len(images) + 1))
            images.insert(answer, intruder)
        elif test == "label":
            found = self._options(pool, number, images)
            if found is None:
                return None
            options, answer = found
        concept = number if of == "concepts" else None
        return Question(
            test=test,
            of=of,
            against=against,
            direction=int(self._bank.directions[pool.sets.direction[number]]),
            concept=concept,
            key=None if concept is None else self._bank.concepts["key"][concept].as_py(),
            images=tuple(images),
            options=tuple(options),
            answer=answer,
        )

    def _intruder(self, pool: _Pool, number: int, against: str | None) -> int | None:
        """An image of another set that is not in this one."""
        others = self._pools["concepts"]
        if against == SAME:
            others, able = pool, np.array(pool.siblings(number))
        else:
            able = np.flatnonzero(others.sets.direction != pool.sets.direction[number])
        if len(able) == 0:
            return None
        images = np.setdiff1d(others.images(int(self._random.choice(able))), pool.images(number))
        return int(self._random.choice(images)) if len(images) else None

    def _options(self, pool: _Pool, number: int, images: list[int]) -> tuple[list[str], int] | None:
        """Labels to choose from and the place of the set's own: first those of the neuron's other concepts, then of others.

        None of the others is the label of an image that is shown.
        """
        own = pool.label(number)
        if own is None:
            return None
        taken = {own, *(label for label, _ in self._labels.counts(images))}
        near = [pool.label(each) for each in self._random.permutation(pool.siblings(number)).astype(int)]
        far = self._random.permutation(self._pools["concepts"].known_labels).tolist()
        free = [each for each in dict.fromkeys([*near, *far]) if each is not None and each not in taken]
        others = free[: self._config.options - 1]
        if not others:
            return None
        answer = int(self._random.integers(len(others) + 1))
        return [*others[:answer], own, *others[answer:]], answer
