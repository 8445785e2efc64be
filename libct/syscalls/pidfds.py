"""Process descriptors, by the functions that Python itself has for them.

They save a command that only signals a process the import of ctypes, which
takes longer than all the rest of it.  A Python that was built with the headers
of an older kernel lacks them, and has our bindings instead.
"""

from __future__ import annotations

import errno
import posix

try:
    from _signal import pidfd_send_signal as send
    from posix import pidfd_open as open_process
except ImportError:  # pragma: no cover - not here
    from .process import pidfd_open as open_process, pidfd_send_signal as send

__all__ = ["find", "identity", "number_in_proc", "open_child", "open_process", "send", "wait"]

_P_PIDFD = 3  # waitid(2); Python has it only if it was built with headers of Linux 5.4
_WALL = 0x40000000  # __WALL of waitid(2): whatever signal a child ends with


def find(pid: int) -> int:
    """A pidfd of the process with this number, which may have ended; -1 where there is none."""
    try:
        return open_process(pid)
    except OSError as error:
        # ENOENT, or EINVAL before Linux 6.15: it is the number of a thread now.
        if error.errno in (errno.ESRCH, errno.ENOENT, errno.EINVAL):
            return -1
        raise


def wait(pidfd: int, *, reap: bool = True) -> posix.waitid_result | None:
    """Wait for the end of a child; pidfd stays the caller's.

    reap: False leaves it to be waited for again.

    None where the host program has reaped it already, by posix.wait() or by
    ignoring SIGCHLD.
    """
    try:
        return posix.waitid(_P_PIDFD, pidfd, posix.WEXITED | _WALL | (not reap and posix.WNOWAIT))
    except ChildProcessError:
        return None


def number_in_proc(pidfd: int) -> int:
    """The number that /proc knows the process by; -1 once it is gone and has been waited for.

    0 where /proc is that of a pid namespace which the process is not in.
    Source: proc(5), /proc/pid/fdinfo.
    """
    fd = posix.open(f"/proc/self/fdinfo/{pidfd}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        text = posix.read(fd, 4096)
    finally:
        posix.close(fd)
    return int(text.partition(b"\nPid:")[2].split()[0])


def identity(fd: int) -> tuple[int, int]:
    """What tells the file behind a descriptor from others; of pidfds, since Linux 6.9.

    A program may have closed all descriptors (os.closerange), and have got another
    file by the same number since.  (0, 0) where it is closed.
    """
    try:
        found = posix.fstat(fd)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def open_child(pid: int) -> int:
    """A pidfd of a child that nobody has waited for; ProcessLookupError if somebody has.

    Opened first and looked at then, so it is of no later process of that number.
    """
    pidfd = find(pid)
    try:
        if pidfd < 0:
            raise ChildProcessError
        posix.waitid(_P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT | _WALL)
    except ChildProcessError:
        if pidfd >= 0:
            posix.close(pidfd)
        raise ProcessLookupError("os: process already finished") from None
    return pidfd
