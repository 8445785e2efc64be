"""A sandbox as a job of the caller's shell: Ctrl-Z stops it, and `fg` or `bg` let it go on.

The command's terminal is one of its own, and its process group is no job there: nobody in its
session could let it go on, so the kernel has it go on (an orphaned process group, setpgid(2)).
libct is the job.  So all in the sandbox is stopped, and then libct stops itself.

A command that stops itself by SIGSTOP, as nano and a shell's `suspend` do, takes libct along: the
kernel tells the parent of a child that has stopped.  SIGTSTP, which vim and less send themselves,
the kernel drops in an orphaned process group: they go on at once, and we are not told.  (There
would have to be a member of the group whose parent is in the same session and in another group:
two processes more in each sandbox that has a terminal.)
"""

from __future__ import annotations

import _signal
import posix

from ..syscalls import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container

_STOPPED = (b"T", b"t")


def is_job() -> bool:
    """Whether there is a shell that could let our process group go on.

    Source: setpgid(2), NOTES, orphaned process group.
    """
    group, pid = posix.getpgrp(), posix.getppid()
    try:
        while pid and posix.getpgid(pid) == group:
            pid = int(_stat(pid)[1])
        return bool(pid) and posix.getsid(pid) == posix.getsid(0)
    except OSError:
        return False


def has_stopped(pid: int) -> bool:
    """Whether a child of ours has been stopped since this was asked last."""
    try:
        return posix.waitid(posix.P_PID, pid, posix.WSTOPPED | posix.WNOHANG) is not None
    except ChildProcessError:
        return False


def stop_all(container: Container) -> list[int]:
    """Stop what runs in there; returns what go_on() is to be given.

    Without control groups, which many a sandbox has none of.
    """
    stopped: list[int] = []
    seen: set[int] = set()
    # What is forked meanwhile is found by another look.
    while new := [pid for pid in container.processes() if pid not in seen]:
        seen.update(new)
        for pid in new:
            try:
                if _stat(pid)[0] not in _STOPPED:  # as a job inside may be
                    posix.kill(pid, _signal.SIGSTOP)
                    stopped.append(pid)
            except OSError:
                continue  # it has ended
    return stopped


def go_on(container: Container, stopped: list[int]) -> None:
    there = set(container.processes())
    for pid in reversed(stopped):  # a shell in there is to see none stopped
        if pid in there:
            try:
                posix.kill(pid, _signal.SIGCONT)
            except ProcessLookupError:
                continue


def _stat(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat, from the state on."""
    with open(procfs.path(pid, "stat"), "rb", buffering=0) as file:
        return file.read(4096).rpartition(b")")[2].split()
