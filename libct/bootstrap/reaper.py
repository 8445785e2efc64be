"""The reaper: process 1 of the pid namespace of a container, where its command is not.

The kernel treats process 1 unlike any other.  Signals that it does not handle do nothing to
it, so abort(3), a shell's `kill $$` and RLIMIT_CPU do not end it, and what is orphaned becomes
its child, which most commands do not wait for.  And when it ends, all others are killed.

So a container whose command is a sandbox's has a reaper as process 1.  It is cloned right
before the first process is, and does nothing but wait:

    for the end of the runtime    by its pidfd: whatever ends the runtime, the container ends
    for the end of the command    and with it ends what that has left behind

Then it ends too.  Its orphans the kernel reaps, for it ignores SIGCHLD.  The command is no
child of its: the runtime's, as every first process, which waits for it and learns exactly how it
has ended, and whom a signal reaches as any other process.

PR_SET_PDEATHSIG would not do: it is about the thread that has started the server.  Nor would
a pipe: forked copies of the runtime hold it open.

The reaper shares no more with the container than the pid namespace and the user namespace.
It is not dumpable, has no capability, a filter that leaves it next to nothing, and as
descriptors the two that it waits by.  The pidfd of the runtime would be worth something to
somebody inside who might trace it: so nobody there has CAP_SYS_PTRACE over it
(config/rules_process.py).

It needs no interpreter: all that it does are lined-up calls (lined_up.py), from its first
instant on.  So nothing of the server's memory is copied for it but what these need.  None of them
can branch.  What they have done is looked at by the runtime before the command is
executed (check_reaper).  Where the C library has no contexts the interpreter does the same.
"""

from __future__ import annotations

import _signal
import posix
import select

from ..errors import StepProblem
from ..loading.clock import backoff
from ..syscalls import procfs
from ..syscalls.constants import (
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECCOMP,
    SECCOMP_MODE_FILTER,
)
from ..syscalls.core import number
from ..syscalls.credentials import capset, no_capabilities
from ..syscalls.files import LAST_FD, close_all_but
from ..syscalls.namespaces import CLONE_NEWPID, CLONE_PARENT, clone3, setns, unshare
from ..syscalls.process import pidfd_open, set_dumpable, set_name, set_no_new_privs
from ..syscalls.seccomp import Filter, fprog, seccomp_set_mode_filter
from . import idle, lined_up
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .context import Context

RUNTIME = "runtime"  # the descriptor of the pidfd of who is waited for, by name
NAME = b"libct:reaper"
_MOST_CALLS, _MOST_BYTES = 20, 8192
_SECONDS = 5.0  # that it takes at most to be what it is to be
_SIG_IGN = 1  # signal(2); asm-generic/signal-defs.h
_COMMAND = 2  # the number, in the new pid namespace, of what is cloned next
_WORD = b"c"


class Reaper:
    """What who has cloned the reaper holds, until it has cloned the command too.

    word: a pipe to the reaper; outside: of our own pid namespace, or -1.
    """

    __slots__ = ("_outside", "_word")

    def __init__(self, word: int, outside: int) -> None:
        self._word, self._outside = word, outside

    def begin(self) -> None:
        """The command is there: the reaper can look for it."""
        try:
            posix.write(self._word, _WORD)
        except BrokenPipeError:
            pass  # it has failed, and the command ends with it

    def leave(self) -> None:
        """By the cloner, which clones into its own pid namespace again."""
        posix.close(self._word)
        if self._outside >= 0:
            outside, self._outside = self._outside, -1
            try:
                setns(outside, CLONE_NEWPID)
            finally:
                posix.close(outside)

    def forget(self) -> None:
        """By what has been cloned."""
        posix.close(self._word)
        if self._outside >= 0:
            posix.close(self._outside)


def clone_reaper(context: Context, program: str, back: bool) -> None:
    """Clone process 1 of a new pid namespace; what is cloned next will be the command in there.

    program: of its filter, as load_filter() has it; "" on a machine that libct has no table of.
    back: who clones the two is to return to its own pid namespace.
    """
    outside = -1
    if back:
        outside = posix.open("/proc/self/ns/pid", posix.O_RDONLY | posix.O_CLOEXEC)
    heard, word = posix.pipe()
    reaper = Reaper(word, outside)
    flags, number_at = CLONE_PARENT, context.values["clones"].of_reaper
    runtime = context.fds.get(RUNTIME, -1)
    try:
        unshare(CLONE_NEWPID)
        # CLONE_PARENT: a child of the runtime, as all that is cloned.
        if lined_up.available():
            _clone_lined_up(flags, number_at, heard, runtime, bytes.fromhex(program))
        elif clone3(flags, number_at=number_at)[0] == 0:
            _reap(heard, runtime, program)
    except OSError:
        posix.close(heard)
        reaper.leave()
        raise
    posix.close(heard)
    context.values["reaper"] = reaper


