"""How patches are cut, and how that is written: ``patches:photos/?per_image=64&min=0.15&max=0.8&seed=0``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields, replace
from typing import Any

from ..base import UsageError, did_you_mean
from ._names import shown

PREFIX = "patches:"


@dataclass(frozen=True, slots=True)
class PatchOptions:
    """How to cut patches.

    Raises
    ------
    UsageError
        A value is out of its range.
    """

    per_image: int = 64
    """Patches of each image."""
    min: float = 0.15
    """Least side, as a part of the image's short side."""
    max: float = 0.8
    """Greatest side, likewise."""
    seed: int = 0
    """Another seed gives other patches."""
    flat: float = 4.0
    """Patches whose values (0 to 255) have a standard deviation below this are drawn again; 0 allows them."""

    def __post_init__(self) -> None:
        if self.per_image < 1:
            raise UsageError(f"per_image must be at least 1, not {self.per_image}")
        if not 0 < self.min <= self.max <= 1:
            raise UsageError(f"patches need 0 < min <= max <= 1, not min={self.min:g} and max={self.max:g}")
        if not 0 <= self.flat < math.inf:
            raise UsageError(f"flat must be 0 or more, not {self.flat:g}")


def parsed(spec: str, defaults: PatchOptions) -> tuple[str, PatchOptions]:
    """The spec of the images to cut from, and the options, of ``patches:SPEC[?name=value&...]``.

    >>> parsed("patches:photos/*.jp?g?per_image=8&seed=3", PatchOptions())
    ('photos/*.jp?g', PatchOptions(per_image=8, min=0.15, max=0.8, seed=3, flat=4.0))
    """
    inner, query = spec.removeprefix(PREFIX), ""
    if match := re.fullmatch(r"(.*)\?([A-Za-z_]+=[^?]*)?", inner, re.DOTALL):
        inner, query = match[1], match[2] or ""
    if not inner:
        raise UsageError(f"{shown(spec)} does not say what to cut patches from; write {PREFIX}photos/")
    values: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, _, text = part.partition("=")
        values[name] = _value(name, text)
    return inner, replace(defaults, **values)


def _value(name: str, text: str) -> int | float:
    kinds = {field.name: field.type for field in fields(PatchOptions)}
    if name not in kinds:
        hint = did_you_mean(name, kinds) or f"; there are {', '.join(kinds)}"
        raise UsageError(f"patches have no option {shown(name)}{hint}")
    whole = kinds[name] == "int"
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise UsageError(f"{name} must be a {'whole ' if whole else ''}number, not {shown(text)}") from None
