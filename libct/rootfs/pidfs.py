"""procfs of a pid namespace that is not ours, before Linux 6.17.

It shows the pid namespace of the process that opens its context (fsopen(2)), so a
process has to be in there for that, where others are who may have CAP_SYS_PTRACE.
They may make it do and send what they like.  So it appears as the least that can open
a context: in a user namespace of its own, over a mount namespace whose root is empty
and stays so, and with one descriptor, a socket that leads to us.

    we      clone the keeper, wait for its end, read what is in the socket
    keeper  outside as we are: closes all, enters the empty root, joins the pid
            namespace for its children, clones the maker, waits for its end
    maker   inside: opens the context, sends it

We believe the keeper, whom nobody inside can reach, and whose messages the kernel
marks.  Of what the maker sends we find out what it is before we use it.
"""

from __future__ import annotations

import _signal
import _socket
import errno
import posix
import sys

from ..config.mount_flags import MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC
from ..errors import StepProblem
from ..syscalls.constants import (
    AT_FDCWD,
    MOVE_MOUNT_F_EMPTY_PATH,
    PROC_SUPER_MAGIC,
)
from ..syscalls.files import close_range
from ..syscalls.filesystems import (
    fsconfig_create,
    fsconfig_set_flag,
    fsmount,
    fsopen,
    fstatfs,
)
from ..syscalls.mounts import mount, move_mount
from ..syscalls.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    clone3,
    setns,
    unshare,
)
from ..syscalls.process import pidfd_open, set_name, set_pdeathsig
from ..syscalls.sockets import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SIGCHLD = 17  # on every architecture of libct; signal(7)
_HIGHEST = 0xFFFFFFFF  # ~0U, the end of close_range(2)
_LONGEST = 2048  # bytes of a message
_ITS_OWN = (
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
)


def made_inside(pids: int, make: Callable[[int], int]) -> int:
    """The mount that make(context) gives, of a procfs that shows the pid namespace pids."""
    fs = _opened_inside(pids)
    try:
        # Creating a file system of another type, with our rights and options of theirs,
        # would be a favour already.
        if not _is_of_proc(fs):
            raise StepProblem("what was opened in the pid namespace is no procfs")
        tree = make(fs)
    finally:
        posix.close(fs)
    if fstatfs(tree).type != PROC_SUPER_MAGIC:
        posix.close(tree)
        raise StepProblem("what was opened in the pid namespace is no procfs")
    return tree


def _is_of_proc(fs: int) -> bool:
    """The kernel names the type of a context when it is given an option that is unknown.

    The option is one that nobody can have tried before.
    """
    option = posix.urandom(16).hex()
    try:
        fsconfig_set_flag(fs, option)
    except OSError as error:
        return f"proc: Unknown parameter '{option}'" in (error.strerror or "")
    return False


def _opened_inside(pids: int) -> int:
    """A context of procfs, or of whatever it is that the maker has sent."""
    ours, theirs = _socket.socketpair(
        _socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    )
    try:
        ours.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        parent = posix.getpid()
        keeper, _ = clone3(0, _SIGCHLD)
        if keeper == 0:
            _keep(theirs, pids, parent)
        posix.waitpid(keeper, 0)
        return _take(ours, keeper)
    finally:
        ours.close()
        theirs.close()


def _take(channel: _socket.socket, keeper: int) -> int:
    """What the maker has sent, who is the one that the keeper names.

    All has been said, for the keeper has ended.
    """
    sent: dict[int, tuple[int, list[int]]] = {}  # by sender: an errno, and descriptors
    kept: list[int] = []
    try:
        while True:
            try:
                data, fds, sender, _ = receive(channel, _LONGEST, 1, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                raise StepProblem("the process that makes it has been killed") from None
            kept += fds
            code = int.from_bytes(data[:4], "little")
            if sender == keeper:
                break
            sent.setdefault(sender, (code, fds))
        text = data[8:].decode("utf-8", "replace")
        if text:
            raise OSError(code, text)
        code, fds = sent.get(int.from_bytes(data[4:8], "little"), (0, []))
        if code:
            raise OSError(code, f'fsopen("proc", FSOPEN_CLOEXEC): {posix.strerror(code)}')
        if len(fds) != 1:
            raise StepProblem("the process that makes it has been killed")
        kept.remove(fds[0])
        return fds[0]
    finally:
        for fd in kept:
            posix.close(fd)


def _keep(channel: _socket.socket, pids: int, parent: int) -> NoReturn:
    """The keeper's part."""
    try:
        try:
            set_pdeathsig(_signal.SIGKILL)
            if posix.getppid() != parent:
                posix._exit(1)
            set_name("libct:maker")  # as the maker is called from its first instant on
            setns(pids, CLONE_NEWPID)
            posix.dup2(channel.fileno(), 0, inheritable=False)
            channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
            close_range(1, _HIGHEST)
            _enter_nothing()
            pid, _ = clone3(_ITS_OWN, _SIGCHLD)
            if pid == 0:
                _open_context(channel)
            posix.waitpid(pid, 0)
            _send(channel, 0, pid.to_bytes(4, "little"))
        except OSError as error:
            text = (error.strerror or "").encode("utf-8", "replace")[: _LONGEST - 8]
            _send(channel, error.errno or 0, b"\0" * 4 + text)
    finally:
        posix._exit(0)


def _enter_nothing() -> None:
    """An empty read-only file system covers the root of a mount namespace of our own.

    Whoever is in a copy of it with another user namespace cannot take that away
    (mount_namespaces(7), Restrictions), nor be anywhere but on it.
    """
    unshare(CLONE_NEWNS)
    own = pidfd_open(posix.getpid())
    setns(own, CLONE_NEWNS)  # to its root, where we may be in a chroot
    mount("", "/", "", MS_PRIVATE | MS_REC, "")
    fs = fsopen("tmpfs")
    fsconfig_set_flag(fs, "ro")
    fsconfig_create(fs)
    tree = fsmount(fs, MOUNT_ATTR_RDONLY)
    move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)
    posix.fchdir(tree)
    posix.chroot(".")
    for fd in (own, fs, tree):
        posix.close(fd)


def _open_context(channel: _socket.socket) -> NoReturn:
    """The maker's part."""
    try:
        set_pdeathsig(_signal.SIGKILL)
        fd = fsopen("proc")
        _send(channel, 0, b"", fd)
    except OSError as error:
        _send(channel, error.errno or errno.EIO)
    finally:
        posix._exit(0)


def _send(channel: _socket.socket, code: int, more: bytes = b"", fd: int = -1) -> None:
    """Or not, where others have filled the socket: nobody waits for them."""
    rights = []
    if fd >= 0:
        rights.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder)))
    try:
        channel.sendmsg([code.to_bytes(4, "little") + more], rights, _socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
