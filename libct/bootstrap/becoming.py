"""Whether a process has become its command, as the kernel tells it.

A process says that it is about to, and execve(2) closes its end of the talk, and of
exec.fifo.  But who may trace it from inside (CAP_SYS_PTRACE) can take copies of these:
keep them open, speak by them, hang them up.  So they say when to look, and what is believed
is the flag that the kernel gives a process until it executes something.
"""

from __future__ import annotations

import select
import time

from ..syscalls import pidfds
from ..syscalls.interrupts import Raised, StartEnded, allowed

HEARD, ENDED, EXECUTED = "heard", "ended", "executed"
_FORKNOEXEC = 0x40  # PF_FORKNOEXEC, include/linux/sched.h
_FIRST, _LONGEST = 0.02, 0.32  # seconds between two looks


def wait(pidfd: int, fd: int, events: int) -> str:
    """Wait for what comes first, and return it.  Handlers of signals run meanwhile.

    HEARD: fd has these events of poll(2), or hangs up.
    ENDED: the process has ended, and somebody else holds fd.
    EXECUTED: it has become its command, and somebody else holds fd.
    """
    poll = select.poll()
    poll.register(fd, events)
    poll.register(pidfd, select.POLLIN)
    pause = _FIRST
    while True:
        try:
            with allowed():
                ready = {number for number, _ in poll.poll(pause * 1000)}
        except Raised as raised:
            if not isinstance(raised.error, StartEnded) or not has_executed(pidfd):
                raise
            ready = set()
        if fd in ready:
            return HEARD
        end = ENDED if pidfd in ready else EXECUTED if has_executed(pidfd) else ""
        if end:
            # What it has said is there before that, and so is the end of its files.
            return HEARD if fd in {number for number, _ in poll.poll(0)} else end
        pause = min(2 * pause, _LONGEST)


def await_hang_up(fd: int, seconds: float) -> None:
    """Wait for the end of those who have the other end of fd, for so long at most."""
    poll = select.poll()
    poll.register(fd, 0)  # POLLHUP is always told
    with allowed():
        poll.poll(seconds * 1000)


def executes(pidfd: int, seconds: float) -> bool:
    """has_executed(), of one that has said all; the kernel may tell a moment later."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    end, pause = time.monotonic() + seconds, 0.001
    while not has_executed(pidfd):
        with allowed():
            if poll.poll(pause * 1000) or time.monotonic() > end:
                return has_executed(pidfd)
        pause = min(2 * pause, _FIRST)
    return True


def has_executed(pidfd: int, *, unknown: bool = True) -> bool:
    """Whether it has executed a program, by itself; also if it has ended since.

    unknown: the answer for one that has been waited for, or is hidden and has ended:
        nothing more is known of it than it has said.
    /proc may hide from an ordinary user what is not dumpable (hidepid): a process of his that
    enters a container, until it has executed its command.
    Source: proc(5), /proc/pid/stat, flags; Mount options.
    """
    number = pidfds.number_in_proc(pidfd)
    if number <= 0:
        return unknown
    try:
        with open(f"/proc/{number}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except ProcessLookupError:
        return unknown
    except (FileNotFoundError, PermissionError):
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0)) and unknown  # gone, or else hidden
    return not int(fields[6]) & _FORKNOEXEC
