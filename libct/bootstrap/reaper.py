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

It waits without the interpreter, by lined-up calls (lined_up.py): a poll, and whatever that
returns, the end.
"""

from __future__ import annotations

import _signal
import posix
import select

from ..syscalls.credentials import capset
from ..syscalls.files import close_all_but
from ..syscalls.namespaces import CLONE_NEWPID, CLONE_PARENT, clone3, setns, unshare
from ..syscalls.process import pidfd_open, set_dumpable, set_name, set_no_new_privs
from ..syscalls.seccomp import Filter, seccomp_set_mode_filter
from . import lined_up
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from .context import Context

RUNTIME = "runtime"  # the descriptor of the pidfd of who is waited for, by name
NAME = b"libct:reaper"
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
    try:
        unshare(CLONE_NEWPID)
        # CLONE_PARENT: a child of the runtime, as all that is cloned.
        pid, _ = clone3(CLONE_PARENT, number_at=context.values["clones"].of_reaper)
    except OSError:
        posix.close(heard)
        reaper.leave()
        raise
    if pid == 0:
        _reap(heard, context.fds.get(RUNTIME, -1), program)
    posix.close(heard)
    context.values["reaper"] = reaper


def _reap(heard: int, runtime: int, program: str) -> NoReturn:
    """In the reaper.  runtime: -1 where the container is not to end with it."""
    try:
        close_the_door()
        set_name(NAME)
        posix.setsid()  # what happens at the caller's terminal is no affair of ours
        close_all_but(0, [fd for fd in (heard, runtime) if fd >= 0])
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
        _cover_arguments()
        wait = _lined_up() if lined_up.available() else _poll
        capset(0, 0, 0)
        set_no_new_privs()
        set_dumpable(False)
        if posix.read(heard, 1) == _WORD:
            awaited = [pidfd_open(_COMMAND)]
            awaited += [runtime] if runtime >= 0 else []
            posix.close(heard)
            if program:
                seccomp_set_mode_filter(Filter(bytes.fromhex(program)))
            wait(awaited)
    finally:
        posix._exit(0)


def _lined_up() -> Callable[[list[int]], None]:
    """What waits for the first of some processes to end, and ends; it takes their pidfds."""
    with open("/proc/self/maps", "rb") as maps:
        idle = lined_up.idle_memory(maps.read())
    region = lined_up.Region(len(idle) + 2, 64)

    def wait(pidfds: list[int]) -> None:
        awaited = region.polled(*[(pidfd, select.POLLIN) for pidfd in pidfds])
        region.give_back(idle)
        region.call("poll", awaited, len(pidfds), -1)
        region.call("_exit", 0)
        region.go()

    return wait


def _cover_arguments() -> None:
    """Have /proc/1/cmdline, which all may read, name us, and no file of the host's.

    Source: proc_pid_stat(5), arg_start and arg_end.
    """
    with open("/proc/self/stat", "rb") as file:
        start, end = map(int, file.read().rpartition(b")")[2].split()[45:47])
    lined_up.fill(start, NAME.ljust(end - start, b"\0")[: end - start])


def _poll(pidfds: list[int]) -> None:
    """The same with the interpreter."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    poll.poll()
