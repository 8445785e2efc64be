"""Waiting for the start without the interpreter.

A created container is a process that waits to be told to execute its command,
for hours perhaps, and all that is left to do by then is a read and an execve.
Neither needs Python.  So the remaining calls are lined up as contexts of the
C library (makecontext(3)), each of which goes on to the next: give the memory
of the interpreter back, read the byte that releases the process, execve, and if
that returns, write down why and end.  What waits then is some hundred KiB of
stack and C library instead of the whole interpreter, a few MiB.

There is no way back into Python from here, so everything that the calls need
lies in a region of its own: strings, arrays, contexts, stacks.  Where the C
library has no contexts (musl) can_wait() is false, and the caller waits itself.
"""

from __future__ import annotations

import posix
import sys

from ..config.status import EXECUTES
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
from ..syscalls.constants import PR_SET_DUMPABLE
from ..syscalls.core import bind, cstring
from ..syscalls.memory import MADV_DONTNEED, MAP_PRIVATE_ANONYMOUS, mmap
from .message import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context
    from .failure import Failure

_PAGE = 4096
# A context and the stack that its one call runs on.  ucontext_t is the largest
# on aarch64, with 4560 bytes; a system call's wrapper needs some hundred of stack.
_CONTEXT, _STACK = 8192, 8192
_MOST_ARGUMENTS = 4

# An errno that no call returns: what stands in its place in a message until it is known.
_ERRNO_TO_COME = 0x5EED5EED


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
_errno_location = bind("__errno_location", c_void_p)
_CALLS = ("madvise", "prctl", "read", "execve", "writev", "_exit")
_addresses = {name: c_void_p.from_buffer(bind(name, c_int)).value or 0 for name in _CALLS}
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
except AttributeError:  # musl has none of the three
    _available = False


def prepare_wait(context: Context, shown: bool) -> None:
    """By who clones the process that waits, too, which has the same memory.

    Not planned where there is something to do between the start and the command (hooks),
    for which the interpreter is needed.
    shown: the process is an ordinary user's, who may look at it and enter its namespaces
        while it waits.  It is what its command will be by then; with the interpreter in
        its memory it stays hidden.
    """
    if context.values["trace"].on or not can_wait():
        return
    fd = posix.open("self/maps", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=context.fds["proc"])
    with open(fd, "rb") as maps:
        context.values["wait"] = Wait(maps.read(), shown=shown)


def await_start(context: Context, shown: bool) -> None:
    """Read the byte that releases the process.

    Where the wait is prepared it begins in execute(), which gives the interpreter's
    memory back before; shown is for the reader of the plan.
    """
    if "wait" not in context.values:
        posix.read(context.fds["start"], 1)


def can_wait() -> bool:
    """Whether this C library can do it."""
    return _available


class Wait:
    """The wait for a byte from a descriptor and the execve after it, prepared.

    maps: the text of /proc/self/maps.  shown: see prepare_wait().
    """

    def __init__(self, maps: bytes, *, shown: bool = False) -> None:
        self._idle, self._shown = _idle_memory(maps), shown

    def execute(
        self, fd: int, path: str, args: tuple[str, ...], env: tuple[str, ...], failure: Failure
    ) -> None:
        """Wait until fd can be read, and execute the program; does not return.

        fd: open to be read and written, so that the read has no end of file,
            and nothing to fail with.
        failure: what is written to fd, with the errno, in case that execve(2) fails.
        """
        failure.errno = _ERRNO_TO_COME
        text = encode(failure.values())
        before, _, after = text.partition(_ERRNO_TO_COME.to_bytes(4, "little"))
        arrays = [[cstring(one) + b"\0" for one in array] for array in (args, env)]
        program = cstring(path) + b"\0"
        calls = len(self._idle) + 6
        size = sum(len(one) + 32 for array in arrays for one in array) + len(program) + len(text)
        region = _Region(calls * (_CONTEXT + _STACK) + size + _PAGE)
        argv, envp = map(region.strings, arrays)
        message = region.vectors(
            (region.place(before), len(before)),
            (_errno_location(), 4),
            (region.place(after), len(after)),
        )
        word = region.vectors((region.place(EXECUTES), len(EXECUTES)))
        released = region.place(b"\0")
        for start, end in self._idle:
            region.call("madvise", start, end - start, MADV_DONTNEED)
        if self._shown:  # last: where it fails, the process stays hidden
            region.call("prctl", PR_SET_DUMPABLE, 1)
        region.call("read", fd, released, 1)
        region.call("writev", fd, word, 1)
        region.call("execve", region.place(program), argv, envp)
        region.call("writev", fd, message, 3)
        region.call("_exit", 1)
        region.go()


class _Region:
    """Memory of its own, that is filled from the front."""

    def __init__(self, size: int) -> None:
        address = mmap(size, MAP_PRIVATE_ANONYMOUS)
        self._next, self._end = address, address + size
        self._contexts: list[tuple[int, str, list[int]]] = []

    def _take(self, size: int) -> int:
        address = self._next
        self._next += (size + 15) & ~15
        if self._next > self._end:
            raise MemoryError("the wait of a created container needs more room than was counted")
        return address

    def place(self, data: bytes) -> int:
        address = self._take(len(data))
        _memmove(address, data, len(data))
        return address

    def strings(self, values: list[bytes]) -> int:
        """A NULL-terminated array of strings, which end with a NUL themselves."""
        pointers = [*map(self.place, values), 0]
        packed = b"".join(at.to_bytes(sizeof(c_void_p), "little") for at in pointers)
        return self.place(packed)

    def vectors(self, *parts: tuple[int, int]) -> int:
        return self.place(b"".join(bytes(_IOVec(*part)) for part in parts))

    def call(self, name: str, *args: int) -> None:
        """One more call; it is made after those before it, whatever they return."""
        address = self._take(_CONTEXT + _STACK)
        _getcontext(address)
        context = _Context.from_address(address)
        context.link, context.stack, context.stack_size = None, address + _CONTEXT, _STACK
        if self._contexts:
            _Context.from_address(self._contexts[-1][0]).link = address
        self._contexts.append((address, name, [*args, *[0] * (_MOST_ARGUMENTS - len(args))]))

    def go(self) -> None:
        """Make the calls; there is no return from the last one."""
        for address, name, args in self._contexts:
            _makecontext(address, _addresses[name], _MOST_ARGUMENTS, *args)
        _setcontext(self._contexts[0][0])


def _idle_memory(maps: bytes) -> list[tuple[int, int]]:
    """The ranges of memory that nothing but the interpreter uses, (start, end).

    All private mappings, but for those of the C library (its code, its data and
    the zeroed memory right behind), of the dynamic linker, the stack, and what
    holds errno and with it the thread's own variables.
    """
    kept = {*_addresses.values(), _errno_location()}
    mappings = []
    for line in maps.splitlines():
        words = line.split(None, 5)
        first, _, last = words[0].partition(b"-")
        name = words[5] if len(words) > 5 else b""
        mappings.append((int(first, 16), int(last, 16), words[1], name))
    libraries = {
        name
        for start, end, _, name in mappings
        if name.startswith(b"/")
        and (name.rpartition(b"/")[2].startswith(b"ld") or any(start <= at < end for at in kept))
    }
    found: list[tuple[int, int]] = []
    behind = 0  # where a kept library ends
    for start, end, flags, name in mappings:
        if name in libraries or (not name and start == behind):
            behind = end
            continue
        private = (flags[3:4] == b"p" and not name.startswith(b"[")) or name == b"[heap]"
        if not private or any(start <= at < end for at in kept):
            continue
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
