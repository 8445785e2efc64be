"""How a process is scheduled, where its memory comes from, and what machine it sees."""

from __future__ import annotations

from ..syscalls.constants import PER_LINUX, PER_LINUX32
from ..syscalls.scheduling_constants import SCHED_DEADLINE, SCHED_FLAG_RESET_ON_FORK
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import IOPriority, MemoryPolicy, Personality, Scheduler

    Times = tuple[int, int, int]  # runtime, deadline and period, in nanoseconds
    from ..attributes import scheduling
else:
    scheduling = Performers("attributes.scheduling")

_DOMAINS = {PER_LINUX: "PER_LINUX", PER_LINUX32: "PER_LINUX32"}


def scheduling_steps(
    scheduler: Scheduler | None,
    io_priority: IOPriority | None,
    memory_policy: MemoryPolicy | None,
    personality: Personality | None,
    cpus: str = "",
) -> list[Step]:
    """For the process itself, while it has the capabilities of the runtime (CAP_SYS_NICE).

    cpus: those that the container is confined to, for the error; "" for all.
    """
    steps = []
    if scheduler is not None:
        steps.append(set_scheduler(*_values(scheduler), cpus, why="process.scheduler"))
    if io_priority is not None:
        arguments = (io_priority.class_, io_priority.priority)
        steps.append(set_io_priority(*arguments, why="process.ioPriority"))
    if personality is not None:
        steps.append(set_personality(personality.domain, why="linux.personality"))
    if memory_policy is not None:
        wanted = (memory_policy.mode, memory_policy.flags, tuple(memory_policy.nodes))
        steps.append(set_memory_policy(*wanted, why="linux.memoryPolicy"))
    return steps


def is_inherited(scheduler: Scheduler) -> bool:
    """Whether a process that is cloned has it, too (sched(7))."""
    return scheduler.policy != SCHED_DEADLINE and not scheduler.flags & SCHED_FLAG_RESET_ON_FORK


def scheduler_of_steps(scheduler: Scheduler, cpus: str) -> list[Step]:
    """For the runtime, on the process cloned last."""
    return [set_scheduler_of(*_values(scheduler), cpus, why="process.scheduler")]


def _values(at: Scheduler) -> tuple[int, int, int, int, Times]:
    return at.policy, at.nice, at.priority, at.flags, (at.runtime, at.deadline, at.period)


def affinity_steps(cpus: list[int] | None, which: str) -> list[Step]:
    """which: "initial", for a process not yet in the container's cgroup, or "final"."""
    if not cpus:
        return []
    return [set_affinity(tuple(cpus), why=f"process.execCPUAffinity.{which}")]


@operation(scheduling.set_scheduler, "set the scheduling policy")
def set_scheduler(
    policy: int, nice: int, priority: int, flags: int, times: Times, cpus: str
) -> list[str]:
    return _scheduler_call("0", policy, nice, priority, flags, times)


@operation(scheduling.set_scheduler_of, "set the scheduling policy of the process")
def set_scheduler_of(
    policy: int, nice: int, priority: int, flags: int, times: Times, cpus: str
) -> list[str]:
    return _scheduler_call("PID", policy, nice, priority, flags, times)


def _scheduler_call(
    who: str, policy: int, nice: int, priority: int, flags: int, times: Times
) -> list[str]:
    from ..syscalls.flags import names
    from ..syscalls.scheduling_flags import SCHED_FLAG_NAMES, policy_name

    fields = [
        f"sched_policy={policy_name(policy)}",
        f"sched_flags={names(flags, SCHED_FLAG_NAMES)}",
        f"sched_nice={nice}",
        f"sched_priority={priority}",
    ]
    if any(times):
        kinds = ("runtime", "deadline", "period")
        fields += [f"sched_{kind}={time}" for kind, time in zip(kinds, times)]
    return [f"sched_setattr({who}, {{{', '.join(fields)}}}, 0)"]


@operation(scheduling.set_io_priority, "set the I/O priority")
def set_io_priority(class_: int, priority: int) -> list[str]:
    from ..syscalls.scheduling_flags import ioprio_class_name

    value = f"IOPRIO_PRIO_VALUE({ioprio_class_name(class_)}, {priority})"
    return [f"ioprio_set(IOPRIO_WHO_PROCESS, 0, {value})"]


@operation(scheduling.set_affinity, "run on the CPUs {0}")
def set_affinity(cpus: tuple[int, ...]) -> list[str]:
    return [f"sched_setaffinity(0, [{' '.join(map(str, cpus))}])"]


@operation(scheduling.set_memory_policy, "set the NUMA memory policy")
def set_memory_policy(mode: int, flags: int, nodes: tuple[int, ...]) -> list[str]:
    from ..syscalls.scheduling_flags import mempolicy_name

    return [f"set_mempolicy({mempolicy_name(mode | flags)}, nodes {list(nodes)})"]


@operation(scheduling.set_personality, "set the execution domain")
def set_personality(domain: int) -> list[str]:
    return [f"personality({_DOMAINS.get(domain, hex(domain))})"]
