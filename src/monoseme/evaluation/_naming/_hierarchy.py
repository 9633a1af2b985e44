"""A hierarchy over labels: what each is a kind of."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ...base import MissingExtraError, MonosemeError, UsageError, first_line


class Nodes(NamedTuple):
    """Labels and all that they are a kind of.

    names : (A,) as they are shown
    depth : (A,) int64, steps to the farthest root
    holds : (L, A) sparse bool, whether a label is a node or a kind of it
    """

    names: tuple[str, ...]
    depth: npt.NDArray[np.int64]
    holds: Any


@dataclass(frozen=True)
class Hierarchy:
    """What each label is a kind of, up to the roots: a label, or a kind, may be a kind of several things.

    Attributes
    ----------
    parents : mapping
        Label or kind -> the kinds that it is directly of.
    shown : mapping
        How labels and kinds are called, where that is not what they are; for identifiers such as n02084071.

    Examples
    --------
    >>> Hierarchy.of({"pug": "dog", "beagle": "dog", "dog": ["pet", "mammal"]}).above("pug")
    ('pug', 'dog', 'mammal', 'pet')
    """

    parents: Mapping[str, tuple[str, ...]]
    shown: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _refuse_circles(self.parents)

    @classmethod
    def of(cls, parents: Mapping[str, str | Iterable[str]] | Hierarchy) -> Hierarchy:
        """From a mapping of each label or kind to one kind or several.

        Raises
        ------
        UsageError
            It is empty, is no mapping of text to text, or goes round in a circle.
        """
        if isinstance(parents, Hierarchy):
            return parents
        if not isinstance(parents, Mapping) or not parents:
            raise UsageError("a hierarchy is a mapping of each label to what it is a kind of, and not empty")
        found: dict[str, tuple[str, ...]] = {}
        for child, above in parents.items():
            kinds = (above,) if isinstance(above, str) else tuple(above) if isinstance(above, Iterable) else (above,)
            if not all(isinstance(each, str) and each for each in (child, *kinds)):
                raise UsageError(f"a hierarchy maps text to text, which {child!r} and what it is a kind of are not")
            found[child] = kinds
        return cls(found)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Hierarchy:
        """From a file: JSON ({label: kind or list of kinds}), or CSV or TSV with a label and a kind of it in each row.

        Raises
        ------
        UsageError
            There is no such file, it holds something else, or goes round in a circle.
        """
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8-sig")
            content = json.loads(text) if file.suffix.lower() == ".json" else _edges(text, file)
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {file} to read a hierarchy from") from error
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(
                f"{file} holds no hierarchy ({first_line(error, 160)}); write a label and what it is a kind of in each row"
            ) from error
        try:
            return cls.of(content)
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from error

    @classmethod
    def wordnet(cls, labels: Iterable[str]) -> Hierarchy:
        """WordNet's hypernyms of nouns, for labels that are offsets such as n02084071, or words.

        Needs nltk and its WordNet data; nothing is downloaded. A word counts in its commonest sense.

        Raises
        ------
        MissingExtraError
            nltk is not installed.
        MonosemeError
            Its WordNet data are not, or WordNet knows none of the labels.
        """
        try:
            from nltk.corpus import wordnet
        except ImportError as error:
            raise MissingExtraError("the WordNet hierarchy", package="nltk", extra="wordnet") from error
        parents: dict[str, tuple[str, ...]] = {}
        shown: dict[str, str] = {}
        try:
            for label in labels:
                synset = _synset(wordnet, label)
                waiting = [] if synset is None else [(label, synset)]
                while waiting:
                    name, each = waiting.pop()
                    shown[name] = each.lemma_names()[0].replace("_", " ")
                    if name not in parents:
                        above = [*each.hypernyms(), *each.instance_hypernyms()]
                        parents[name] = tuple(kind.name() for kind in above)
                        waiting += [(kind.name(), kind) for kind in above]
        except LookupError as error:
            raise MonosemeError(
                "nltk has no WordNet data, and nothing is downloaded unasked; run python -m nltk.downloader wordnet"
            ) from error
        if not parents:
            raise MonosemeError("WordNet knows none of the labels; give a hierarchy of your own")
        return cls(parents, shown)

    def above(self, label: str) -> tuple[str, ...]:
        """A label and all that it is a kind of, nearest first."""
        found: dict[str, None] = {label: None}
        level = [label]
        while level:
            level = sorted({kind for each in level for kind in self.parents.get(each, ())} - set(found))
            found |= dict.fromkeys(level)
        return tuple(found)

    def nodes(self, labels: tuple[str, ...]) -> Nodes:
        """The labels and all that they are kinds of.

        Raises
        ------
        UsageError
            It knows none of the labels.
        """
        known = set(self.parents) | {kind for kinds in self.parents.values() for kind in kinds}
        if not known & set(labels):
            raise UsageError(
                f"the hierarchy knows none of the labels, such as {labels[0]!r}; its own are such as {min(known)!r}"
            )
        above = [self.above(label) for label in labels]
        names = sorted({node for each in above for node in each})
        place = {name: number for number, name in enumerate(names)}
        depths: dict[str, int] = {}
        for name in names:
            self._depth(name, depths)
        rows = np.repeat(np.arange(len(labels)), [len(each) for each in above])
        columns = np.array([place[node] for each in above for node in each], dtype=np.int64)
        holds = sparse.csr_array((np.ones(len(rows), np.bool_), (rows, columns)), shape=(len(labels), len(names)))
        shown = tuple(self.shown.get(name, name) for name in names)
        return Nodes(shown, np.array([depths[name] for name in names], np.int64), holds)

    def _depth(self, name: str, known: dict[str, int]) -> int:
        waiting = [name]
        while waiting:
            each = waiting[-1]
            below = [kind for kind in self.parents.get(each, ()) if kind not in known]
            if below:
                waiting += below
            else:
                known[each] = 1 + max((known[kind] for kind in self.parents.get(each, ())), default=-1)
                waiting.pop()
        return known[name]


def flat(labels: tuple[str, ...]) -> Nodes:
    """Labels without a hierarchy."""
    holds = sparse.csr_array(sparse.eye_array(len(labels), dtype=np.bool_))
    return Nodes(labels, np.zeros(len(labels), np.int64), holds)


def _edges(text: str, file: Path) -> dict[str, list[str]]:
    """Rows of a label and a kind, comma or tab between."""
    found: dict[str, list[str]] = {}
    separator = "\t" if "\t" in text else ","
    for number, row in enumerate(csv.reader(text.splitlines(), delimiter=separator), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            raise ValueError(f"row {number} does not hold two names")
        found.setdefault(cells[0], []).append(cells[1])
    return found


def _refuse_circles(parents: Mapping[str, tuple[str, ...]]) -> None:
    """Depth first, without recursion: a hierarchy may be deep."""
    done: set[str] = set()
    for start in parents:
        path: list[str] = []
        waiting = [(start, False)]
        while waiting:
            name, left = waiting.pop()
            if left:
                path.pop()
                done.add(name)
            elif name in path:
                circle = " is a kind of ".join([*path[path.index(name) :], name])
                raise UsageError(f"the hierarchy goes round in a circle: {circle}; take one of these out")
            elif name not in done:
                path.append(name)
                waiting.append((name, True))
                waiting += [(kind, False) for kind in parents.get(name, ())]


def _synset(wordnet: Any, label: str) -> Any:
    """The synset of an offset or a word, None where WordNet has none."""
    if len(label) == 9 and label[0] == "n" and label[1:].isdecimal():
        try:
            return wordnet.synset_from_pos_and_offset("n", int(label[1:]))
        except LookupError:
            raise
        except Exception:  # of WordNet's own kind: no such offset
            return None
    found = wordnet.synsets(label.strip().replace(" ", "_").replace("-", "_"), pos="n")
    return found[0] if found else None
