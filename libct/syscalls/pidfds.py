"""Process descriptors, by the functions that Python itself has for them.

They save a command that only signals a process the import of ctypes, which
takes longer than all the rest of it.  A Python that was built with the headers
of an older kernel lacks them, and has our bindings instead.
"""

from __future__ import annotations

import posix

try:
    from _signal import pidfd_send_signal as send
    from posix import pidfd_open as open_process
except ImportError:  # pragma: no cover - not here
    from .process import pidfd_open as open_process, pidfd_send_signal as send

__all__ = ["open_process", "send", "wait"]

_P_PIDFD = 3  # waitid(2); Python has it only if it was built with headers of Linux 5.4
_WALL = 0x40000000  # __WALL of waitid(2): whatever signal a child ends with


def wait(pidfd: int) -> posix.waitid_result | None:
    """Wait for the end of a child, which is reaped; pidfd stays the caller's.

    None where the host program has reaped it already, by posix.wait() or by
    ignoring SIGCHLD.
    """
    try:
        return posix.waitid(_P_PIDFD, pidfd, posix.WEXITED | _WALL)
    except ChildProcessError:
        return None
