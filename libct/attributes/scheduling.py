"""How a process is scheduled, where its memory comes from, and what machine it sees.

sched_setattr(2), ioprio_set(2), sched_setaffinity(2), set_mempolicy(2) and
personality(2), each on the process itself and inherited by what it executes.
"""

from __future__ import annotations

import posix

from ..syscalls.scheduling import ioprio_set, sched_setattr, set_mempolicy
from ..syscalls.scheduling_constants import (
    IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PROCESS,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_RR,
)
from ..syscalls.settings import personality

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

    Times = tuple[int, int, int]  # runtime, deadline and period, in nanoseconds


def set_scheduler(
    context: Context, policy: int, nice: int, priority: int, flags: int, times: Times, cpus: str
) -> None:
    """policy: SCHED_*; flags: SCHED_FLAG_* (sched(7)).

    cpus: what linux.resources.cpu.cpus confines the container to, "" for all.
    """
    _set_scheduler(0, policy, nice, priority, flags, times, cpus)


def set_scheduler_of(
    context: Context, policy: int, nice: int, priority: int, flags: int, times: Times, cpus: str
) -> None:
    """The same for the process cloned last, by the runtime.

    context.pid is our child and not yet waited for, so nobody else's number.
    """
    _set_scheduler(context.pid, policy, nice, priority, flags, times, cpus)


def _set_scheduler(
    pid: int, policy: int, nice: int, priority: int, flags: int, times: Times, cpus: str
) -> None:
    runtime, deadline, period = times
    try:
        sched_setattr(
            policy,
            pid=pid,
            nice=nice,
            priority=priority,
            flags=flags,
            runtime=runtime,
            deadline=deadline,
            period=period,
        )
    except PermissionError as error:
        hint = "it needs CAP_SYS_NICE on the host"
        if policy == SCHED_DEADLINE and cpus:
            hint = (
                "process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE needs"
                f" all CPUs, linux.resources.cpu.cpus gives {cpus!r}; {hint}, too"
            )
        elif policy == SCHED_DEADLINE:
            hint += ", and a process that no cpuset or affinity binds to some of the CPUs"
        elif policy in (SCHED_FIFO, SCHED_RR):
            hint += ", and on cgroup v1 a cpu.rt_runtime_us above 0"
        error.hint = hint  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise


def set_io_priority(context: Context, class_: int, priority: int) -> None:
    """class_: IOPRIO_CLASS_*; the real-time one needs CAP_SYS_ADMIN or CAP_SYS_NICE."""
    ioprio_set(IOPRIO_WHO_PROCESS, 0, class_ << IOPRIO_CLASS_SHIFT | priority)


def set_affinity(context: Context, cpus: tuple[int, ...]) -> None:
    """EINVAL: none of them is both there and allowed by the cpuset."""
    posix.sched_setaffinity(0, cpus)


def set_memory_policy(context: Context, mode: int, flags: int, nodes: tuple[int, ...]) -> None:
    """mode: MPOL_*; flags: MPOL_F_*; nodes: numbers of NUMA nodes."""
    set_mempolicy(mode | flags, nodes)


def set_personality(context: Context, domain: int) -> None:
    """domain: PER_*; with PER_LINUX32, uname(2) names the machine's 32-bit sister."""
    personality(domain)
