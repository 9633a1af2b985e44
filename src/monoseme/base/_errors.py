"""Errors that a user can act on: one sentence that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class MonosemeError(Exception):
    """The work could not be done. The message is one sentence for the user; the command line prints it and exits with 1."""

    exit_status = 1


class UsageError(MonosemeError):
    """What was asked for is not possible as written (a wrong name, value or combination); exit status 2."""

    exit_status = 2


class MissingExtraError(MonosemeError):
    """An optional dependency is needed.

    >>> str(MissingExtraError("reading timm models", package="timm", extra="timm"))
    "reading timm models needs the package timm: pip install 'monoseme[timm]'"
    """

    def __init__(self, purpose: str, *, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs the package {package}: pip install 'monoseme[{extra}]'")


def did_you_mean(name: str, choices: Iterable[str], *, limit: int = 3) -> str:
    """The end of an error sentence that offers the nearest of the known names, or nothing.

    >>> did_you_mean("layer5", ["layer1", "layer4", "fc"])
    '; did you mean layer4 or layer1?'
    >>> did_you_mean("xyz", ["layer1"])
    ''
    """
    close = get_close_matches(name, list(choices), n=limit, cutoff=0.5)
    return f"; did you mean {join_words(close)}?" if close else ""


def first_line(error: BaseException, limit: int | None = None) -> str:
    """The first line of another library's error, without its full stop, short enough for a sentence.

    >>> first_line(ValueError("no.\\nreally"))
    'no'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:limit].rstrip(".")


def counted(number: int, what: str) -> str:
    """A number with its noun.

    >>> counted(1, "concept"), counted(2000, "concept")
    ('1 concept', '2,000 concepts')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def join_words(words: Sequence[str], last: str = "or") -> str:
    """``a``, ``a or b``, ``a, b or c``.

    >>> join_words(["a", "b", "c"], "and")
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""
