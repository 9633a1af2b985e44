"""A study on the disk: its questions, drawn once and never changed, and the answers as they come."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ...banks import bank_folder, choose_bank, load_bank
from ...base import (
    STUDIES,
    MonosemeError,
    UsageError,
    check_name,
    did_you_mean,
    first_line,
    html,
    join_words,
    whole_folder,
)
from ...runs import Run, open_run
from ._answers import Answers
from ._draw import content_digest, draw
from ._questions import Question, StudyConfig

if TYPE_CHECKING:
    from ._score import StudyScore

FORMAT = 1
QUESTIONS, ANSWERS = "study.json", "answers.jsonl"
NOTE = 2_000
"""The longest note to those who take part."""


@dataclass(frozen=True)
class Study:
    """A study with people: questions about a bank, and their answers. Made by `new_study`, found again by `open_study`.

    folder : where it is, RUN/studies/NAME
    layer, bank : what it is about
    questions : what is asked, the same for all
    config : how they were drawn
    note : what those who take part are told beside the instructions
    link : what its address ends with; who knows it may take part
    info : what the questions were drawn from, as plain JSON values
    """

    folder: Path
    layer: str
    bank: str
    questions: tuple[Question, ...]
    config: StudyConfig
    note: str
    link: str = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    given: Answers = field(repr=False)

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

    @property
    def address(self) -> str:
        """Where people take part, below the address of the explorer."""
        return f"/study/{self.link}"

    def order(self, person: int) -> list[int]:
        """The questions as one person gets them: a kind of test after the other, mixed within each."""
        tests = list(dict.fromkeys(each.test for each in self.questions))
        kind = np.array([tests.index(each.test) for each in self.questions])
        mixed = np.random.default_rng([self.config.seed, person]).permutation(len(kind))
        return [int(each) for each in mixed[np.argsort(kind[mixed], kind="stable")]]

    def shown(self, person: int, question: int) -> tuple[list[int], list[int]]:
        """The places of a question's images and of its options in the order in which one person sees them."""
        random = np.random.default_rng([self.config.seed, person, question])
        asked = self.questions[question]
        images, options = (random.permutation(len(each)).tolist() for each in (asked.images, asked.options))
        return images, options

    def answers(self) -> pa.Table:
        """Every answer: person, question, test, of, against, direction, concept, key, images, chosen, word, right, seconds, at.

        `chosen` is the number of the image, or the label; null for "cannot tell" and for words. `right` is null for words.
        """
        from ._score import answers_table

        return answers_table(self)

    def score(self, same: Mapping[str, str] | None = None) -> StudyScore:
        """How often people were right, beside chance and the baselines, with 95 % intervals and their agreement.

        Parameters
        ----------
        same : mapping, optional
            Words that mean another, such as ``{"puppies": "dog"}``; case and surrounding space never count.
        """
        from ._score import score_of

        return score_of(self, same or {})

    def save_csv(self, path: str | PathLike[str]) -> Path:
        """Write `answers` as CSV, without the tokens of people.

        Raises
        ------
        MonosemeError
            It cannot be written.
        """
        from ...base import write_whole
        from ._score import csv_of

        target = Path(path)
        write_whole(target, csv_of(self.answers()))
        return target

    def _repr_html_(self) -> str:
        facts = {"questions": len(self.questions), "people": self.given.people(), "answers": len(self.given.all())}
        return html.card(f"study {self.name} of {self.layer} / {self.bank}", html.facts(facts))

    @classmethod
    def at(cls, folder: Path) -> Self:
        """The study in a folder.

        Raises
        ------
        MonosemeError
            It is damaged, or was written by another version.
        """
        path = folder / QUESTIONS
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            if info.pop("format") != FORMAT:
                raise MonosemeError(f"{path} was written by another version of monoseme; draw the study anew")
            config = info.pop("config")
            tests = config.pop("tests")
            made = cls(
                folder=folder,
                layer=str(info.pop("layer")),
                bank=str(info.pop("bank")),
                questions=tuple(Question.of_json(each) for each in info.pop("questions")),
                config=StudyConfig(tests=None if tests is None else tuple(tests), **config),
                note=str(info.pop("note")),
                link=str(info.pop("link")),
                info=info,
                given=Answers(folder / ANSWERS),
            )
            if not made.questions or len(made.link) < 20:
                raise ValueError("it holds no questions or no link")
            return made
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
            raise MonosemeError(f"{path} is damaged ({first_line(error, 160)}); draw the study anew") from error


