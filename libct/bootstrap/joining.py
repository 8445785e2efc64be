"""Namespaces that others have made, and those that a stage makes before it clones."""

from __future__ import annotations

import posix

from ..errors import StepProblem
from ..rootfs.pidfs import made_inside
from ..syscalls.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    setns,
    unshare,
)
from ..syscalls.process import pidfd_send_signal
from .mapping import _leave_groups, become_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context

# In /proc/self/ns, of what setns(2) has joined.
_OWN_NAMES = {
    CLONE_NEWUSER: "user",
    CLONE_NEWIPC: "ipc",
    CLONE_NEWUTS: "uts",
    CLONE_NEWNET: "net",
    CLONE_NEWPID: "pid_for_children",
    CLONE_NEWNS: "mnt",
    CLONE_NEWCGROUP: "cgroup",
    CLONE_NEWTIME: "time",
}


def join(context: Context, paths: str, pairs: tuple[tuple[int, str], ...]) -> None:
    """setns(2) to each (CLONE_NEW* flag, path), all opened before the first is joined.

    The others before the user namespace, while the caller's rights are there;
    what that refuses is tried again with the rights of the user namespace.
    paths: those of pairs, for the reader.
    """
    # It might be a FIFO, which would block.
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
    opened = [(flag, path, posix.open(path, flags)) for flag, path in pairs]
    refused = []
    for flag, path, fd in opened:
        if flag == CLONE_NEWUSER:
            continue
        try:
            _join(fd, flag, path)
        except PermissionError:
            refused.append((flag, path, fd))
    for flag, path, fd in opened:
        if flag == CLONE_NEWUSER:
            _leave_groups(context)
            _join(fd, flag, path)
            become_root(context)
    for flag, path, fd in refused:
        _join(fd, flag, path)
    for _, _, fd in opened:
        posix.close(fd)


def _join(fd: int, flag: int, path: str) -> None:
    try:
        setns(fd, flag)
    except OSError as error:
        error.filename = path
        raise


def hold_pids(context: Context, path: str) -> None:
    """Held under "pids"; it is entered last, and its /proc mounted before."""
    context.values["made inside"] = made_inside  # for filesystems.py, which has no use for it else
    # It might be a FIFO, which would block.
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
    context.keep("pids", posix.open(path, flags))


def enter_pids(context: Context) -> None:
    """setns(2) to a pid namespace is for the children of the caller.

    So from here on the caller clones the command and nobody else.
    """
    setns(context.fds["pids"], CLONE_NEWPID)
    context.release("pids")  # a procfs of it is no more to be had either (rootfs/pidfs.py)


def unshare_others(context: Context, flags: int) -> None:
    """Of what is cloned elsewhere, by who has one process for all of it."""
    unshare(flags)


def join_process(context: Context, flags: int, inodes: tuple[tuple[int, int], ...]) -> None:
    """setns(2) to all of them at once, by the pidfd of the container's first process.

    inodes: CLONE_NEW* flags, and the numbers that the namespaces have in the host's /proc.
    The process may have gone on to others since they were looked at.
    """
    if flags & CLONE_NEWUSER:
        _leave_groups(context)
    setns(context.fds["target"], flags)
    for flag, inode in inodes:
        _require_joined(context, flag, inode)
    if flags & CLONE_NEWUSER:
        become_root(context)


def _require_joined(context: Context, flag: int, inode: int) -> None:
    name = _OWN_NAMES[flag]
    if posix.stat(f"self/ns/{name}", dir_fd=context.fds["proc"]).st_ino != inode:
        raise StepProblem(f"the first process has left the container's namespace ({name})")


def copy_mounts(context: Context, user: int) -> None:
    """The stage's: a mount namespace of its own, with the mounts that it has.

    user: the inode of the user namespace of "target" that it is to belong to, which is
        joined first; 0 for none.  The ids are the caller's still, for files.
    """
    if user:
        _leave_groups(context)
        setns(context.fds["target"], CLONE_NEWUSER)
        _require_joined(context, CLONE_NEWUSER, user)
    unshare(CLONE_NEWNS)


def open_root_of(context: Context, pid: int) -> None:
    """The runtime's: hold under "root" that of a container without a mount namespace.

    The process, which "target" is the pidfd of, is looked for after the link
    has been followed: so it was not that of a later one of the same number.
    """
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
    context.keep("root", posix.open(f"/proc/{pid}/root", flags))
    pidfd_send_signal(context.fds["target"], 0)


def unshare_user(context: Context) -> None:
    """Before a time namespace that is to belong to it; the runtime's turn is next, to map it."""
    unshare(CLONE_NEWUSER)


def unshare_time(context: Context) -> None:
    unshare(CLONE_NEWTIME)


def open_time_offsets(context: Context) -> None:
    """The stage's own, held under "time offsets".

    It is root's where the stage is not dumpable, as it has to be once it is in
    the container's user namespace; and who has opened it has the right to it.
    """
    flags = posix.O_WRONLY | posix.O_CLOEXEC
    fd = posix.open("self/timens_offsets", flags, dir_fd=context.fds["proc"])
    context.keep("time offsets", fd)


def write_time_offsets(context: Context, text: str) -> None:
    """text: lines of clock, seconds and nanoseconds, as time_namespaces(7) has them."""
    posix.write(context.fds["time offsets"], text.encode())
    context.release("time offsets")
