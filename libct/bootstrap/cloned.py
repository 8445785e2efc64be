"""What has been cloned: the runtime's side of the page of numbers (clones.py)."""

from __future__ import annotations

import posix
import sys

from ..syscalls.memfd import data_file
from .clones import MESSENGER, NUMBERS, SIZE


def make_file() -> int:
    """The runtime's: the file of the page, with no number in it."""
    fd = data_file("libct:clones")
    posix.ftruncate(fd, NUMBERS * SIZE)
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
    data = posix.pread(fd, NUMBERS * SIZE, 0)
    places = range(0, NUMBERS * SIZE, SIZE)
    return [int.from_bytes(data[at : at + SIZE], sys.byteorder) for at in places]
