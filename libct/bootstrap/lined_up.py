"""Lined-up calls: what a process does without an interpreter.

A process that waits for hours, and has a few system calls to make then, needs no Python for
them.  So they are lined up as contexts of the C library (makecontext(3)), each of which goes
on to the next, and the memory of the interpreter is given back to the kernel.  What waits is
some hundred KiB of stack and C library instead of the whole interpreter, a few MiB.

There is no way back into Python from here, so everything that the calls need lies in a region
of its own: strings, arrays, contexts, stacks.  And they cannot branch: each is made after
those before it, whatever they return.
"""

from __future__ import annotations

import posix
import sys

from ..syscalls.c import (
    Structure,
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_ulong,
    c_void_p,
    sizeof,
)
from ..syscalls.core import bind
from ..syscalls.memory import (
    MAP_PRIVATE_ANONYMOUS,
    mmap,
    munmap,
)
from ..syscalls.sharing import clone_to

PAGE = posix.sysconf("SC_PAGESIZE")
# A context and the stack that its one call runs on.  ucontext_t is the largest
# on aarch64, with 4560 bytes; a system call's wrapper needs some hundred of stack.
_CONTEXT, _STACK = 8192, 8192
WAY = 128  # bytes of the stack by which clone_to() leads to the first call
_MOST_ARGUMENTS = 6
# An errno that no call returns: what stands in its place in a message until it is known.
ERRNO_TO_COME = 0x5EED5EED


class _Context(Structure):
    """The head of ucontext_t, the same on all machines (getcontext(3))."""

    _fields_ = (
        ("flags", c_ulong),
        ("link", c_void_p),
        ("stack", c_void_p),
        ("stack_flags", c_int),
        ("stack_size", c_size_t),
    )


class _IOVec(Structure):
    """struct iovec, readv(2)."""

    _fields_ = (("base", c_void_p), ("size", c_size_t))


_memmove = bind("memmove", c_void_p, c_void_p, c_char_p, c_size_t)
errno_location = bind("__errno_location", c_void_p)
_set_handler = bind("signal", c_void_p, c_int, c_void_p)
_CALLS = (
    *("madvise", "prctl", "poll", "read", "write", "writev", "execve", "_exit"),
    *("close", "dup2", "memmove", "memset", "setsid", "signal", "syscall"),
)
PYTHON = "PyObject_CallNoArgs"  # whose one argument is an object, by its address: id() of it
_addresses = {
    name: c_void_p.from_buffer(bind(name, c_int)).value or 0 for name in (*_CALLS, PYTHON)
}
try:
    _getcontext = bind("getcontext", c_int, c_void_p)
    _setcontext = bind("setcontext", c_int, c_void_p, locked=True)
    _makecontext = bind(
        "makecontext",
        None,
        c_void_p,
        c_void_p,
        c_int,
        *[c_long] * _MOST_ARGUMENTS,
    )
    _available = sys.byteorder == "little"  # as a message has numbers: one is errno
    setcontext_at = c_void_p.from_buffer(_setcontext).value or 0
except AttributeError:  # musl has none of the three
    _available = False


def end_on(number: int) -> None:
    """Have a signal end this process by _exit(2), with its number as the status.

    So the kernel tells nobody of a fault, and dumps no core.
    """
    _set_handler(number, _addresses["_exit"])


def called() -> list[int]:
    """Where the functions are that can be called."""
    return [_addresses[name] for name in _CALLS]


def fill(address: int, data: bytes) -> None:
    """Write over this process's memory."""
    _memmove(address, data, len(data))


def address_of(data: bytes) -> int:
    """Where the bytes lie, and a NUL after them, as long as they are kept."""
    return c_void_p.from_buffer(c_char_p(data)).value or 0


def available() -> bool:
    """Whether this C library can do it."""
    return _available


