"""How to take a concept along: the vector, the line that loads it, the command that makes its bank again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import numpy as np

from ..base.html import Html, element, joined
from ._opened import OpenedBank

LONGEST = 1_900
"""Letters of a line that is worth showing; pages cut longer ones."""


def take_along(bank: OpenedBank, concept: int) -> Html:
    """The part of a concept's page that is to be copied."""
    address = f"/api{bank.place().base}/concept/{concept}/vector"
    vector = element("button", "copy the vector", type="button", data_copy_from=address)
    rows = [
        element("p", vector, " ", element("a", "as JSON", href=address)),
        _copied("Python", python_line(bank, concept)),
    ]
    if (line := command(bank)) is not None:
        rows.append(_copied("the command that makes this bank", line))
    return joined(rows)


def _copied(name: str, line: str) -> Html:
    button = element("button", "copy", type="button", data_copy=line, aria_label=f"copy {name}")
    return element("p", element("span", name, class_="faint"), element("br"), element("code", line), " ", button)


def python_line(bank: OpenedBank, concept: int) -> str:
    """The line that loads the vector."""
    return f"ms.load_bank({str(bank.run.path)!r}, layer={bank.layer!r}, name={bank.name!r})[{concept}].vector"


def command(bank: OpenedBank) -> str | None:
    """The command that makes the bank again; None where it was made from what no command can name."""
    known, start = dict(bank.bank.info["parameters"]), bank.bank.info["parameters"].get("directions", "neurons")
    method = str(bank.bank.info.get("method"))
    if start not in ("neurons", "svd") or method not in ("published", "calibrated"):
        return None
    words = ["monoseme", "disentangle", str(bank.run.path), "--layer", bank.layer, "--bank", bank.name]
    words += ["--method", method, "--directions", start]
    numbers = np.unique(bank.bank.directions)
    if len(numbers) < bank.bank.info["activations"]["neurons"]:
        words += ["--neurons", ranges(numbers.tolist())]
    if (pooling := bank.bank.pooling) is not None:
        words += ["--pooling", pooling]
    options = (
        *("top", "granularity", "alpha", "max_cosine", "distance_threshold", "outlier_threshold", "min_size"),
        *("scaling", "vector", "holdout", "bootstrap", "max_per_photograph", "seed"),
    )
    for name in options:
        if known.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(known[name])]
    for band in known.get("bands") or []:
        words += ["--band", f"{band:g}"]
    line = shlex.join(words)
    return line if len(line) < LONGEST else None


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as the command line takes them.

    >>> ranges([0, 35, 100, 101, 102])
    '0,35,100-102'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
