"""Other libraries' errors, short enough for a sentence."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop.

    >>> first_line(ValueError("no.\\nreally"))
    'no'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
