"""The memory that lined-up calls do not need: what to give back, or not to copy.

Source: proc_pid_maps(5), madvise(2).
"""

from __future__ import annotations

import errno
import posix

from ..loading.paths import rest
from ..syscalls.c import c_int, c_long, c_uint16, c_ulong, c_void_p, sizeof
from ..syscalls.core import bind, machine
from ..syscalls.memory import MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED, madvise
from . import lined_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_PT_LOAD = 1  # elf(5)
_MOST_OF_THREAD = 2304  # bytes of struct pthread in a glibc that does not say it
_RSEQ = 64  # bytes at most of struct rseq

_pthread_self = bind("pthread_self", c_void_p)


def give_back(region: lined_up.Region, idle: list[tuple[int, int]]) -> None:
    """One call for each of these ranges (start, end) of memory, and one at most besides."""
    for start, end in region.besides(idle):
        region.call("madvise", start, end - start, MADV_DONTNEED)


def clone(
    region: lined_up.Region,
    flags: int,
    number_at: int,
    maps: bytes,
    stack: tuple[int, int] = (0, 0),
) -> int:
    """Have a new process make the region's calls; return its number.

    It has a copy of what they need, and of nothing else that is the interpreter's.
    maps: the text of /proc/self/maps, from a moment ago.
    stack: the range of the main stack that they need, if any.
    """
    idle = region.besides(idle_memory(maps, lined_up.whole_pages(*stack)))
    try:
        _advise(idle, MADV_DONTFORK)
        return region.clone(flags, number_at)
    finally:
        _advise(idle, MADV_DOFORK)


def _advise(ranges: list[tuple[int, int]], advice: int) -> None:
    """Of all that is mapped in these ranges."""
    for start, end in ranges:
        try:
            madvise(start, end - start, advice)
        except OSError as error:
            if error.errno != errno.ENOMEM:  # not all is; no memory is EAGAIN
                raise


def read_maps(fd: int) -> bytes:
    """All of /proc/self/maps; fd is closed."""
    try:
        return rest(fd)
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
    at = lined_up.PAGE
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
    called = lined_up.called()
    needed = [_thread(), *_guard()]
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
    return lined_up.whole_pages(base, base + max(ends))[1]


def _thread() -> tuple[int, int]:
    """The pages of this thread's own variables.  errno is one, and what the kernel writes to.

    They may be in one mapping with others' memory.
    """
    own, error = _pthread_self(), lined_up.errno_location()
    end = own + (_variable("_thread_db_sizeof_pthread") or _MOST_OF_THREAD)
    places = [own, end, error, error + 4]
    offset = _variable("__rseq_offset", c_long)
    if offset:  # from the thread pointer
        area = (own if machine() == "x86_64" else end) + offset
        places += [area, area + _RSEQ]
    return lined_up.whole_pages(min(places), max(places))


def _guard() -> list[tuple[int, int]]:
    """The page with what functions of the C library look for on their stack, to find it whole.

    Where it is no variable of the thread it is the dynamic linker's.  But an interpreter that is
    always loaded at the same place, as Debian's is on aarch64, has it among its own variables.

    Source: ELF for the Arm 64-bit Architecture, R_AARCH64_COPY; -fstack-protector of GCC.
    """
    at = _address("__stack_chk_guard")
    return [lined_up.whole_pages(at, at + sizeof(c_void_p))] if at else []


def _variable(name: str, kind: Any = c_int) -> int:
    """Of the C library; 0 where it has none of this name."""
    at = _address(name)
    return int(kind.from_address(at).value) if at else 0


def _address(name: str) -> int:
    try:
        return c_void_p.from_buffer(bind(name, None)).value or 0
    except AttributeError:
        return 0
