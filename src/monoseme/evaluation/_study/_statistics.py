"""Statistics of people's answers: intervals where both people and questions are draws, and how far people agree."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from .._bootstrap import Floats, Interval, Resamples, cluster_sums, ratio

RESAMPLES = 2_000
Ints = npt.NDArray[np.int64]


def wilson(right: float, trials: int) -> Interval:
    """Share of trials that were right, with Wilson's 95 % interval, which has a width even where all are right.

    Notes
    -----
    Wilson, Probable inference, the law of succession, and statistical inference, Journal of the American Statistical
    Association 22, 1927; recommended for few trials by Brown, Cai and DasGupta, Statistical Science 16, 2001.

    Examples
    --------
    >>> [round(each, 3) for each in wilson(8, 10)]
    [0.8, 0.49, 0.943]
    """
    if trials == 0:
        return Interval(np.nan, np.nan, np.nan)
    share, z = right / trials, float(ndtri(0.975))
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


@dataclass(frozen=True)
class Given:
    """Answers that people gave to questions.

    right : (n,)
        1 for a right answer, 0 for a wrong one.
    person, question : (n,) int64
        Whose answer to what, numbered from 0.
    """

    right: Floats
    person: Ints
    question: Ints

    @property
    def mean(self) -> float:
        """Share of answers that are right, NaN where there are none."""
        return float(self.right.mean()) if len(self.right) else np.nan

    @property
    def varies(self) -> bool:
        """Whether there are several people, several questions, and answers that differ: something to draw from."""
        several = len(np.unique(self.person)) > 1 and len(np.unique(self.question)) > 1
        return several and bool(np.any(self.right != self.right[0]))


def crossed(given: Given, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Share of answers that are right, with a 95 % interval for other people and other questions.

    Answers to one question are alike, and so are those of one person. Both are drawn anew with replacement, each on their own,
    and an answer counts as often as the product says. One person alone, and answers without any difference, leave nothing to
    draw; there it is Wilson's interval with one trial for each question, however many people answered it.

    Notes
    -----
    Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007. It errs on the wide side.
    """
    asked = len(np.unique(given.question))
    if not given.varies:
        return wilson(given.mean * asked, asked) if asked else Interval(np.nan, np.nan, np.nan)
    people = int(given.person.max()) + 1
    return _interval(given.mean, _drawn(given, people, resamples, seed, 1))


def crossed_difference(one: Given, other: Given, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """How much more often the first answers are right than the second: the same people, drawn together, but other questions.

    NaN limits where there is nothing to draw.
    """
    difference = one.mean - other.mean
    if not (one.varies or other.varies) or not len(one.right) or not len(other.right):
        return Interval(difference, np.nan, np.nan)
    people = int(max(one.person.max(), other.person.max())) + 1
    drawn = [_drawn(each, people, resamples, seed, place) for place, each in enumerate((one, other), 1)]
    return _interval(difference, drawn[0] - drawn[1])


def _drawn(given: Given, people: int, resamples: int, seed: int, place: int) -> Floats:
    """(R,) shares of right answers; the people that are drawn depend on the seed alone, the questions on the place as well."""
    questions = int(given.question.max()) + 1
    cell = given.person * questions + given.question
    table = cluster_sums(people * questions, cell, given.right, np.ones(len(cell))).reshape(people, questions, 2)
    by_person = Resamples(people, resamples, seed).weights
    by_question = Resamples(questions, resamples, seed + place).weights
    sums = np.einsum("rp,pqs,rq->rs", by_person, table, by_question, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ratio(sums)


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.quantile(drawn[np.isfinite(drawn)], [0.025, 0.975])
    return Interval(value, float(low), float(high))


def agreement(unit: Ints, value: Iterable[Hashable]) -> tuple[float, float]:
    """How often two people say the same of one unit, and how often two answers are the same whatever they are of.

    Parameters
    ----------
    unit : (n,) int64
        What each answer is of, numbered from 0.
    value : n values
        The answers; only whether two are equal counts.

    Returns
    -------
    (observed, expected), NaN where no unit has two answers. Krippendorff's alpha is (observed - expected) / (1 - expected).

    Notes
    -----
    Krippendorff, Content Analysis, 2004, section 11.3, nominal data with values missing: units weigh as many answers as they
    have, and those with one answer do not count.

    Examples
    --------
    >>> observed, expected = agreement(np.array([0, 0, 1, 1]), ["dog", "dog", "cat", "dog"])
    >>> round(observed, 3), round(expected, 3)
    (0.5, 0.5)
    """
    pairs, table = _coincidences(unit, value)
    answers = table.sum(1)
    whole, said = float(answers.sum()), table.sum(0)
    if whole < 2:
        return np.nan, np.nan
    return float(pairs[:, 0].sum() / whole), float((said * (said - 1)).sum() / (whole * (whole - 1)))


def alpha(unit: Ints, value: Iterable[Hashable]) -> float:
    """Krippendorff's alpha of nominal answers: 1 where people agree, 0 where they agree as by chance.

    NaN where no unit has two answers, or where all answers are the same.
    """
    observed, expected = agreement(unit, value)
    return (observed - expected) / (1 - expected) if expected < 1 else np.nan


def agreement_interval(unit: Ints, value: Iterable[Hashable], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The observed agreement with its 95 % interval, units drawn anew; Wilson's where all agree alike."""
    pairs, _ = _coincidences(unit, value)
    shares = ratio(pairs)
    if len(shares) and np.all(shares == shares[0]):
        return wilson(shares[0] * len(shares), len(shares))
    return Resamples(len(pairs), resamples, seed).interval(pairs, ratio)


def _coincidences(unit: Ints, value: Iterable[Hashable]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(U, 2) weighted pairs of equal answers and answers of each unit; (U, V) how often each value was said of it."""
    known: dict[Hashable, int] = {}
    code = np.array([known.setdefault(each, len(known)) for each in value], dtype=np.int64)
    units = int(unit.max(initial=-1)) + 1
    table = np.zeros((units, max(len(known), 1)))
    np.add.at(table, (unit, code), 1)
    count = table.sum(1)
    table = table[count > 1]
    count = count[count > 1]
    same = (table * (table - 1)).sum(1) / np.maximum(count - 1, 1)
    return np.stack([same, count], axis=1), table
