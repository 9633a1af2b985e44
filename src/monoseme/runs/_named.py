"""The names that images go by: in full, by the end of a path, or as the end of a longer path."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..base import UsageError, counted
from ..images import shown

_LONGEST = 4096
"""Characters of a path that can be; what is longer names nothing."""

IntArray = npt.NDArray[np.int64]


def find_named(names: pa.Array, texts: pa.Array, where: object, *, by_number: bool = False) -> IntArray:
    """(U,) place in `texts` of each name, -1 where it is none.

    A path that is none of them finds the one text that ends with it, or else the longest text that it ends with, both at
    borders of folders.

    Raises
    ------
    UsageError
        A name may mean several; it is said to be in `where`.
    """
    found = np.asarray(pc.fill_null(pc.index_in(names, value_set=texts), -1).to_numpy(), dtype=np.int64)
    fits = pc.less_equal(pc.binary_length(names), _LONGEST).to_numpy(zero_copy_only=False)
    lost = np.flatnonzero((found < 0) & fits)
    if len(lost):
        cleaned = [name.strip().replace("\\", "/") for name in names.take(pa.array(lost)).to_pylist()]
        if by_number:
            found[lost] = pc.fill_null(pc.index_in(pa.array(cleaned, texts.type), value_set=texts), -1).to_numpy()
        else:
            found[lost] = _by_ending(cleaned, texts.to_pylist(), where)
    return found


def _by_ending(names: list[str], texts: list[str], where: object) -> list[int]:
    """Place in `texts` of the one that ends with each name, else of the longest that the name ends with, else -1."""
    ending: dict[str, list[int]] = {}
    wanted, depths = set(names), _depths(names)
    for place, text in enumerate(texts):
        for end in _endings(text, depths):
            if end in wanted:
                ending.setdefault(end, []).append(place)
    whole, depths = {text: place for place, text in enumerate(texts)}, _depths(texts)
    found = []
    for name in names:
        fitting = [whole[name]] if name in whole else ending.get(name, [])
        if len(fitting) > 1:
            some = " or ".join(shown(texts[place]) for place in fitting[:2])
            more = f" ({counted(len(fitting), 'image')} in all)" if len(fitting) > 2 else ""
            raise UsageError(f"{shown(name)} in {where} may mean {some}{more}; write more of its path")
        found.append(fitting[0] if fitting else next((whole[e] for e in _endings(name, depths) if e in whole), -1))
    return found


def _depths(paths: list[str]) -> list[int]:
    """The numbers of slashes that occur, most first."""
    return sorted({path.count("/") for path in paths}, reverse=True)


def _endings(path: str, depths: list[int]) -> list[str]:
    """What follows a slash of a path and has one of the given numbers of slashes itself, longest first.

    >>> _endings("a/b/c/d.jpg", [7, 2, 0])
    ['b/c/d.jpg', 'd.jpg']
    """
    slashes = path.count("/")
    return [path.split("/", slashes - depth)[-1] for depth in depths if depth < slashes]