def _clone_lined_up(flags: int, number_at: int, heard: int, runtime: int, program: bytes) -> None:
    """Clone it.  Its descriptors are 0, which is the pipe and then the command's pidfd, and 1."""
    maps = idle.read_maps(posix.open("/proc/self/maps", posix.O_RDONLY | posix.O_CLOEXEC))
    region = lined_up.Region(_MOST_CALLS, _MOST_BYTES)
    start, size = _arguments()
    try:
        region.call("prctl", PR_SET_NAME, region.place(NAME + b"\0"))
        region.call("setsid")  # what happens at the caller's terminal is no affair of ours
        first, last = lined_up.whole_pages(start, start + size)
        region.call("memset", first, 0, last - first)  # what else is on that part of the stack
        region.call("memmove", start, region.place(NAME.ljust(size, b"\0")[:size]), size)
        region.call("dup2", heard, 0)
        if runtime >= 0:
            region.call("dup2", runtime, 1)
        region.call("syscall", number("close_range"), 1 + (runtime >= 0), LAST_FD, 0)
        region.call("signal", _signal.SIGCHLD, _SIG_IGN)
        region.call("prctl", PR_SET_NO_NEW_PRIVS, 1)
        region.call("syscall", number("capset"), *map(region.place, no_capabilities()))
        region.call("prctl", PR_SET_DUMPABLE, 0)
        if program:
            filter_at = region.place(fprog(len(program) // 8, region.place(program)))
            region.call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_at)
        region.call("read", 0, region.place(b"\0"), 1)  # the word, or the end of who has it
        region.call("close", 0)
        region.call("syscall", number("pidfd_open"), _COMMAND, 0)
        fds = [0, 1] if runtime >= 0 else [0]
        awaited = region.polled(*[(fd, select.POLLIN) for fd in fds])
        region.call("poll", awaited, len(fds), -1)
        region.call("_exit", 0)
        idle.clone(region, flags, number_at, maps, (first, last))
    finally:
        region.close()


def _reap(heard: int, runtime: int, program: str) -> NoReturn:
    """In the reaper, with the interpreter.  runtime: -1 where nothing is to end with it."""
    try:
        close_the_door()
        set_name(NAME)
        posix.setsid()
        close_all_but(0, [fd for fd in (heard, runtime) if fd >= 0])
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
        start, size = _arguments()
        lined_up.fill(start, NAME.ljust(size, b"\0")[:size])
        set_no_new_privs()
        capset(0, 0, 0)
        set_dumpable(False)
        if program:
            seccomp_set_mode_filter(Filter(bytes.fromhex(program)))
        if posix.read(heard, 1) == _WORD:
            poll = select.poll()
            poll.register(pidfd_open(_COMMAND), select.POLLIN)
            posix.close(heard)
            if runtime >= 0:
                poll.register(runtime, select.POLLIN)
            poll.poll()
    finally:
        posix._exit(0)


def _arguments() -> tuple[int, int]:
    """Where our arguments lie, and their size.

    /proc/1/cmdline, which all may read, is to name the reaper and no file of the host's.
    Source: proc_pid_stat(5), arg_start and arg_end.
    """
    with open("/proc/self/stat", "rb") as file:
        start, end = map(int, file.read().rpartition(b")")[2].split()[45:47])
    return start, end - start


def check_reaper(context: Context, filtered: bool) -> None:
    """The runtime's: the reaper has no rights, and its filter.

    filtered: there is one.
    It takes a moment.  An ordinary user may not be shown it (hidepid of proc(5)).
    """
    pid = context.values["reaper"]
    wanted = dict.fromkeys((b"CapInh", b"CapPrm", b"CapEff"), b"0" * 16)
    wanted[b"NoNewPrivs"] = b"1"
    if filtered:
        wanted[b"Seccomp"] = b"%d" % SECCOMP_MODE_FILTER
        # The server has as many as this thread (inherited.py), and the reaper one more.
        ours = _status("/proc/thread-self/status").get(b"Seccomp_filters")
        if ours is not None:
            wanted[b"Seccomp_filters"] = b"%d" % (int(ours) + 1)
    waiting = backoff(_SECONDS)
    while True:
        try:
            found = _status(procfs.path(pid, "status"))
        except (FileNotFoundError, ProcessLookupError):
            return  # gone, and with it all others; or hidden
        if all(found[name] == value for name, value in wanted.items()):
            return
        if not next(waiting):
            raise StepProblem("the reaper has not given up its rights")


def _status(path: str) -> dict[bytes, bytes]:
    with open(path, "rb", buffering=0) as file:
        lines = (line.partition(b":") for line in file.read(4096).splitlines())
        return {name: text.strip() for name, _, text in lines}
