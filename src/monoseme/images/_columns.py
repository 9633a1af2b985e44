"""Which columns of a table hold images and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..base import UsageError
from ._names import shown, uri_of

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes", "photo", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "cls", "category", "fine_label", "target")


def image_column(candidates: Sequence[str], columns: Sequence[str], where: str) -> str:
    """The column of images among those whose type fits: by name, or the only one.

    Raises
    ------
    UsageError
        There is none, or several and none has a usual name.
    """
    for name in IMAGE_COLUMNS:
        for candidate in candidates:
            if candidate.lower() == name:
                return candidate
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        listed = ", ".join(map(shown, candidates))
        raise UsageError(f"several columns of {where} may hold images ({listed}); name the right one image")
    listed = ", ".join(map(shown, columns)) or "none"
    raise UsageError(f"{where} has no column of encoded images (columns: {listed}); name one image and store the bytes")


def label_column(candidates: Iterable[str]) -> str | None:
    """The column of labels among those whose type fits, by name."""
    by_name = {candidate.lower(): candidate for candidate in candidates}
    return next((by_name[name] for name in LABEL_COLUMNS if name in by_name), None)


def label_text(value: Any, names: Sequence[str] | None = None) -> str | None:
    """A label as text: a string as it is, a number by its name where names are known; None for what is no label.

    >>> label_text(1, ["cat", "dog"]), label_text("cat"), label_text(7), label_text(-1, ["cat"]), label_text([1])
    ('dog', 'cat', '7', None, None)
    """
    if hasattr(value, "item") and getattr(value, "size", None) != 0:  # a scalar of numpy or torch
        try:
            value = value.item()
        except (ValueError, RuntimeError):
            return None
    if isinstance(value, str):
        return uri_of(value) or None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if names is None:
        return str(value)
    return str(names[value]) if 0 <= value < len(names) else None
