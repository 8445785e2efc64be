"""How a process is scheduled, where its memory comes from, and what machine it sees.

sched_setattr(2), ioprio_set(2), sched_setaffinity(2), set_mempolicy(2) and
personality(2), each on the process itself and inherited by what it executes.
"""

from __future__ import annotations

import os

from ..plan.step import Step, operation
from ..syscalls.constants import (
    IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PROCESS,
    PER_LINUX,
    PER_LINUX32,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_RR,
)
from ..syscalls.flags import (
    SCHED_FLAG_NAMES,
    ioprio_class_name,
    mempolicy_name,
    names,
    policy_name,
)
from ..syscalls.process import personality as personality_call
from ..syscalls.scheduling import ioprio_set, sched_setattr, set_mempolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import IOPriority, MemoryPolicy, Personality, Scheduler


_DOMAINS = {PER_LINUX: "PER_LINUX", PER_LINUX32: "PER_LINUX32"}


def scheduling_steps(
    scheduler: Scheduler | None,
    io_priority: IOPriority | None,
    memory_policy: MemoryPolicy | None,
    personality: Personality | None,
) -> list[Step]:
    """For the process itself, while it has the capabilities of the runtime (CAP_SYS_NICE)."""
    steps = []
    if scheduler is not None:
        at = scheduler
        values = (at.policy, at.nice, at.priority, at.flags, at.runtime, at.deadline, at.period)
        steps.append(set_scheduler(*values, why="process.scheduler"))
    if io_priority is not None:
        arguments = (io_priority.class_, io_priority.priority)
        steps.append(set_io_priority(*arguments, why="process.ioPriority"))
    if personality is not None:
        steps.append(set_personality(personality.domain, why="linux.personality"))
    if memory_policy is not None:
        wanted = (memory_policy.mode, memory_policy.flags, tuple(memory_policy.nodes))
        steps.append(set_memory_policy(*wanted, why="linux.memoryPolicy"))
    return steps


def affinity_steps(cpus: list[int] | None, which: str) -> list[Step]:
    """which: "initial", for a process not yet in the container's cgroup, or "final"."""
    if not cpus:
        return []
    return [set_affinity(tuple(cpus), why=f"process.execCPUAffinity.{which}")]


@operation("set the scheduling policy")
def set_scheduler(
    context: Context,
    policy: int,
    nice: int,
    priority: int,
    flags: int,
    runtime: int,
    deadline: int,
    period: int,
) -> None:
    """policy: SCHED_*; flags: SCHED_FLAG_*; times in nanoseconds (sched(7))."""
    try:
        sched_setattr(
            policy,
            nice=nice,
            priority=priority,
            flags=flags,
            runtime=runtime,
            deadline=deadline,
            period=period,
        )
    except PermissionError as error:
        hint = "it needs CAP_SYS_NICE on the host"
        if policy == SCHED_DEADLINE:
            hint += ", and a process that no cpuset or affinity binds to some of the CPUs"
        elif policy in (SCHED_FIFO, SCHED_RR):
            hint += ", and on cgroup v1 a cpu.rt_runtime_us above 0"
        error.hint = hint  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise


@set_scheduler.calls
def _(
    policy: int, nice: int, priority: int, flags: int, runtime: int, deadline: int, period: int
) -> list[str]:
    fields = [
        f"sched_policy={policy_name(policy)}",
        f"sched_flags={names(flags, SCHED_FLAG_NAMES)}",
        f"sched_nice={nice}",
        f"sched_priority={priority}",
    ]
    if runtime or deadline or period:
        fields += [
            f"sched_runtime={runtime}",
            f"sched_deadline={deadline}",
            f"sched_period={period}",
        ]
    return [f"sched_setattr(0, {{{', '.join(fields)}}}, 0)"]


@operation("set the I/O priority")
def set_io_priority(context: Context, class_: int, priority: int) -> None:
    """class_: IOPRIO_CLASS_*; the real-time one needs CAP_SYS_ADMIN or CAP_SYS_NICE."""
    ioprio_set(IOPRIO_WHO_PROCESS, 0, class_ << IOPRIO_CLASS_SHIFT | priority)


@set_io_priority.calls
def _(class_: int, priority: int) -> list[str]:
    value = f"IOPRIO_PRIO_VALUE({ioprio_class_name(class_)}, {priority})"
    return [f"ioprio_set(IOPRIO_WHO_PROCESS, 0, {value})"]


@operation("run on the CPUs {0}")
def set_affinity(context: Context, cpus: tuple[int, ...]) -> None:
    """EINVAL: none of them is both there and allowed by the cpuset."""
    os.sched_setaffinity(0, cpus)


@set_affinity.calls
def _(cpus: tuple[int, ...]) -> list[str]:
    return [f"sched_setaffinity(0, [{' '.join(map(str, cpus))}])"]


@operation("set the NUMA memory policy")
def set_memory_policy(context: Context, mode: int, flags: int, nodes: tuple[int, ...]) -> None:
    """mode: MPOL_*; flags: MPOL_F_*; nodes: numbers of NUMA nodes."""
    set_mempolicy(mode | flags, nodes)


@set_memory_policy.calls
def _(mode: int, flags: int, nodes: tuple[int, ...]) -> list[str]:
    return [f"set_mempolicy({mempolicy_name(mode | flags)}, nodes {list(nodes)})"]


@operation("set the execution domain")
def set_personality(context: Context, domain: int) -> None:
    """domain: PER_*; with PER_LINUX32, uname(2) names the machine's 32-bit sister."""
    personality_call(domain)


@set_personality.calls
def _(domain: int) -> list[str]:
    return [f"personality({_DOMAINS.get(domain, hex(domain))})"]
