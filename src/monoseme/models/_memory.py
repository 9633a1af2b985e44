"""Freed memory: glibc's allocator told not to hand the feature maps' pages back after every layer, or to do so now."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from typing import Any

# Names and numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8

_LARGEST = 2**31 - 1
_TOP_PAD = 64 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Make this process keep large blocks it frees, for the layer or the batch that comes next. True when it took effect.

    By default glibc asks the kernel for every block above a few megabytes and gives it back when freed, so that each
    layer's output is fresh memory whose pages must be faulted in and zeroed: a ReLU6 on 38 MB took 62 ms so and 11 ms with
    kept memory, and EfficientNet-Lite0 at 160 px ran 1.3 to 2 times as fast (two cores, two measurements). The price is that the
    process stays as large as it once was. Elsewhere than on glibc (macOS, Windows, musl) nothing is done.

    Call it before the work and before the threads that do it are started, once or often; it cannot be undone within the
    process. Threads started later share the main thread's heap, for that of a thread's own cannot grow beyond 64 MB.

    Examples
    --------
    >>> keep_freed_memory() == keep_freed_memory()
    True
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    # glibc before 2.35 refuses a threshold above 32 MB; forbidding separate mappings altogether comes to the same.
    unmapped: bool = mallopt(_M_MMAP_THRESHOLD, _LARGEST) == 1 or mallopt(_M_MMAP_MAX, 0) == 1
    kept: bool = mallopt(_M_TRIM_THRESHOLD, _LARGEST) == 1
    # Ask the kernel for much at a time: what is kept grows in fewer steps.
    mallopt(_M_TOP_PAD, _TOP_PAD)
    mallopt(_M_ARENA_MAX, 1)
    return unmapped and kept


def give_back_memory() -> bool:
    """Hand memory that is free to the system, after work that took much for once. True where that can be done.

    After a receptive field of EfficientNet-Lite0 was measured, a process shrank so from 668 to 467 MB.
    """
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is None:
        return False
    malloc_trim(ctypes.c_size_t(0))
    return True


def _of_glibc(name: str) -> Any:
    """A function of glibc; None on other systems."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
