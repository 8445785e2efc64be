"""Resource limits and the score by which the OOM killer chooses (prlimit(2), proc(5))."""

from __future__ import annotations

import errno
import os

from ..plan.step import Step, operation
from ..syscalls.constants import RLIM_INFINITY, RLIMITS
from ..syscalls.process import get_dumpable, prlimit, set_dumpable
from .procfs import open_call, write_proc_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Rlimit

RLIMIT_NAMES = {number: name for name, number in RLIMITS.items()}

# What the kernel asks for, when it says EPERM or EACCES.
_HINT_RLIMIT = (
    "raising a hard limit needs CAP_SYS_RESOURCE on the host, and no more files may be"
    " open than /proc/sys/fs/nr_open"
)
_HINT_OOM = "a score lower than the one inherited needs CAP_SYS_RESOURCE on the host"


def rlimit_steps(rlimits: list[Rlimit], *, own: bool) -> list[Step]:
    """own: for the process itself; else for the runtime, on the process cloned last.

    Only a process with CAP_SYS_RESOURCE in the first user namespace can raise a
    hard limit, so where the container has a user namespace, the runtime does it.
    It may: prlimit(2) asks for the same ids, or for CAP_SYS_RESOURCE in the
    namespace of the process, which the namespace's owner has.  It does not
    matter whether the process is dumpable.
    """
    steps = []
    for index, limit in enumerate(rlimits):
        name = RLIMIT_NAMES.get(limit.type, f"resource limit {limit.type}")
        make = set_own_rlimit if own else set_rlimit
        arguments = (name, limit.type, limit.soft, limit.hard)
        steps.append(make(*arguments, why=f"process.rlimits[{index}]"))
    return steps


def oom_score_steps(value: int | None, *, own: bool = True) -> list[Step]:
    """own: for the process itself; else for the runtime, on the process cloned last.

    Neither way works for all.  A process in a user namespace may not have a
    lower score than it inherits, whoever made it: for a container with a user
    namespace a privileged runtime does it, or the stage before it joins.  And
    an ordinary user's runtime cannot write the file of a process that is not
    dumpable, which is root's (proc(5)): there the process does it.
    """
    if value is None:
        return []
    make = set_own_oom_score_adj if own else set_oom_score_adj
    return [make(value, why="process.oomScoreAdj")]


@operation("set {0} to {2} (hard limit {3})")
def set_rlimit(context: Context, name: str, number: int, soft: int, hard: int) -> None:
    """The runtime's, on context.pid; name is that of number, for the reader."""
    _set_rlimit(context.pid, number, soft, hard)


@operation("set the own {0} to {2} (hard limit {3})")
def set_own_rlimit(context: Context, name: str, number: int, soft: int, hard: int) -> None:
    _set_rlimit(0, number, soft, hard)


def _set_rlimit(pid: int, number: int, soft: int, hard: int) -> None:
    try:
        prlimit(pid, number, soft, hard)
    except PermissionError as error:
        error.hint = _HINT_RLIMIT  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise


@set_rlimit.calls
@set_own_rlimit.calls
def _(name: str, number: int, soft: int, hard: int) -> list[str]:
    known = name if number in RLIMIT_NAMES else str(number)
    limits = f"rlim_cur={_limit_text(soft)}, rlim_max={_limit_text(hard)}"
    return [f"prlimit64({known}, {{{limits}}})"]


def _limit_text(value: int) -> str:
    """As strace has it: multiples of 1024 as a product."""
    if value == RLIM_INFINITY:
        return "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


@operation("set the OOM score adjustment to {0}")
def set_oom_score_adj(context: Context, value: int) -> None:
    """The runtime's, on context.pid."""
    path = f"/proc/{context.pid}/oom_score_adj"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    except OSError as error:
        error.filename = path
        _explain(error)
        raise
    finally:
        os.close(fd)


@set_oom_score_adj.calls
def _(value: int) -> list[str]:
    return ['openat("/oom_score_adj", O_WRONLY|O_CLOEXEC)', f'write("{value}")']


@operation("set the own OOM score adjustment to {0}")
def set_own_oom_score_adj(context: Context, value: int) -> None:
    """Needs "proc" of context.fds.

    A process that is not dumpable makes itself so while it opens the file, to
    own it.  Only before it is among the processes of a container: until then
    nobody but its own user could use the moment to trace it.
    """
    hidden = get_dumpable() != 1
    if hidden:
        set_dumpable(True)
    try:
        write_proc_file(context.fds["proc"], "self/oom_score_adj", str(value))
    except OSError as error:
        _explain(error)
        raise
    finally:
        if hidden:
            set_dumpable(False)


@set_own_oom_score_adj.calls
def _(value: int) -> list[str]:
    return [open_call("self/oom_score_adj", "O_WRONLY"), f'write("{value}")']


def _explain(error: OSError) -> None:
    if error.errno == errno.EACCES:
        error.hint = _HINT_OOM  # type: ignore[attr-defined]  # see bootstrap/performer.py
