"""The numbers of what is cloned, in a page that the kernel writes and no clone has.

Who clones tells the runtime what.  But it may be killed before, and where somebody inside
may trace the clone he can end the talk.  The clone would be a child of the runtime's that
nobody knows of: not ended, and not waited for.  So the kernel also writes its number down,
before it runs (CLONE_PARENT_SETTID), where the runtime finds it when a start fails.
"""

from __future__ import annotations

import posix
import sys

from ..syscalls.memfd import data_file
from ..syscalls.memory import MADV_DONTFORK, MAP_SHARED, madvise, mmap, munmap

SERVER, STAGE = 0, 1  # who clones what is or becomes the command: each once
# Which they clone before that, and are there for it (messenger.py, reaper.py).
MESSENGER, REAPER = 2, 3
_NUMBERS = 4
_SIZE = 4  # bytes of a number, pid_t
_PAGE = 4096


class Page:
    """The page, mapped by who clones; what it forks has not got it."""

    __slots__ = ("_start", "address", "of_messenger", "of_reaper")

    def __init__(self, fd: int, cloner: int) -> None:
        """fd: of the file that make_file() gives; borrowed."""
        start = mmap(_PAGE, MAP_SHARED, fd)
        madvise(start, _PAGE, MADV_DONTFORK)
        self._set(start, cloner)

    def _set(self, start: int, cloner: int) -> None:
        self._start = start
        self.address = self._start + cloner * _SIZE  # for the number of its clone
        self.of_messenger = self._start + MESSENGER * _SIZE
        self.of_reaper = self._start + REAPER * _SIZE

    def of_stage(self) -> Page:
        """The same page for a stage that shares the memory of who clones it."""
        page = Page.__new__(Page)
        page._set(self._start, STAGE)
        return page

    def close(self) -> None:
        munmap(self._start, _PAGE)


def make_file() -> int:
    """The runtime's: the file of the page, with no number in it."""
    fd = data_file("libct:clones")
    posix.ftruncate(fd, _NUMBERS * _SIZE)
    return fd


def read(fd: int) -> list[int]:
    """The numbers of what has been cloned to become the command, the first one first."""
    return [number for number in _numbers(fd)[:MESSENGER] if number]


def read_all(fd: int) -> list[int]:
    """These, and those of the messenger and of the reaper."""
    return [number for number in _numbers(fd) if number]


def companion(fd: int, which: int) -> int:
    """The number of MESSENGER or REAPER; 0 where there is none."""
    return _numbers(fd)[which]


def _numbers(fd: int) -> list[int]:
    data = posix.pread(fd, _NUMBERS * _SIZE, 0)
    places = range(0, _NUMBERS * _SIZE, _SIZE)
    return [int.from_bytes(data[at : at + _SIZE], sys.byteorder) for at in places]
