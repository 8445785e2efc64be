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

import errno
import posix
import sys

from ..syscalls.c import (
    Structure,
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_uint16,
    c_ulong,
    c_void_p,
    sizeof,
)
from ..syscalls.core import bind, machine
from ..syscalls.memory import (
    MADV_DOFORK,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MAP_PRIVATE_ANONYMOUS,
    madvise,
    mmap,
    munmap,
)
from ..syscalls.sharing import clone_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PAGE = posix.sysconf("SC_PAGESIZE")
_PT_LOAD = 1  # elf(5)
_MOST_OF_THREAD = 2304  # bytes of struct pthread in a glibc that does not say it
_RSEQ = 64  # bytes at most of struct rseq
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
_pthread_self = bind("pthread_self", c_void_p)
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
        size += calls * (_CONTEXT + _STACK) + _PAGE
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

    def give_back(self, idle: list[tuple[int, int]]) -> None:
        """One call for each of these ranges (start, end) of memory, and one at most besides."""
        for start, end in self._besides(idle):
            self.call("madvise", start, end - start, MADV_DONTNEED)

    def _besides(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
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

    def clone(
        self, flags: int, number_at: int, maps: bytes, stack: tuple[int, int] = (0, 0)
    ) -> int:
        """Have a new process make them; return its number.

        It has a copy of what they need, and of nothing else that is the interpreter's.
        maps: the text of /proc/self/maps, from a moment ago.
        stack: the range of the main stack that they need, if any.
        """
        for call in self._calls:
            call.make_ready()
        way = self.take(WAY) + WAY // 2
        idle = self._besides(idle_memory(maps, whole_pages(*stack)))
        try:
            _advise(idle, MADV_DONTFORK)
            return clone_to(self._calls[0].address, setcontext_at, way, flags, number_at)
        finally:
            _advise(idle, MADV_DOFORK)

    def rewind(self) -> None:
        """Fill it from the front again."""
        self._next = self._start

    def close(self) -> None:
        munmap(self._start, self._end - self._start)


def _advise(ranges: list[tuple[int, int]], advice: int) -> None:
    """Of all that is mapped in these ranges."""
    for start, end in ranges:
        try:
            madvise(start, end - start, advice)
        except OSError as error:
            if error.errno != errno.ENOMEM:  # not all is; no memory is EAGAIN
                raise


def read_maps(fd: int) -> bytes:
    """All of /proc/self/maps, which comes in pieces of a page; fd is closed."""
    try:
        pieces = []
        while piece := posix.read(fd, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        posix.close(fd)


# Of the text that was seen last: what is needed, the main stack, and where all ends.
_last: tuple[bytes, list[tuple[int, int]], tuple[int, int], int] = (b"", [], (0, 0), 0)


def idle_memory(maps: bytes, stack: tuple[int, int] | None = None) -> list[tuple[int, int]]:
    """The ranges (start, end) in which there is nothing but the interpreter's, now and later.

    It is all but what the calls need; so what has been mapped since maps was read is in them.
    madvise(2) goes on where nothing is mapped, and says ENOMEM in the end.

    stack: what is needed of the main stack, where no call is made; by default all.
    """
    global _last
    if maps != _last[0]:
        _last = maps, *_needed(maps)
    _, needed, whole, end_of_all = _last
    found = []
    at = _PAGE
    for start, end in sorted([*needed, whole if stack is None else stack]):
        if at < start:
            found.append((at, start))
        at = max(at, end)
    if at < end_of_all:
        found.append((at, end_of_all))
    return found


def _needed(maps: bytes) -> tuple[list[tuple[int, int]], tuple[int, int], int]:
    """What is not the interpreter's alone, the main stack, and where the last mapping ends.

    It is the C library, the dynamic linker, and the thread's own variables; and what is
    no memory of ours to give: the kernel's mappings, and shared ones.
    """
    called = [_addresses[name] for name in _CALLS]
    needed = [_thread()]
    stack, last = (0, 0), 0
    bases: dict[bytes, int] = {}
    libraries = set()
    for line in maps.splitlines():
        words = line.split(None, 5)
        start, end = (int(one, 16) for one in words[0].split(b"-"))
        name = words[5] if len(words) > 5 else b""
        # Not the heap, the stacks, and what a program has given a name ("[anon:...]").
        if name.startswith(b"[") and not name.startswith((b"[heap", b"[stack", b"[anon")):
            needed.append((start, end))
            continue
        last = max(last, end)
        if name == b"[stack]":
            stack = start, end
        elif words[1].endswith(b"s"):
            needed.append((start, end))
        elif name.startswith(b"/"):
            bases.setdefault(name, start)
            linker = name.rpartition(b"/")[2].startswith(b"ld")
            if linker or any(start <= at < end for at in called):
                libraries.add(name)
    needed += [(bases[name], _end_of_library(bases[name])) for name in libraries]
    # One of the kernel's may lie where no memory can be ([vsyscall]).
    return [one for one in needed if one[0] < last], stack, last


def _end_of_library(base: int) -> int:
    """Where its zeroed memory ends, which may be one mapping with others' behind it.

    Source: elf(5), Elf32_Ehdr, Elf32_Phdr and those of 64 bits.
    """
    word = sizeof(c_void_p)
    headers = base + c_ulong.from_address(base + 24 + word).value  # e_phoff
    size, count = (c_uint16.from_address(base + 30 + 3 * word + at).value for at in (0, 2))
    ends = [
        sum(c_ulong.from_address(at + place * word).value for place in (2, 5))  # p_vaddr, p_memsz
        for at in range(headers, headers + count * size, size)
        if c_int.from_address(at).value == _PT_LOAD
    ]
    return whole_pages(base, base + max(ends))[1]


def _thread() -> tuple[int, int]:
    """The pages of this thread's own variables.  errno is one, and what the kernel writes to.

    They may be in one mapping with others' memory.
    """
    own, error = _pthread_self(), errno_location()
    end = own + (_variable("_thread_db_sizeof_pthread") or _MOST_OF_THREAD)
    places = [own, end, error, error + 4]
    offset = _variable("__rseq_offset", c_long)
    if offset:  # from the thread pointer
        area = (own if machine() == "x86_64" else end) + offset
        places += [area, area + _RSEQ]
    return whole_pages(min(places), max(places))


def _variable(name: str, kind: Any = c_int) -> int:
    """Of the C library; 0 where it has none of this name."""
    try:
        address = c_void_p.from_buffer(bind(name, None)).value or 0
    except AttributeError:
        return 0
    return int(kind.from_address(address).value)


def whole_pages(start: int, end: int) -> tuple[int, int]:
    return start & -_PAGE, -(-end & -_PAGE)