class Call:
    """One of the calls: its function by name, arguments, and the next one, or None.

    The last three may be changed until it is made ready.  address: of its context; top: where
    the stack ends that it runs on.
    """

    __slots__ = ("_stack", "address", "args", "following", "name", "top")

    def __init__(self, address: int, stack: int, name: str, args: tuple[int, ...]) -> None:
        self.address, self._stack = address, stack
        self.top = address + _CONTEXT + stack
        self.name, self.args = name, args
        self.following: Call | None = None
        _getcontext(address)

    def make_ready(self) -> None:
        """Have its context be that of the call, and lead to the next one."""
        context = _Context.from_address(self.address)
        context.link = self.following.address if self.following is not None else None
        context.stack, context.stack_size = self.address + _CONTEXT, self._stack
        args = [*self.args, *[0] * (_MOST_ARGUMENTS - len(self.args))]
        _makecontext(self.address, _addresses[self.name], _MOST_ARGUMENTS, *args)


class Region:
    """Memory of its own, that is filled from the front: what the calls need, and they."""

    def __init__(self, calls: int, size: int) -> None:
        """calls: how many there will be; size: bytes of what they need, with some for each."""
        size += calls * (_CONTEXT + _STACK) + PAGE
        size = whole_pages(0, size)[1]
        address = mmap(size, MAP_PRIVATE_ANONYMOUS)
        self._start = self._next = address
        self._end = address + size
        self._calls: list[Call] = []

    def take(self, size: int) -> int:
        """The address of the next bytes, 16 of which lie together."""
        address = self._next
        self._next += (size + 15) & ~15
        if self._next > self._end:
            raise MemoryError("lined-up calls need more room than was counted")
        return address

    def place(self, data: bytes) -> int:
        address = self.take(len(data))
        _memmove(address, data, len(data))
        return address

    def strings(self, values: list[bytes]) -> int:
        """A NULL-terminated array of strings, which end with a NUL themselves."""
        pointers = [*map(self.place, values), 0]
        packed = b"".join(at.to_bytes(sizeof(c_void_p), "little") for at in pointers)
        return self.place(packed)

    def vectors(self, *parts: tuple[int, int]) -> int:
        return self.place(b"".join(bytes(_IOVec(*part)) for part in parts))

    def with_errno(self, data: bytes) -> int:
        """Three vectors of data, with errno in the place of ERRNO_TO_COME."""
        before, _, after = data.partition(ERRNO_TO_COME.to_bytes(4, "little"))
        return self.vectors(
            (self.place(before), len(before)),
            (errno_location(), 4),
            (self.place(after), len(after)),
        )

    def polled(self, *fds: tuple[int, int]) -> int:
        """An array of struct pollfd, poll(2): descriptors and the events that are waited for."""
        parts = [
            fd.to_bytes(4, sys.byteorder) + events.to_bytes(2, sys.byteorder) + b"\0\0"
            for fd, events in fds
        ]
        return self.place(b"".join(parts))

    def besides(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """What of them is not the region."""
        parts = [
            part
            for start, end in ranges
            for part in ((start, min(end, self._start)), (max(start, self._end), end))
        ]
        return [part for part in parts if part[0] < part[1]]

    def call(self, name: str, *args: int, stack: int = _STACK) -> Call:
        """One more call; it is made after those before it, whatever they return."""
        call = Call(self.take(_CONTEXT + stack), stack, name, args)
        if self._calls:
            self._calls[-1].following = call
        self._calls.append(call)
        return call

    def go(self) -> None:
        """Make the calls; there is no return from the last one."""
        for call in self._calls:
            call.make_ready()
        _setcontext(self._calls[0].address)

    def clone(self, flags: int, number_at: int) -> int:
        """Have a new process make them, by a copy of our memory (idle.py); return its number."""
        for call in self._calls:
            call.make_ready()
        way = self.take(WAY) + WAY // 2
        return clone_to(self._calls[0].address, setcontext_at, way, flags, number_at)

    def rewind(self) -> None:
        """Fill it from the front again."""
        self._next = self._start

    def close(self) -> None:
        munmap(self._start, self._end - self._start)


def whole_pages(start: int, end: int) -> tuple[int, int]:
    return start & -PAGE, -(-end & -PAGE)
