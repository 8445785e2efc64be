"""What a process may use: limits, CPUs, and the score by which the OOM killer chooses.

prlimit(2), sched_setaffinity(2), proc(5).
"""

from __future__ import annotations

from ..syscalls.constants import RLIM_INFINITY, RLIMITS
from .calls import open_proc_call
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..attributes import limits
    from ..config import Rlimit
else:
    limits = Performers("attributes.limits")

RLIMIT_NAMES = {number: name for name, number in RLIMITS.items()}


def rlimit_steps(rlimits: list[Rlimit], *, own: bool = True) -> list[Step]:
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


def room_steps(rlimits: list[Rlimit]) -> list[Step]:
    """For who clones a process that sets these itself, when it has no rights left."""
    return [
        make_room(
            RLIMIT_NAMES.get(limit.type, f"resource limit {limit.type}"),
            limit.type,
            limit.hard,
            why=f"process.rlimits[{index}]",
        )
        for index, limit in enumerate(rlimits)
    ]


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


@operation(limits.reset_affinity, "run on all CPUs that the control groups allow")
def reset_affinity() -> list[str]:
    return ["sched_setaffinity(0, 1024, [all])"]


@operation(limits.set_rlimit, "set {0} to {2} (hard limit {3})")
def set_rlimit(name: str, number: int, soft: int, hard: int) -> list[str]:
    return [_prlimit_call(name, number, soft, hard)]


@operation(limits.set_own_rlimit, "set its own {0} to {2} (hard limit {3})")
def set_own_rlimit(name: str, number: int, soft: int, hard: int) -> list[str]:
    return [_prlimit_call(name, number, soft, hard)]


@operation(limits.make_room, "raise the hard limit of {0} to {2} if it is lower")
def make_room(name: str, number: int, hard: int) -> list[str]:
    known = name if number in RLIMIT_NAMES else str(number)
    return [f"prlimit64({known}, NULL)"]


def _prlimit_call(name: str, number: int, soft: int, hard: int) -> str:
    known = name if number in RLIMIT_NAMES else str(number)
    return f"prlimit64({known}, {{rlim_cur={_limit_text(soft)}, rlim_max={_limit_text(hard)}}})"


def _limit_text(value: int) -> str:
    """As strace has it: multiples of 1024 as a product."""
    if value == RLIM_INFINITY:
        return "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


@operation(limits.set_oom_score_adj, "set the OOM score adjustment to {0}")
def set_oom_score_adj(value: int) -> list[str]:
    return ['openat("/oom_score_adj", O_WRONLY|O_CLOEXEC)', f'write("{value}")']


@operation(limits.set_own_oom_score_adj, "set its own OOM score adjustment to {0}")
def set_own_oom_score_adj(value: int) -> list[str]:
    return [open_proc_call("self/oom_score_adj", "O_WRONLY"), f'write("{value}")']
