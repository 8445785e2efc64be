"""Mappings of memory: mmap(2), munmap(2), madvise(2)."""

from __future__ import annotations

from .c import c_int, c_long, c_size_t, c_void_p
from .core import bind, fail

PROT_READ_WRITE = 0x3
MAP_SHARED, MAP_PRIVATE_ANONYMOUS = 0x1, 0x22
MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK = 4, 10, 11  # asm-generic/mman-common.h

_mmap = bind("mmap", c_void_p, c_void_p, c_size_t, c_int, c_int, c_int, c_long)
_munmap = bind("munmap", c_int, c_void_p, c_size_t)
_madvise = bind("madvise", c_int, c_void_p, c_size_t, c_int)


def mmap(size: int, flags: int, fd: int = -1) -> int:
    """Map size bytes, to be read and written, at an address that the kernel chooses: return it.

    flags: MAP_SHARED for those of the file fd, or MAP_PRIVATE_ANONYMOUS.

    Raises OSError with errno ENOMEM, or with others for a file that cannot be mapped.
    Source: mmap(2).
    """
    address: int | None = _mmap(None, size, PROT_READ_WRITE, flags, fd, 0)
    if address is None or address == c_void_p(-1).value:
        fail(f"mmap({size})")
    return address


def munmap(address: int, size: int) -> None:
    """Source: munmap(2)."""
    if _munmap(address, size) == -1:
        fail(f"munmap({size})")


def madvise(address: int, size: int, advice: int) -> None:
    """Raises OSError with errno EINVAL for advice that the mapping cannot take.

    Source: madvise(2).
    """
    if _madvise(address, size, advice) == -1:
        fail(f"madvise({size}, {advice})")
