import platform
import subprocess
import sys

import pytest

from monoseme.models import _memory, keep_freed_memory


def test_it_may_be_asked_for_again_and_again():
    assert keep_freed_memory() is keep_freed_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has these settings")
def test_freed_memory_is_kept_under_glibc():
    # in a process of its own: a block of 256 MB, freed, must leave the process as large as it was
    code = """
from monoseme.models import keep_freed_memory
assert keep_freed_memory()
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
size = 256 * 2**20
block = libc.malloc(size)
ctypes.memset(block, 1, size)
full = resident()
libc.free(block)
assert resident() > full - size // 8, (full, resident())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name, libc", [("darwin", ""), ("win32", ""), ("linux", "musl")])
def test_elsewhere_nothing_is_done(monkeypatch, name, libc):
    monkeypatch.setattr(_memory.sys, "platform", name)
    monkeypatch.setattr(_memory.platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(_memory.ctypes, "CDLL", None)
    assert keep_freed_memory.__wrapped__() is False
