"""seccomp(2): load a filter."""

from __future__ import annotations

from .c import (
    Structure,
    addressof,
    c_uint,
    c_ushort,
    c_void_p,
    create_string_buffer,
)
from .core import bind_syscall, fail, number
from .flags import names
from .seccomp_constants import SECCOMP_FILTER_FLAG_NAMES

# include/uapi/linux/seccomp.h
SECCOMP_SET_MODE_FILTER = 1


class SockFprog(Structure):
    """struct sock_fprog, include/uapi/linux/filter.h."""

    _fields_ = (("len", c_ushort), ("filter", c_void_p))


def fprog(length: int, address: int) -> bytes:
    """A struct sock_fprog of so many instructions at an address."""
    return bytes(SockFprog(length, address))


_NR_SECCOMP = number("seccomp")
_seccomp = bind_syscall(c_uint, c_uint, c_void_p, locked=True)


class Filter:
    """A filter's program, laid out in memory before it is loaded.

    instructions: struct sock_filter of 8 bytes each (code, jt, jf, k), in this
        machine's byte order; at most 4096 of them.
    """

    __slots__ = ("_program", "address", "length")

    def __init__(self, instructions: bytes) -> None:
        code = create_string_buffer(instructions, len(instructions))
        self.length = len(instructions) // 8
        self._program = SockFprog(self.length, addressof(code)), code  # kept alive
        self.address = c_void_p(addressof(self._program[0]))


def seccomp_set_mode_filter(program: Filter, flags: int = 0) -> int:
    """Put this thread, and what it executes, under one more filter, for good.

    flags: SECCOMP_FILTER_FLAG_*.  With NEW_LISTENER the answer is the
        descriptor that notifications come by, the caller's, close-on-exec;
        otherwise 0.

    Raises OSError with errno
        EACCES  neither no_new_privs nor CAP_SYS_ADMIN;
        EBUSY   NEW_LISTENER, and a filter with a listener is there;
        EINVAL  an unknown flag, or an invalid program;
        ENOMEM  filters of more than 32768 instructions altogether;
        ESRCH   SECCOMP_FILTER_FLAG_TSYNC: another thread's filters differ;
        ENOSYS  a kernel without CONFIG_SECCOMP_FILTER.

    Source: seccomp(2).
    """
    result: int = _seccomp(_NR_SECCOMP, SECCOMP_SET_MODE_FILTER, flags, program.address)
    if result == -1:
        text = f"{names(flags, SECCOMP_FILTER_FLAG_NAMES)}, {{len={program.length}}}"
        fail(f"seccomp(SECCOMP_SET_MODE_FILTER, {text})")
    return result
