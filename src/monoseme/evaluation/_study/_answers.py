"""The answers of a study: a file that only grows, a line an answer, on the disk before anybody is told that it is saved."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...base import Lock, MonosemeError, UsageError, writing

PEOPLE = 2_000
"""The most people that one study takes."""
WAIT = 5.0
"""Seconds to wait for another process that is writing an answer."""


@dataclass(frozen=True)
class Answer:
    """What one person said to one question.

    person : running number of the person
    question : number of the question
    choice : what was chosen, by its place in the question; None for words, and for "cannot tell"
    word : what was written, None where nothing was
    seconds : from the pictures' being there to the answer, as the browser measured it
    at : when it was saved, in seconds since 1970
    """

    person: int
    question: int
    choice: int | None
    word: str | None
    seconds: float
    at: int


class Answers:
    """The answers in a file, as they are on the disk now.

    A person is a random token and a running number. The first answer of a person to a question counts, and there is no other.

    Examples
    --------
    >>> import tempfile
    >>> answers = Answers(Path(tempfile.mkdtemp()) / "answers.jsonl")
    >>> token = answers.begin()
    >>> answers.give(token, 4, 2, None, 3.5).choice, answers.give(token, 4, 1, None, 9.0).choice
    (2, 2)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._read_to = 0
        self._lines = 0
        self._people: dict[str, int] = {}
        self._given: list[Answer] = []
        self._of: dict[int, dict[int, Answer]] = {}

    def all(self) -> list[Answer]:
        """Every answer, in the order in which they came."""
        with self._lock:
            self._refresh()
            return list(self._given)

    def people(self) -> int:
        """How many have begun."""
        with self._lock:
            self._refresh()
            return len(self._people)

    def person(self, token: str) -> int | None:
        """The running number of a person, None for a token that was never given out."""
        with self._lock:
            if token not in self._people:
                self._refresh()
            return self._people.get(token)

    def of(self, person: int) -> dict[int, Answer]:
        """What a person has said, by question."""
        with self._lock:
            self._refresh()
            return dict(self._of.get(person, {}))

    def begin(self) -> str:
        """A new person's token.

        Raises
        ------
        UsageError
            So many have begun that something must be wrong.
        MonosemeError
            It cannot be written.
        """
        with self._lock, self._alone():
            self._refresh()
            if len(self._people) >= PEOPLE:
                raise UsageError("this study takes no more people")
            token = secrets.token_urlsafe(18)
            self._append({"begin": token, "at": int(time.time())})
        return token

    def give(self, token: str, question: int, choice: int | None, word: str | None, seconds: float) -> Answer:
        """Save an answer and return the one that counts: this, or the one that was given before.

        Raises
        ------
        UsageError
            Nobody has this token.
        MonosemeError
            It cannot be written.
        """
        with self._lock, self._alone():
            self._refresh()
            person = self._people.get(token)
            if person is None:
                raise UsageError("nobody takes part under this address")
            known = self._of.get(person, {}).get(question)
            if known is None:
                known = Answer(person, question, choice, word, round(seconds, 2), int(time.time()))
                self._append(asdict(known))
            return known

    def _alone(self) -> Lock:
        """No other process writes meanwhile."""
        return Lock(self.path.with_suffix(".lock"), f"{self.path} is being written; try again", wait=WAIT)

    def _append(self, line: Mapping[str, Any]) -> None:
        content = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        with writing(self.path), self.path.open("ab") as file:
            if file.tell() > self._read_to:  # a line that a crash has cut off, and that nobody was told is saved
                file.truncate(self._read_to)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._refresh()

    def _refresh(self) -> None:
        """Read what has been added. A last line without an end is being written, or was cut off by a crash."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        lines = [self._parsed(line, self._lines + number) for number, line in enumerate(whole.splitlines(), 1)]
        for line in lines:
            if isinstance(line, Answer):
                mine = self._of.setdefault(line.person, {})
                if line.question not in mine:
                    mine[line.question] = line
                    self._given.append(line)
            else:
                self._people.setdefault(line, len(self._people))
        self._lines += len(lines)
        self._read_to += len(whole)

    def _parsed(self, line: bytes, number: int) -> Answer | str:
        """An answer, or the token of somebody who begins."""
        try:
            given = json.loads(line)
            if "begin" in given:
                return str(given["begin"])
            answer = Answer(**given)
            numbers = (answer.person, answer.question, answer.at, *([] if answer.choice is None else [answer.choice]))
            if not all(isinstance(each, int) and each >= 0 for each in numbers):
                raise ValueError("a number is none")
            if not isinstance(answer.seconds, int | float) or not isinstance(answer.word, str | None):
                raise ValueError("a value is of another kind")
            return answer
        except (ValueError, TypeError, RecursionError) as error:
            raise MonosemeError(f"line {number} of {self.path} is damaged; take it out to go on") from error
