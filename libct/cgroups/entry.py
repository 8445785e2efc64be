"""How a process gets into its control groups.

There are three ways:

- v2: it is cloned into the group (CLONE_INTO_CGROUP); cgroup_open_directory.
- v1: cgroup_open before the clone, and cgroup_enter as one of the first steps
  of the process itself, which writes "0" to the `tasks` files.  A thread that
  moves itself needs no lock; moving another process, or a whole one, takes
  cgroup_threadgroup_rwsem, which on an idle machine waits 10 to 20 ms for an
  RCU grace period (cgroup_procs_write_start in kernel/cgroup/cgroup.c; Linux
  5.6, "cgroup: Optimize single thread migration").  So the process must have
  one thread.
- cgroup_join, where neither can be done: the runtime writes the process's id.

optional: groups that are gone without where they are not there, or not ours to
enter: without privilege a container has the groups it can get.

Some of it is performed where nothing can be imported any more (cgroup_enter).
"""

from __future__ import annotations

import errno
import posix

from . import files
from .files import REFUSALS, hinted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .ledger import Ledger


def cgroup_open(context: Context, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Open the `tasks` files of v1 groups, for cgroup_enter in the process cloned next.

    Both processes have the descriptors then; they are close-on-exec.
    """
    for directory in required + optional:
        try:
            group = _group(context, directory)
            fd = files.open_file(f"{directory}/tasks", posix.O_WRONLY, group=group)
        except OSError as error:
            if directory in optional and error.errno in (*REFUSALS, errno.ENOENT):
                continue
            raise
        context.keep(f"cgroup {directory}", fd)


def cgroup_enter(context: Context, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Move this process, which has one thread, into the groups that were opened."""
    for directory in required + optional:
        name = f"cgroup {directory}"
        if name not in context.fds:
            continue
        try:
            posix.write(context.fds[name], b"0")
        except OSError as error:
            if directory in required or error.errno not in REFUSALS:
                failed = files.explained(error, 'write("0")', f"{directory}/tasks")
                raise _unjoinable(failed) from None
        context.release(name)


def cgroup_open_directory(context: Context, directory: str, optional: int) -> None:
    """Keep a v2 group under "cgroup", for CLONE_INTO_CGROUP; without it clone without that."""
    if optional and not posix.access(f"{directory}/cgroup.procs", posix.W_OK):
        return  # not there, or another user's: O_PATH can be had of that, too
    try:
        group = _group(context, directory)
        path = directory if group is None else f"{directory}/."
        fd = files.open_file(path, posix.O_PATH | posix.O_DIRECTORY, group=group)
    except OSError as error:
        if optional and error.errno in (*REFUSALS, errno.ENOENT):
            return
        raise
    context.keep("cgroup", fd)


def _group(context: Context, directory: str) -> int | None:
    """The descriptor of a group that this start has made or taken; None for a further process.

    That one enters a group by its path: with the first process in it, it is nobody else's.
    """
    ledger: Ledger | None = context.values.get("ledger")
    return None if ledger is None else ledger.descriptor(directory)


def cgroup_close(context: Context, directories: tuple[str, ...]) -> None:
    """Let go of what cgroup_open has opened, in the process that did."""
    for directory in directories:
        context.release(f"cgroup {directory}")


def cgroup_join(context: Context, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Move the process context.pid, from outside, into groups of either version."""
    for directory in required + optional:
        path = f"{directory}/cgroup.procs"
        try:
            files.write_pid(path, context.pid)
        except OSError as error:
            if directory in optional and error.errno in (*REFUSALS, errno.ENOENT):
                continue
            raise _unjoinable(error) from None


def _unjoinable(error: OSError) -> OSError:
    hints = {
        errno.EINVAL: "a real-time process needs a group with linux.resources.cpu.realtimeRuntime",
        errno.EBUSY: "the v2 group distributes controllers to groups below it",
        errno.ENOSPC: "the cpuset has no CPUs or no memory nodes",
    }
    assert error.errno is not None
    return hinted(error, hints[error.errno]) if error.errno in hints else error
