"""What a server inherits from the thread that starts it, and a container could see.

fork(2) and execve(2) say what is inherited, proc(5) and prctl(2) where it shows.  Not
here is what a server starts without or sets itself (environment, descriptors, signals,
working directory, umask, process group), and what cannot be seen: Landlock's rules.
"""

from __future__ import annotations

import _thread
import errno
import posix

from ..errors import ServerError
from ..syscalls.keys import KEY_SPEC_SESSION_KEYRING, keyctl_get_keyring_id
from ..syscalls.scheduling import IOPRIO_WHO_PROCESS, get_mempolicy, ioprio_get, sched_getattr
from ..syscalls.settings import (
    core_cookie,
    get_setting,
    get_time_stamps,
    personality,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Those that children are in, which for pid and time need not be our own.
_NAMESPACES = (
    "user",
    "mnt",
    "pid_for_children",
    "net",
    "ipc",
    "uts",
    "cgroup",
    "time_for_children",
)
# Lines of /proc/PID/status, by how they begin: ids, all sets of capabilities,
# no_new_privs, filters, mitigations, processors and memory nodes, huge pages.
_STATUS = (
    b"Uid:",
    b"Gid:",
    b"Groups:",
    b"Cap",
    b"NoNewPrivs:",
    b"Seccomp",
    b"Speculation",
    b"Cpus_allowed:",
    b"Mems_allowed:",
    b"THP_enabled:",
)
_UNFILTERED = b"Seccomp:\t0"
# The others, as they are.  The audit session is another with each login id.
_FILES = (
    "limits",
    "cgroup",
    "oom_score_adj",
    "coredump_filter",
    "sessionid",
    "attr/current",
    "attr/exec",
    "cpu_resctrl_groups",
)
# Operations of prctl(2), include/uapi/linux/prctl.h, with their second word.
_SETTINGS = (
    (27, 0),  # PR_GET_SECUREBITS
    (30, 0),  # PR_GET_TIMERSLACK
    (34, 0),  # PR_MCE_KILL_GET
    (51, 0),  # PR_SVE_GET_VL, of arm64
    (52, 2),  # PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH: the one that status lacks
    (58, 0),  # PR_GET_IO_FLUSHER
    (64, 0),  # PR_SME_GET_VL, of arm64
    (66, 0),  # PR_GET_MDWE
    (68, 0),  # PR_GET_MEMORY_MERGE
    (70, 0),  # PR_RISCV_V_GET_CONTROL
)
_PIECE = 2048  # bytes: with less than that a file of the kernel's is at its end
_thread_own = _thread._local()


def inherited() -> tuple[Any, ...]:
    """All of it, of the calling thread; to be compared, not used."""
    try:
        directory = posix.open("/proc/thread-self", posix.O_PATH | posix.O_CLOEXEC)
    except OSError as error:
        raise _unreadable("/proc/thread-self", error.errno) from error
    try:
        status = _read(directory, "status")
        if not isinstance(status, bytes):
            raise _unreadable("/proc/thread-self/status", status)
        found: list[Any] = [line for line in status.split(b"\n") if line.startswith(_STATUS)]
        if _UNFILTERED not in found:
            found.append(_own_token())
        found += [_read(directory, name) for name in _FILES]
        found += [_namespace(directory, name) for name in _NAMESPACES]
    finally:
        posix.close(directory)
    root = posix.stat("/")
    found += [root.st_dev, root.st_ino]
    found += [get_setting(*setting) for setting in _SETTINGS]
    found += [get_time_stamps(), core_cookie(), personality()]
    found += [posix.getpriority(posix.PRIO_PROCESS, 0), bytes(sched_getattr())]
    found += [_tried(keyctl_get_keyring_id, KEY_SPEC_SESSION_KEYRING), _tried(get_mempolicy)]
    found.append(_tried(ioprio_get, IOPRIO_WHO_PROCESS, 0))
    return tuple(found)


def _unreadable(path: str, code: int | None) -> ServerError:
    code = code or errno.ENOENT
    missing = code in (errno.ENOENT, errno.ENOTDIR)
    why = "mount proc on /proc" if missing else posix.strerror(code)
    return ServerError(f"cannot read {path!r}: {why}")


def _own_token() -> object:
    """What no other thread has.

    Seccomp filters cannot be compared, but a thread's are only ever added to (seccomp(2)):
    the same thread with as many has the same.
    """
    try:
        token: object = _thread_own.token
    except AttributeError:
        token = _thread_own.token = object()
    return token


def _read(directory: int, name: str) -> bytes | int | None:
    """The file's contents, or the errno of why there are none."""
    try:
        fd = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        return error.errno
    try:
        data = more = posix.read(fd, 1 << 16)
        while len(more) >= _PIECE:
            more = posix.read(fd, 1 << 16)
            data += more
        return data
    except OSError as error:
        return error.errno
    finally:
        posix.close(fd)


def _namespace(directory: int, name: str) -> int | None:
    try:
        return posix.stat(f"ns/{name}", dir_fd=directory).st_ino
    except OSError:
        return None  # a kernel without this kind


def _tried(call: Callable[..., Any], *args: int) -> Any:
    try:
        return call(*args)
    except OSError as error:
        return error.errno  # a kernel without it, or a filter that forbids to ask
