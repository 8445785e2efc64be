"""The files of /proc/PID, and whether /proc knows processes by the same numbers as we do.

It does where it is a proc of the pid namespace that this process is in.  After
`unshare --pid --fork`, without --mount-proc, it is still that of another one, where our
numbers are those of processes that have nothing to do with us.  So whoever looks at
/proc/PID, or writes to it, has the path from here.
"""

from __future__ import annotations

import posix

from ..errors import Error

_MOUNT = "mount a proc of this pid namespace on /proc first (mount -t proc proc /proc)"

_known = 0  # the number by which this process has found itself in there, and nowhere else


def path(pid: int, name: str) -> str:
    """/proc/PID/name, of the process that this one knows by the number."""
    require_own_proc()
    return f"/proc/{pid}/{name}"


def numbers() -> list[int]:
    """Those of all processes that /proc shows."""
    require_own_proc()
    return [int(name) for name in posix.listdir("/proc") if name.isdigit()]


def require_own_proc() -> None:
    """Raise Error where /proc is of another pid namespace than this process, or is not there.

    A few microseconds, so that it can be asked each time: a forked copy may be in
    another pid namespace.  Source: pid_namespaces(7), /proc and PID namespaces.
    """
    global _known
    number = posix.getpid()
    try:
        own = posix.readlink("/proc/self") == str(number)
        if own and number != _known:
            own = _has_one_number()
    except FileNotFoundError:
        own = False  # also in a proc of a namespace that this process is not in
    if not own:
        raise Error(f"/proc does not show the pid namespace that this process is in: {_MOUNT}")
    _known = number


def _has_one_number() -> bool:
    """Whether we have no other number in the pid namespace of /proc, which might be the same.

    The line NSpid has our numbers from that namespace down to our own.
    """
    with open("/proc/self/status", "rb", buffering=0) as file:
        text = file.read()  # with groups by the thousand before that line, perhaps
    line = text.partition(b"\nNSpid:")[2].partition(b"\n")[0]
    return len(line.split()) <= 1  # none without pid namespaces in the kernel


def require_own_children() -> None:
    """Raise Error where our children are in another pid namespace than we are.

    After unshare(2) or setns(2).  They know each other by other numbers then.
    """
    require_own_proc()
    try:
        own = posix.stat("/proc/self/ns/pid").st_ino
    except FileNotFoundError:
        return  # a kernel without pid namespaces
    try:
        same = posix.stat("/proc/self/ns/pid_for_children").st_ino == own
    except FileNotFoundError:
        same = False  # it is new, and nobody is in there
    if not same:
        raise Error(
            "the children of this process are in another pid namespace than it is itself: start"
            " containers from one of them, with a proc of that pid namespace on /proc"
        )
