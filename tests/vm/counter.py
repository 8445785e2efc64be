"""How fast the processor's time stamp counter is, which a guest reads as it is.

A guest's kernel measures it by timers that are emulated.  Where the host is busy
it may find a third of what it is; then its clock runs three times too fast.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")
_SECONDS = 0.5
_TRIES = 200


@functools.cache
def counter_frequency() -> int:
    """In Hz, of an x86-64 host; others have qemu count nanoseconds."""
    if platform.machine() != "x86_64":
        return 1_000_000_000
    access = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    with mmap.mmap(-1, mmap.PAGESIZE, prot=access) as page:
        page.write(_READ)
        code = ctypes.c_char.from_buffer(page)
        read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(code))
        began = _both(read)
        time.sleep(_SECONDS)
        ended = _both(read)
        del code  # the page cannot be given back before
    return (ended[1] - began[1]) * 1_000_000_000 // (ended[0] - began[0])


def _both(read: Callable[[], int]) -> tuple[int, int]:
    """The clock in nanoseconds and the counter, at the same moment as well as it can be had."""
    tries = []
    for _ in range(_TRIES):
        before, count, after = time.monotonic_ns(), read(), time.monotonic_ns()
        tries.append((after - before, (before + after) // 2, count))
    _, clock, count = min(tries)
    return clock, count
