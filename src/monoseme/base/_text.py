"""Text from elsewhere, made fit to be shown."""

from __future__ import annotations


def printable(text: str, limit: int = 60) -> str:
    """Text from elsewhere made fit for a terminal, a figure or a page: no control or direction marks, bounded length.

    >>> printable("two\\nlines"), printable("abcdef", 4)
    ('two\ufffdlines', 'abc…')
    """
    if len(text) <= limit and text.isprintable():  # nearly all
        return text
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
