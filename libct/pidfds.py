"""Process descriptors, by the functions that Python itself has for them.

They save a command that only signals a process the import of ctypes, which
takes longer than all the rest of it.  A Python that was built with the headers
of an older kernel lacks them, and has our bindings instead.
"""

from __future__ import annotations

import _signal
import os

_P_PIDFD = 3  # waitid(2); Python has it only if it was built with headers of Linux 5.4
_WALL = 0x40000000  # __WALL of waitid(2): whatever signal a child ends with


def open_process(pid: int) -> int:
    """A descriptor of the process, close-on-exec; ProcessLookupError if there is none."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    from .syscalls.process import pidfd_open

    return pidfd_open(pid)


def send(pidfd: int, signal: int) -> None:
    """Send a signal; ProcessLookupError if the process has ended and been waited for."""
    if hasattr(_signal, "pidfd_send_signal"):
        _signal.pidfd_send_signal(pidfd, signal)
        return
    from .syscalls.process import pidfd_send_signal

    pidfd_send_signal(pidfd, signal)


def wait(pidfd: int) -> os.waitid_result | None:
    """Wait for the end of a child, which is reaped; pidfd stays the caller's.

    None where the host program has reaped it already, by os.wait() or by
    ignoring SIGCHLD.
    """
    try:
        return os.waitid(_P_PIDFD, pidfd, os.WEXITED | _WALL)
    except ChildProcessError:
        return None
