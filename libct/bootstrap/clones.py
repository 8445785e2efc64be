"""The numbers of what is cloned, in a page that the kernel writes and no clone has.

Who clones tells the runtime what.  But it may be killed before, and where somebody inside
may trace the clone he can end the talk.  The clone would be a child of the runtime's that
nobody knows of: not ended, and not waited for.  So the kernel also writes its number down,
before it runs (CLONE_PARENT_SETTID), where the runtime finds it when a start fails (cloned.py).
"""

from __future__ import annotations

from ..syscalls.memory import MADV_DONTFORK, MAP_SHARED, madvise, mmap, munmap

SERVER, STAGE = 0, 1  # who clones what is or becomes the command: each once
# Which they clone before that, and are there for it (messenger.py, reaper.py).
MESSENGER, REAPER = 2, 3
NUMBERS = 4
SIZE = 4  # bytes of a number, pid_t
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
        self.address = self._start + cloner * SIZE  # for the number of its clone
        self.of_messenger = self._start + MESSENGER * SIZE
        self.of_reaper = self._start + REAPER * SIZE

    def of_stage(self) -> Page:
        """The same page for a stage that shares the memory of who clones it."""
        page = Page.__new__(Page)
        page._set(self._start, STAGE)
        return page

    def close(self) -> None:
        munmap(self._start, _PAGE)
