"""procfs of a pid namespace that is not ours, before Linux 6.17.

It shows the pid namespace of the process that opens its context (fsopen(2)), so a
process has to be in there for that, where others are who may have CAP_SYS_PTRACE.
They may make it do what they like, and take all that it has (pidfd_getfd(2)).  So it
appears as the least that can open a context: in a user namespace of its own, over a
mount namespace whose root is empty and stays so, and with no descriptor at all.  No
socket above all: the kernel gives a pidfd of who has made that (SO_PEERPIDFD, socket(7)).

    we      clone the keeper, wait until it stops, take the context from it, end it
    keeper  outside as we are: joins the pid namespace for its children, enters the empty
            root and new namespaces, closes all, clones the maker; ends it, looks at what
            it has opened, and stops
    maker   inside: opens the context, in the table of descriptors that it has with the
            keeper, and ends

We take it, and nothing is sent.  The maker need not be dumpable for that: the keeper is,
whom nobody inside can see, and only once it is alone with its table.  What else they may
have put there the keeper neither keeps nor gives us: to close it could take for ever (a
socket that lingers, a file of FUSE).
"""

from __future__ import annotations

import _signal
import posix
import time

from ..config.mount_flags import MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC
from ..errors import StepProblem
from ..syscalls.constants import (
    AT_FDCWD,
    CLOSE_RANGE_UNSHARE,
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
    CLONE_FILES,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PIDFD,
    clone3,
    setns,
    unshare,
)
from ..syscalls.process import (
    pidfd_getfd,
    pidfd_open,
    set_dumpable,
    set_name,
    set_pdeathsig,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SIGCHLD = 17  # on every architecture of libct; signal(7)
_LONGEST = 2048  # bytes of a message
_CONTEXT = 0  # the lowest number, which the first descriptor has
_PATIENCE = 5  # seconds, for what takes less than one thousandth of that
_ITS_OWN = (
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
)


def made_inside(pids: int, make: Callable[[int], int]) -> int:
    """The mount that make(context) gives, of a procfs that shows the pid namespace pids."""
    fs = _opened_inside(pids)
    # Creating a file system of another type, with our rights and options of theirs, would be a
    # favour already.  The keeper has looked, unless somebody else has stopped it before; then
    # we leave what it is to our end, where the kernel does not linger.
    if not _is_of_proc(fs):
        raise _prevented()
    try:
        tree = make(fs)
    finally:
        posix.close(fs)
    if fstatfs(tree).type != PROC_SUPER_MAGIC:
        posix.close(tree)
        raise StepProblem("what was opened in the pid namespace is not a procfs")
    return tree


def _prevented() -> StepProblem:
    return StepProblem(
        "the process in the pid namespace that opens it was kept from that",
        "another process there traces, stops or kills it",
    )


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
    """A context of procfs."""
    read, write = posix.pipe()
    blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])  # see _status
    keeper, pidfd = 0, -1
    try:
        parent = posix.getpid()
        keeper, pidfd = clone3(CLONE_PIDFD, _SIGCHLD)
        if keeper == 0:
            _keep(write, pids, parent)
        posix.close(write)
        write = -1
        said = posix.read(read, _LONGEST)  # or its end, before there is a maker
        if said:
            raise OSError(int.from_bytes(said[:4], "little"), said[4:].decode("utf-8", "replace"))
        status = _status(keeper, posix.WUNTRACED, 2 * _PATIENCE)
        if status is None:
            raise _prevented()
        if posix.WIFSTOPPED(status):
            return _taken(pidfd)
        keeper = 0  # it has ended
        code = _exit_code(status)
        if code:
            raise OSError(code, f'clone3 there, or fsopen("proc"): {posix.strerror(code)}')
        raise _prevented()
    finally:
        if keeper:
            posix.kill(keeper, _signal.SIGKILL)
            _status(keeper, 0, _PATIENCE)
        for fd in (read, write, pidfd):
            if fd >= 0:
                posix.close(fd)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)


def _taken(keeper: int) -> int:
    try:
        return pidfd_getfd(keeper, _CONTEXT)
    except OSError as error:
        raise StepProblem(
            error.strerror or "",
            "before Linux 6.17 this needs the right to trace a child: see kernel.yama.ptrace_scope,"
            " which must not be 3, the seccomp filter and the security module",
        ) from None


def _status(child: int, options: int, seconds: float) -> int | None:
    """Of waitpid(2), with the child reaped if it has ended; None if there is none in time.

    SIGCHLD has to be blocked.  Who traces the child, or has it close a file of a FUSE of
    his, can put its end off as long as he likes.
    """
    end = time.monotonic() + seconds
    while True:
        pid, status = posix.waitpid(child, options | posix.WNOHANG)
        left = end - time.monotonic()
        if pid or left <= 0:
            return status if pid else None
        _signal.sigtimedwait([_signal.SIGCHLD], left)


def _keep(report: int, pids: int, parent: int) -> NoReturn:
    """The keeper's part."""
    code = 0
    try:
        try:
            _end_with(parent)
            posix.setsid()  # nor shall our terminal be the maker's
            set_name("libct:maker")  # as the maker is called from its first instant on
            setns(pids, CLONE_NEWPID)
            report = posix.dup2(report, _CONTEXT, inheritable=False)
            close_range(_CONTEXT + 1)
            _enter_nothing()
            unshare(_ITS_OWN)
            set_dumpable(False)  # fs.suid_dumpable is what this has set
            _end_with(parent)  # this it has undone, too
        except OSError as error:
            text = (error.strerror or "").encode("utf-8", "replace")[: _LONGEST - 4]
            posix.write(report, (error.errno or 0).to_bytes(4, "little") + text)
            posix._exit(0)
        posix.close(report)  # the last of all
        code = _have_it_opened()
    except OSError as error:
        code = error.errno or 0
    finally:
        posix._exit(code)


def _have_it_opened() -> int:
    """Stop with a context of procfs and nothing else; or return the errno of the maker, or 0."""
    maker, _ = clone3(CLONE_FILES, _SIGCHLD)
    if maker == 0:
        _open_context()
    status = _status(maker, 0, _PATIENCE)
    if status is None:
        posix.kill(maker, _signal.SIGKILL)
    # Of the table only this is copied.  What the maker may have left in there goes with it, or
    # with who has it open besides.
    close_range(_CONTEXT + 1, flags=CLOSE_RANGE_UNSHARE)
    if _is_of_proc(_CONTEXT):
        set_dumpable(True)  # for us, who may have no rights over more than our own
        posix.kill(posix.getpid(), _signal.SIGSTOP)
    return 0 if status is None else _exit_code(status)


def _exit_code(status: int) -> int:
    return posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else 0


def _end_with(parent: int) -> None:
    set_pdeathsig(_signal.SIGKILL)
    if posix.getppid() != parent:
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


def _open_context() -> NoReturn:
    """The maker's part."""
    code = 0
    try:
        set_pdeathsig(_signal.SIGKILL)
        fsopen("proc")  # it is _CONTEXT, for there is no other
    except OSError as error:
        code = error.errno or 0
    finally:
        posix._exit(code)