def new_study(
    run: Run | str | PathLike[str],
    name: str,
    *,
    layer: str | None = None,
    bank: str | None = None,
    tests: Sequence[str] | None = None,
    concepts: int = 10,
    controls: int = 5,
    shown: int = 5,
    options: int = 4,
    seed: int = 0,
    labels: str | None = None,
    note: str = "",
) -> Study:
    """Draw the questions of a study with people, and keep them in the run; `monoseme explore` then asks them.

    Parameters
    ----------
    run : Run or path
        The run, with thumbnails.
    name : str
        Of the study.
    layer, bank : str, optional
        What to ask about, where the run has several.
    tests : sequence of str, optional
        Any of "intruder" (which image does not belong?), "label" (which label fits?) and "word" (say it in a word); by default
        "intruder", and "label" where the run has labels.
    concepts : int
        How many concepts each kind of question asks about. The intruder test is two kinds: the intruder is of the same
        neuron, or of another.
    controls : int
        How many sets of the baseline each kind asks about.
    shown : int
        Images of a set that are shown.
    options : int
        Labels to choose from.
    seed : int
        Of the draw, which depends on it, the bank and the labels alone.
    labels : str, optional
        Which label set, where the run has several.
    note : str
        What those who take part are told beside the instructions: who asks, and whom to write to.

    Raises
    ------
    UsageError
        There is nothing to ask about, no thumbnails, or a study of that name.

    Examples
    --------
    ::

        study = ms.new_study("runs/iv3", "first", seed=1)
        study.address  # below the address of ms.explore("runs/iv3", host="0.0.0.0")
        study.score()  # at any time

    Notes
    -----
    The human evaluation of O'Mahony et al. 2023 (4 intruder questions, 8 people; labels for 5 images of a concept), with the
    choice left to chance and with baselines beside it.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    folder = opened.path / STUDIES / check_name(name, "a study")
    if folder.exists():
        raise UsageError(f"{opened.path} has a study {name!r} already; choose another name")
    if len(note) > NOTE:
        raise UsageError(f"the note is {len(note):,} letters long; {NOTE:,} are the most")
    config = StudyConfig(None if tests is None else tuple(tests), concepts, controls, shown, options, seed)
    if opened.manifest.thumbnails is None:
        raise UsageError(
            f"{opened.path} holds no thumbnails to show (it was made with --no-thumbnails); embed with them"
        )
    chosen = choose_bank(opened.path, layer, bank)
    loaded = load_bank(bank_folder(opened.path, *chosen))
    questions = draw(loaded, opened.shown_labels(labels), config)
    facts = {
        "format": FORMAT,
        "layer": chosen[0],
        "bank": chosen[1],
        "concepts_digest": content_digest(loaded),
        "listing_digest": opened.manifest.images["digest"],
        "note": note,
        "link": secrets.token_urlsafe(24),
        "config": asdict(config),
        "questions": [each.to_json() for each in questions],
    }
    with whole_folder(folder) as aside:
        text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
        (aside / QUESTIONS).write_bytes(text.encode("utf-8", "replace") + b"\n")
        (aside / ANSWERS).touch()
    return Study.at(folder)


def list_studies(run: Path) -> list[str]:
    """Names of the studies in a run, sorted."""
    found = (run / STUDIES).glob(f"*/{QUESTIONS}")
    return sorted(file.parent.name for file in found if file.parent.name[0] != ".")


def open_study(run: Run | str | PathLike[str], name: str | None = None) -> Study:
    """A study of a run.

    Parameters
    ----------
    run : Run or path
        The run.
    name : str, optional
        Needed only where it has several.

    Raises
    ------
    UsageError
        There is no such study, or there are several to choose from.
    MonosemeError
        It is damaged.

    Examples
    --------
    ::

        ms.open_study("runs/iv3").score()
    """
    path = run.path if isinstance(run, Run) else Path(run)
    known = list_studies(path)
    if not known:
        raise UsageError(f"{path} has no study; draw one with monoseme study new")
    if name is None and len(known) > 1:
        raise UsageError(f"{path} has several studies; name one of {join_words(known)}")
    wanted = name if name is not None else known[0]
    if wanted not in known:
        raise UsageError(
            f"{path} has no study {wanted!r}, only {join_words(known, 'and')}{did_you_mean(wanted, known)}"
        )
    return Study.at(path / STUDIES / wanted)
