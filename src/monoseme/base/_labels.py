"""Which labels each image has: none, one or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ._errors import UsageError
from ._text import printable

if TYPE_CHECKING:
    import scipy.sparse


@dataclass(frozen=True)
class Labels:
    """The labels of N images as P pairs of an image and a label, sorted by image, then label; no pair is there twice.

    Attributes
    ----------
    count : int
        N, images without a label included.
    names : tuple of str
        (L,) the labels, sorted; each is on at least one image.
    image_ids : (P,) int64
        Number of the image of each pair.
    codes : (P,) int64
        Place in `names` of the label of each pair.

    Examples
    --------
    >>> labels = Labels.of(["cat", None, ["dog", "cat"]])
    >>> labels.names, labels.image_ids.tolist(), labels.codes.tolist()
    (('cat', 'dog'), [0, 2, 2], [0, 0, 1])
    """

    count: int
    names: tuple[str, ...]
    image_ids: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: Iterable[object]) -> Self:
        """From one element an image: None or empty text (no label), text, a whole number, or a list of these.

        Raises
        ------
        UsageError
            An element is something else.

        Examples
        --------
        >>> Labels.of([3, None, ["a", 3]]).names
        ('3', 'a')
        """
        if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
            raise UsageError(f"labels must be a list with an element for each image, not {type(labels).__name__}")
        listed = labels.tolist() if hasattr(labels, "tolist") else labels  # numbers of NumPy or torch become Python's
        known: dict[str, int] = {}
        image_ids, codes, count = [], [], 0
        for count, each in enumerate(listed, 1):
            for label in each if isinstance(each, list | tuple | set | frozenset | np.ndarray) else (each,):
                if label is not None and (text := _text(label, count - 1)):
                    image_ids.append(count - 1)
                    codes.append(known.setdefault(text, len(known)))
        return cls.from_pairs(count, np.array(image_ids, np.int64), np.array(codes, np.int64), list(known))

    @classmethod
    def none(cls, count: int) -> Self:
        """No label on any of `count` images."""
        return cls(count, (), np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def from_pairs(
        cls, count: int, image_ids: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], names: Sequence[str]
    ) -> Self:
        """From pairs in any order, repeats allowed; `names` holds no name twice, and those on no image are left out."""
        used, codes = np.unique(codes, return_inverse=True)
        kept = [names[code] for code in used]
        order = sorted(range(len(kept)), key=kept.__getitem__)
        place = np.empty(len(kept), dtype=np.int64)
        place[order] = np.arange(len(kept))
        width = max(len(kept), 1)
        pairs = np.sort(image_ids * width + place[codes])
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique hashes, which is slow for millions
        return cls(count, tuple(kept[each] for each in order), pairs // width, pairs % width)

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """(N,) whether an image has any label."""
        has = np.zeros(self.count, dtype=np.bool_)
        has[self.image_ids] = True
        return has

    def matrix(self) -> scipy.sparse.csr_array:
        """(N, L) sparse bool: whether an image has a label.

        Examples
        --------
        >>> Labels.of(["cat", None, ["dog", "cat"]]).matrix().toarray().astype(int).tolist()
        [[1, 0], [0, 0], [1, 1]]
        """
        from scipy.sparse import csr_array

        starts = np.searchsorted(self.image_ids, np.arange(self.count + 1))
        there = np.ones(len(self.codes), dtype=np.bool_)
        return csr_array((there, self.codes, starts), shape=(self.count, len(self.names)))

    def counts(self, image_ids: npt.ArrayLike) -> list[tuple[str, int]]:
        """How many of some images have each label, the commonest first, then by name.

        Examples
        --------
        >>> Labels.of(["cat", None, ["dog", "cat"]]).counts([0, 1, 2])
        [('cat', 2), ('dog', 1)]
        """
        ids = np.asarray(image_ids, dtype=np.int64).reshape(-1)
        begin, end = np.searchsorted(self.image_ids, ids), np.searchsorted(self.image_ids, ids, "right")
        found = Counter(code for low, high in zip(begin, end, strict=True) for code in self.codes[low:high].tolist())
        named = [(self.names[code], count) for code, count in found.items()]
        return sorted(named, key=lambda pair: (-pair[1], pair[0]))

    def commonest(self, image_ids: npt.ArrayLike, limit: int = 3, width: int = 60) -> str:
        """The commonest labels of some images, as ``apple 21, tomato 6``; empty where they have none."""
        return ", ".join(f"{printable(name, width)} {count}" for name, count in self.counts(image_ids)[:limit])

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"<{len(self.names):,} labels on {int(self.labelled.sum()):,} of {self.count:,} images>"


def _text(label: Any, image: int) -> str:
    if not isinstance(label, str | Integral):
        raise UsageError(
            f"the label of image {image} is of type {type(label).__name__}; give None, text, a whole number, or a list of these"
        )
    return str(label)
