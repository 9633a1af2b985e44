"""Files and digests: writes that are whole or absent, and short content digests."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ._errors import MonosemeError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def digest_bytes(*parts: bytes) -> str:
    """A 128-bit BLAKE2b digest in hex of the parts, each preceded by its length.

    >>> digest_bytes(b"ab") == digest_bytes(b"a", b"b")
    False
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def digest_text(*parts: str) -> str:
    """`digest_bytes` of UTF-8 text."""
    return digest_bytes(*(part.encode("utf-8", "surrogatepass") for part in parts))


def check_name(name: str, what: str) -> str:
    """A name that the user chose, if it can be the name of a file on any system.

    Raises
    ------
    UsageError
        It has characters that a file name should not have.

    >>> check_name("first-try", "a bank")
    'first-try'
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for {what}; use letters, digits, '.', '_' and '-', and begin with a letter or digit"
        )
    return name


@contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A fresh folder to fill beside `target`; synced and renamed to `target` when the block ends without an error.

    A crash at any moment leaves either no `target` (or the old one) or the whole new one.

    Raises
    ------
    MonosemeError
        `target` exists and `replace` is false, or the disk is full or not writable.
    """
    if target.exists() and not replace:
        raise MonosemeError(f"{target} exists already; choose another name, or ask to overwrite it")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        os.chmod(aside, 0o777 & ~_umask())
        try:
            yield aside
            for path in aside.rglob("*"):
                _sync(path)
            _sync(aside)
            _swap_in(aside, target)
            _sync(target.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part."""
    with whole_file(target, replace=True) as aside:
        aside.write_bytes(content)


@contextmanager
def whole_file(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A name beside `target` for a file to be written bit by bit; synced and renamed to `target` when the block ends.

    Raises
    ------
    MonosemeError
        `target` exists and `replace` is false, or the disk is full or not writable.
    """
    if target.exists() and not replace:
        raise MonosemeError(f"{target} exists already; choose another name, or ask to overwrite it")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            _sync(aside)
            os.chmod(aside, 0o666 & ~_umask())
            os.replace(aside, target)
            _sync(target.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def writing(target: object) -> Iterator[None]:
    """Turn the operating system's refusals to write into sentences that name `target`."""
    try:
        yield
    except MonosemeError:
        raise
    except Exception as error:  # libraries wrap the system's refusals in errors of their own
        sentence = refusal(getattr(error, "errno", None), str(error))
        if sentence is None:
            raise
        raise MonosemeError(f"cannot write {target}: {sentence}") from error


def refusal(number: int | None, text: str) -> str | None:
    """What a failed write means and what to do, or None for an error that is not about writing."""
    lowered = text.lower()
    if number == errno.ENOSPC or number == errno.EDQUOT or "no space left" in lowered or "quota exceeded" in lowered:
        return "the disk is full; make room and run the same command again"
    if number == errno.EROFS or "read-only file system" in lowered:
        return "the file system is read-only; choose another place"
    if number in (errno.EACCES, errno.EPERM) or "permission denied" in lowered:
        return "permission denied; choose a place you may write to"
    if number == errno.ENAMETOOLONG or "file name too long" in lowered:
        return "the name is too long; choose a shorter one"
    if number in (errno.ENOTDIR, errno.EEXIST) or "not a directory" in lowered:
        return "a part of the path is a file, not a folder"
    return None


class Lock:
    """Holds a lock file while a block runs; the system lets go of it when the process ends, however it ends.

    Raises `MonosemeError` with the sentence `held` where another process has it, and still has it after `wait` seconds.
    """

    def __init__(self, path: Path, held: str, *, wait: float = 0) -> None:
        self._path, self._held, self._wait = path, held, wait
        self._file: BinaryIO | None = None

    def __enter__(self) -> Lock:
        with writing(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        last = time.monotonic() + self._wait
        while True:
            try:
                _lock(self._file)
                return self
            except OSError as error:
                if time.monotonic() >= last:
                    self._file.close()
                    raise MonosemeError(self._held) from error
            time.sleep(0.01)

    def __exit__(self, *error: object) -> None:
        assert self._file is not None
        self._file.close()  # the file stays: were it deleted, two processes could hold locks on two files of that name


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _swap_in(aside: Path, target: Path) -> None:
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
        os.replace(target, old / target.name)
        try:
            os.replace(aside, target)
        except BaseException:
            os.replace(old / target.name, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(aside, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
