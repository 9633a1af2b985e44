"""Which files a folder holds or a pattern matches, by kind and in order of their names."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..base import MonosemeError, UsageError, did_you_mean
from ._files import file_size, walk
from ._names import SUFFIXES_IN_WORDS, is_junk, kind_of, shown, suffix_of, uri_of

WILDCARDS = re.compile(r"[*?\[{]")
BRACES = re.compile(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}")
MOST_EXPANSIONS = 100_000


@dataclass(slots=True)
class Found:
    """Files below `root`: of each kind (image, tar, parquet) sorted names and sizes; the others are only counted."""

    root: Path
    files: dict[str, list[tuple[str, int | None]]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    """By suffix."""
    marks: set[str] = field(default_factory=set)
    """Names of files at the top that tell what a folder is."""

    @classmethod
    def of(cls, root: Path, files: Iterable[tuple[str, int | None]]) -> Found:
        found = cls(root)
        for name, size in files:
            if is_junk(name):
                continue
            if (kind := kind_of(name)) != "other":
                found.files.setdefault(kind, []).append((name, size))
            else:
                found.others[suffix_of(name) or "without suffix"] += 1
                if "/" not in name:
                    found.marks.add(name)
        for named in found.files.values():
            named.sort(key=lambda file: uri_of(file[0]))
        return found

    def nothing(self, spec: str) -> MonosemeError:
        """Why there are no images, and what was found instead."""
        if self.marks & {"dataset_info.json", "dataset_dict.json"}:
            return UsageError(f"{shown(spec)} looks like a saved Hugging Face data set; write hf:{shown(spec)}")
        listed = ", ".join(f"{suffix} {count:,}" for suffix, count in self.others.most_common(4))
        total = self.others.total()
        held = (
            f"{total:,} other file{'s were' if total > 1 else ' was'} passed over ({listed})"
            if total
            else "it is empty"
        )
        return MonosemeError(
            f"no images in {shown(spec)}: {held}; files that end in {SUFFIXES_IN_WORDS} are looked for, "
            "and a list file can name others"
        )


def in_folder(root: Path) -> Found:
    """The files below a folder.

    Raises
    ------
    MonosemeError
        A folder in it may not be read.
    """
    with _listing(root):
        return Found.of(root, walk(root))


def by_pattern(pattern: str) -> Found:
    """The files that a pattern with ``*``, ``**``, ``?``, ``[]``, ``{a,b}`` or ``{00..09}`` matches.

    If it matches folders and no file, the files below these folders.

    Raises
    ------
    UsageError
        The pattern is wrong, nothing fits, or one of the names in braces does not exist.
    """
    parts = Path(pattern).expanduser().parts
    fixed = next((place for place, part in enumerate(parts) if WILDCARDS.search(part)), len(parts))
    root = Path(*parts[:fixed])
    if not root.is_dir():
        raise missing(root)
    rest = "/".join(parts[fixed:])
    matched = list(dict.fromkeys(itertools.chain.from_iterable(_matches(root, one) for one in expanded_braces(rest))))
    files = [path for path in matched if not path.is_dir()]
    if not files:
        with _listing(root):
            files = [folder / name for folder in matched for name, _ in walk(folder)]
    if not files:
        raise UsageError(
            f"nothing matches {shown(pattern)}, though there is a folder {shown(root)}; check the pattern, and quote it on "
            "a command line"
        )
    names = sorted({path.relative_to(root).as_posix() for path in files})
    return Found.of(root, ((name, file_size(root / name)) for name in names))


@contextmanager
def _listing(root: Path) -> Iterator[None]:
    """Turn the operating system's refusals to list a folder into a sentence."""
    try:
        yield
    except OSError as error:
        place = shown(error.filename if error.filename is not None else root)
        raise MonosemeError(f"cannot list {place}: {(error.strerror or str(error)).lower()}") from error


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    if not WILDCARDS.search(pattern):
        if not (root / pattern).exists():
            raise missing(root / pattern)
        yield root / pattern
        return
    try:
        yield from root.glob(f"{pattern}/*" if pattern.endswith("**") else pattern)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"{shown(pattern)} is not a pattern: {error}") from error


def expanded_braces(text: str) -> list[str]:
    """Every name that braces stand for, once each and in order.

    >>> expanded_braces("s-{08..10}.tar"), expanded_braces("{a,b}/x")
    (['s-08.tar', 's-09.tar', 's-10.tar'], ['a/x', 'b/x'])
    """
    done, open_ = [], [text]
    while open_:
        one = open_.pop()
        if (match := BRACES.search(one)) is None:
            done.append(one)
            continue
        choices = _choices(match[1])
        if len(choices) * (len(open_) + 1) + len(done) > MOST_EXPANSIONS:
            raise UsageError(
                f"{shown(text)} stands for more than {MOST_EXPANSIONS:,} names; use * instead of the braces"
            )
        open_ += [one[: match.start()] + choice + one[match.end() :] for choice in reversed(choices)]
    return list(dict.fromkeys(done))


def _choices(inside: str) -> list[str]:
    if span := re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", inside):
        first, last = sorted((int(span[1]), int(span[2])))
        padded = any(len(end) > 1 and end[0] == "0" for end in span.groups())
        width = max(map(len, span.groups())) if padded else 1
        if last - first > MOST_EXPANSIONS:
            return [""] * (MOST_EXPANSIONS + 1)
        return [f"{number:0{width}}" for number in range(first, last + 1)]
    return inside.split(",")


def exists(path: Path) -> bool:
    """Whether there is a file or folder.

    Raises
    ------
    MonosemeError
        A folder above it may not be entered, so that nobody can tell.
    """
    try:
        path.stat()
    except PermissionError as error:
        raise MonosemeError(f"cannot look up {shown(path)}: permission denied; ask for access to its folder") from error
    except (OSError, ValueError):
        return False
    return True


def missing(path: Path) -> UsageError:
    """That there is no such file or folder, with the nearest names of those that there are."""
    absent = path
    while not absent.parent.exists() and absent.parent != absent:
        absent = absent.parent
    try:
        siblings = [uri_of(sibling.name) for sibling in itertools.islice(absent.parent.iterdir(), 10_000)]
    except OSError:
        siblings = []
    hint = did_you_mean(uri_of(absent.name), map(shown, sorted(siblings))) or "; check the path"
    return UsageError(f"there is no file or folder {shown(path)}{hint}")
