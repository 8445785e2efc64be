"""Attributes of processes: capabilities, limits, scheduling, memory policy.

Names and numbers of the runtime-spec's strings are in attribute_names.py.
"""

from __future__ import annotations

from .record import Record


class Capabilities(Record):
    """The five sets of capabilities(7), by name ("CAP_KILL")."""

    bounding: list[str] = []
    effective: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class Rlimit(Record):
    """A resource limit (getrlimit(2)); type is the kernel's number, 2**64 - 1 is infinity."""

    type: int
    hard: int
    soft: int


class Scheduler(Record):
    """What sched_setattr(2) is given; times are nanoseconds."""

    policy: int  # SCHED_*
    nice: int = 0
    priority: int = 0
    flags: int = 0  # SCHED_FLAG_*
    runtime: int = 0
    deadline: int = 0
    period: int = 0


class IOPriority(Record):
    """I/O class (1 real-time, 2 best effort, 3 idle) and priority, 0 (first) to 7."""

    class_: int
    priority: int = 0


class Personality(Record):
    """Execution domain (personality(2)): PER_LINUX 0 or PER_LINUX32 8."""

    domain: int = 0
    flags: list[str] = []


class MemoryPolicy(Record):
    """NUMA policy (set_mempolicy(2)): MPOL_* number, MPOL_F_* bits, node numbers."""

    mode: int
    flags: int = 0
    nodes: list[int] = []


class CPUAffinity(Record):
    """CPUs for a process that is executed in the container: at its start, and from execve on.

    None leaves them as they are.
    """

    initial: list[int] | None = None
    final: list[int] | None = None


class ProcessDefaults(Record):
    """What a further process of the command line is like where it says nothing else.

    The container's first process was started with this; the rest is in the Config.
    """

    user: str = ""
    additional_groups: list[str] = []
    env: list[str] = []
    cwd: str = "/"
    console_width: int = 0
    console_height: int = 0
    capabilities: Capabilities | None = None
    apparmor_profile: str = ""
    label: str = ""
    no_new_privileges: bool | None = None
    rlimits: list[Rlimit] = []
    scheduler: Scheduler | None = None
    io_priority: IOPriority | None = None
    umask: int | None = None


class IntelRdt(Record):
    """Class of service in resctrl; the schemata are lines as its files have them."""

    clos_id: str = ""  # "" is a class of its own, "/" the default one
    schemata: list[str] = []
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_monitoring: bool = False
