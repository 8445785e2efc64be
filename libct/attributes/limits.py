"""Resource limits and the score by which the OOM killer chooses (prlimit(2), proc(5))."""

from __future__ import annotations

import errno
import posix

from ..syscalls import procfs
from ..syscalls.process import get_dumpable, prlimit, set_dumpable
from .procfs import write_proc_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

# What the kernel asks for, when it says EPERM or EACCES.
_HINT_RLIMIT = (
    "raising a hard limit needs CAP_SYS_RESOURCE on the host, and no more files may be"
    " open than /proc/sys/fs/nr_open"
)
_HINT_OOM = "a score lower than the one inherited needs CAP_SYS_RESOURCE on the host"


def set_rlimit(context: Context, name: str, number: int, soft: int, hard: int) -> None:
    """The runtime's, on context.pid; name is that of number, for the reader."""
    _set_rlimit(context.pid, number, soft, hard)


def set_own_rlimit(context: Context, name: str, number: int, soft: int, hard: int) -> None:
    _set_rlimit(0, number, soft, hard)


def make_room(context: Context, name: str, number: int, hard: int) -> None:
    """Raise a hard limit alone, and only if it is lower."""
    soft, present = prlimit(0, number)
    if hard > present:
        _set_rlimit(0, number, soft, hard)


def _set_rlimit(pid: int, number: int, soft: int, hard: int) -> None:
    try:
        prlimit(pid, number, soft, hard)
    except PermissionError as error:
        error.hint = _HINT_RLIMIT  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise


def set_oom_score_adj(context: Context, value: int) -> None:
    """The runtime's, on context.pid."""
    path = procfs.path(context.pid, "oom_score_adj")
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, str(value).encode())
    except OSError as error:
        error.filename = path
        _explain(error)
        raise
    finally:
        posix.close(fd)


def set_own_oom_score_adj(context: Context, value: int) -> None:
    """Needs "proc" of context.fds.

    A process that is not dumpable makes itself so while it opens the file, to
    own it.  Only before it is among the processes of a container: until then
    nobody but its own user could use the moment to trace it.
    """
    hidden = get_dumpable() != 1
    if hidden:
        set_dumpable(True)
    try:
        write_proc_file(context.fds["proc"], "self/oom_score_adj", str(value))
    except OSError as error:
        _explain(error)
        raise
    finally:
        if hidden:
            set_dumpable(False)


def _explain(error: OSError) -> None:
    if error.errno == errno.EACCES:
        error.hint = _HINT_OOM  # type: ignore[attr-defined]  # see bootstrap/performer.py
