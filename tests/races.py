"""Somebody who exchanges two names of the file system while something else goes on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


@contextlib.contextmanager
def exchanging(first: Path, second: Path) -> Iterator[None]:
    """A process exchanges the names of two files, again and again, until the end of the block."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    pid = os.fork()
    if pid == 0:
        try:
            while renameat2(*names) == 0:
                pass
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        ended = os.waitpid(pid, 0)[1]
    assert ended == signal.SIGKILL  # it has worked up to now
