"""Somebody who exchanges two names of the file system while something else goes on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import TYPE_CHECKING

from libct.seccomp.architectures import here

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_libc = ctypes.CDLL(None, use_errno=True)
_NR_RENAMEAT2 = here().numbers()["renameat2"]  # which musl may have no function for


def exchange(first: Path, second: Path) -> None:
    """Each is the other from now on: renameat2(2)."""
    names = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second))
    if _libc.syscall(_NR_RENAMEAT2, *names, _RENAME_EXCHANGE) == -1:
        raise OSError(ctypes.get_errno(), "renameat2")


@contextlib.contextmanager
def exchanging(first: Path, second: Path) -> Iterator[None]:
    """A process exchanges the names of two files, again and again, until the end of the block."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                exchange(first, second)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        ended = os.waitpid(pid, 0)[1]
    assert ended == signal.SIGKILL  # it has worked up to now
