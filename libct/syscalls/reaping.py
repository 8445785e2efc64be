"""How a process has ended, and what it has used: waitid(2), pidfds."""

from __future__ import annotations

import errno
import fcntl
import sys

from .c import byref, c_int, c_long, c_void_p, get_errno
from .core import bind_syscall, fail, number, retried

# include/uapi/linux/pidfd.h: _IOWR(0xff, 11, struct pidfd_info), by its first
# published size, where the mask comes first and exit_code last.
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_SIZE = 64
_PIDFD_INFO_EXIT = 1 << 3


def pidfd_exit_status(pidfd: int) -> int | None:
    """How a process has ended that somebody has waited for: a status as of waitpid(2).

    None if it has not been waited for, or before Linux 6.15.
    Source: include/uapi/linux/pidfd.h, PIDFD_INFO_EXIT.
    """
    info = bytearray(_PIDFD_INFO_SIZE)
    info[:8] = _PIDFD_INFO_EXIT.to_bytes(8, sys.byteorder)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):
            return None  # before Linux 6.13, or before 6.15
        raise
    if not int.from_bytes(info[:8], sys.byteorder) & _PIDFD_INFO_EXIT:
        return None
    return int.from_bytes(info[-4:], sys.byteorder)


_NR_WAITID = number("waitid")
_waitid = bind_syscall(c_int, c_int, c_void_p, c_int, c_void_p)
_P_PIDFD = 3
_WEXITED, _WALL = 4, 0x40000000
_RUSAGE = 18  # longs: two struct timeval, and 14 numbers


def wait_usage(pidfd: int) -> tuple[int, ...]:
    """Reap a child that has ended, and return what it and those that it has reaped have used.

    The fields of struct rusage, each time as seconds and microseconds; () where the host program
    has reaped it already.  Python's waitid() does not give them, and wait4() takes a number.

    Source: getrusage(2); waitid(2), C library/kernel differences.
    """
    usage = (c_long * _RUSAGE)()
    flags = _WEXITED | _WALL
    if retried(_waitid, _NR_WAITID, _P_PIDFD, pidfd, None, flags, byref(usage)) == -1:
        if get_errno() == errno.ECHILD:
            return ()
        fail(f"waitid(P_PIDFD, {pidfd}, NULL, WEXITED|__WALL)")
    return tuple(usage)
