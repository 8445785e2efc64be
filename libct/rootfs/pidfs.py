"""A file system that shows the pid namespace of who makes it, for a namespace that is not ours.

Since Linux 6.17 procfs can be told which one (filesystems.py).  Before that a process
makes it that is inside for a moment, where others are who may have CAP_SYS_PTRACE.  So
it has nothing that they could take: no descriptor but a socket that leads to us, and
an empty directory as its root.
"""

from __future__ import annotations

import _socket
import posix
import sys

from ..errors import StepProblem
from ..syscalls.files import close_range
from ..syscalls.filesystems import fsconfig_create, fsmount, fsopen
from ..syscalls.namespaces import CLONE_NEWPID, clone3, setns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIGCHLD = 17  # on every architecture of libct; signal(7)
_HIGHEST = 0xFFFFFFFF  # ~0U, the end of close_range(2)


def made_inside(pids: int, make: Callable[[], int]) -> int:
    """The descriptor that make() gives, called by a process in the pid namespace pids.

    Our own children are in that namespace from here on where we may not go back to ours.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    own = posix.open("/proc/self/ns/pid_for_children", posix.O_RDONLY | posix.O_CLOEXEC)
    setns(pids, CLONE_NEWPID)
    try:
        pid, _ = clone3(0, _SIGCHLD)
        if pid == 0:
            _make(theirs, make)
    finally:
        try:
            setns(own, CLONE_NEWPID)
        except OSError:
            pass  # root of a user namespace has no right to that of the host
        posix.close(own)
    theirs.close()
    data, rights, _, _ = ours.recvmsg(4, _socket.CMSG_LEN(4), _socket.MSG_CMSG_CLOEXEC)
    ours.close()
    posix.waitpid(pid, 0)
    if not rights:
        code = int.from_bytes(data, "little")
        if code:
            raise OSError(code, f"fsconfig(FSCONFIG_CMD_CREATE): {posix.strerror(code)}")
        raise StepProblem("the process that makes it has been killed")
    return int.from_bytes(rights[0][2][:4], sys.byteorder)


def _make(channel: _socket.socket, make: Callable[[], int]) -> None:
    """In the clone: never returns."""
    try:
        try:
            end = channel.fileno()
            if end > 0:
                close_range(0, end - 1)
            close_range(end + 1, _HIGHEST)
            _enter_nothing()
            fd = make()
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))
            channel.sendmsg([b"\0" * 4], [rights])
        except OSError as error:
            channel.sendmsg([(error.errno or 0).to_bytes(4, "little")])
    finally:
        posix._exit(0)


def _enter_nothing() -> None:
    """An empty read-only file system, attached nowhere, is the root from here on."""
    fs = fsopen("tmpfs")
    fsconfig_create(fs)
    mount = fsmount(fs, 0)
    posix.fchdir(mount)
    posix.chroot(".")
    posix.close(mount)
    posix.close(fs)
