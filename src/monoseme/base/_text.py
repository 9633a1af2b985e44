"""Text from elsewhere (labels, file names, notes) made fit to be shown."""

from __future__ import annotations


def printable(text: str, limit: int = 60) -> str:
    """Text fit for a terminal or a figure: no control or direction marks, bounded length.

    >>> printable("tab\\there"), printable("a long name", 8)
    ('tab\ufffdhere', 'a long …')
    """
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: 4 * limit])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
