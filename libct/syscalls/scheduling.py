"""Processor time, disk order and memory placement: sched_setattr(2),
ioprio_set(2), set_mempolicy(2).  os has sched_setaffinity.

All of it is inherited by children and kept by execve.
"""

from __future__ import annotations

from .c import (
    POINTER,
    Structure,
    byref,
    c_int,
    c_int32,
    c_uint,
    c_uint32,
    c_uint64,
    c_ulong,
    c_void_p,
    sizeof,
)
from .core import bind_syscall, fail, number
from .flags import names
from .scheduling_constants import (
    IOPRIO_CLASS_BE as IOPRIO_CLASS_BE,
    IOPRIO_CLASS_IDLE as IOPRIO_CLASS_IDLE,
    IOPRIO_CLASS_NONE as IOPRIO_CLASS_NONE,
    IOPRIO_CLASS_RT as IOPRIO_CLASS_RT,
    IOPRIO_CLASS_SHIFT as IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PGRP as IOPRIO_WHO_PGRP,
    IOPRIO_WHO_PROCESS as IOPRIO_WHO_PROCESS,
    IOPRIO_WHO_USER as IOPRIO_WHO_USER,
)
from .scheduling_flags import (
    SCHED_FLAG_NAMES,
    ioprio_class_name,
    ioprio_who_name,
    mempolicy_name,
    policy_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class SchedAttr(Structure):
    """struct sched_attr, include/uapi/linux/sched/types.h; second version, Linux 5.3.

    size: of the structure, in bytes.  policy: SCHED_*; flags: SCHED_FLAG_*.
    nice: -20 to 19, for SCHED_OTHER and SCHED_BATCH.
    priority: 1 to 99, for SCHED_FIFO and SCHED_RR.
    runtime, deadline, period: nanoseconds, for SCHED_DEADLINE.
    util_min, util_max: 0 to 1024, with SCHED_FLAG_UTIL_CLAMP_MIN and _MAX.
    """

    _fields_ = (
        ("size", c_uint32),
        ("policy", c_uint32),
        ("flags", c_uint64),
        ("nice", c_int32),
        ("priority", c_uint32),
        ("runtime", c_uint64),
        ("deadline", c_uint64),
        ("period", c_uint64),
        ("util_min", c_uint32),
        ("util_max", c_uint32),
    )


# glibc wraps these since 2.41.
_NR_SCHED_SETATTR = number("sched_setattr")
_NR_SCHED_GETATTR = number("sched_getattr")
_sched_setattr = bind_syscall(c_int, POINTER(SchedAttr), c_uint)
_sched_getattr = bind_syscall(c_int, POINTER(SchedAttr), c_uint, c_uint)


def sched_setattr(
    policy: int,
    *,
    pid: int = 0,
    nice: int = 0,
    priority: int = 0,
    flags: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
    util_min: int = 0,
    util_max: int = 0,
) -> None:
    """Set the scheduling policy of a thread, 0 for this one, with its parameters.

    The parameters are those of SchedAttr.

    Raises OSError with errno
        EBUSY   SCHED_DEADLINE: no processor time left to promise;
        EINVAL  no such policy or flag, or parameters that are none of the policy's;
        EOPNOTSUPP  utilisation clamps, and a kernel without CONFIG_UCLAMP_TASK;
        EPERM   no CAP_SYS_NICE, and above RLIMIT_NICE or RLIMIT_RTPRIO; or
                SCHED_DEADLINE with an affinity that leaves out processors; or a
                v1 cpu cgroup without real-time budget;
        ESRCH   no such thread.

    Source: sched_setattr(2).
    """
    attr = SchedAttr(
        0, policy, flags, nice, priority, runtime, deadline, period, util_min, util_max
    )
    attr.size = sizeof(attr)
    if _sched_setattr(_NR_SCHED_SETATTR, pid, byref(attr), 0) == -1:
        text = (
            f"sched_policy={policy_name(policy)}, sched_flags={names(flags, SCHED_FLAG_NAMES)}, "
            f"sched_nice={nice}, sched_priority={priority}"
        )
        if runtime or deadline or period:
            text += f", sched_runtime={runtime}, sched_deadline={deadline}, sched_period={period}"
        if util_min or util_max:
            text += f", sched_util_min={util_min}, sched_util_max={util_max}"
        fail(f"sched_setattr({pid}, {{{text}}}, 0)")


def sched_getattr(pid: int = 0) -> SchedAttr:
    """The scheduling policy and parameters of a thread, 0 for this one.

    Raises OSError with errno ESRCH: no such thread.
    Source: sched_setattr(2).
    """
    attr = SchedAttr()
    if _sched_getattr(_NR_SCHED_GETATTR, pid, byref(attr), sizeof(attr), 0) == -1:
        fail(f"sched_getattr({pid}, ..., {sizeof(attr)}, 0)")
    return attr


_NR_IOPRIO_SET = number("ioprio_set")
_NR_IOPRIO_GET = number("ioprio_get")
_IOPRIO_PRIORITY = (1 << IOPRIO_CLASS_SHIFT) - 1
_ioprio_set = bind_syscall(c_int, c_int, c_int)
_ioprio_get = bind_syscall(c_int, c_int)


def ioprio_set(which: int, who: int, value: int) -> None:
    """Set the priority of disk transfers.

    which, who: IOPRIO_WHO_PROCESS and a thread id, 0 for this one; or
        IOPRIO_WHO_PGRP, IOPRIO_WHO_USER and the like.
    value: class << IOPRIO_CLASS_SHIFT | priority, of 0, the highest, to 7.

    Raises OSError with errno
        EINVAL  a bad class, priority or which;
        EPERM   IOPRIO_CLASS_RT without CAP_SYS_ADMIN or CAP_SYS_NICE; or another
                user's process;
        ESRCH   no such process.

    Source: ioprio_set(2).
    """
    if _ioprio_set(_NR_IOPRIO_SET, which, who, value) == -1:
        class_ = ioprio_class_name(value >> IOPRIO_CLASS_SHIFT)
        text = f"IOPRIO_PRIO_VALUE({class_}, {value & _IOPRIO_PRIORITY})"
        fail(f"ioprio_set({ioprio_who_name(which)}, {who}, {text})")


def ioprio_get(which: int, who: int) -> int:
    """The priority of disk transfers, a value as ioprio_set takes.

    Raises OSError with errno ESRCH: no such process.
    Source: ioprio_set(2).
    """
    value: int = _ioprio_get(_NR_IOPRIO_GET, which, who)
    if value == -1:
        fail(f"ioprio_get({ioprio_who_name(which)}, {who})")
    return value


# The node mask is an array of C's unsigned long, node 0 the lowest bit of the
# first.  The kernel takes maxnode to be one more than the number of bits.
_WORD_BITS = 8 * sizeof(c_ulong)
_MAX_NODES = 1024  # MAX_NUMNODES is at most 2**CONFIG_NODES_SHIFT = 1024

_NR_SET_MEMPOLICY = number("set_mempolicy")
_NR_GET_MEMPOLICY = number("get_mempolicy")
_set_mempolicy = bind_syscall(c_int, POINTER(c_ulong), c_ulong)
_get_mempolicy = bind_syscall(
    POINTER(c_int),
    POINTER(c_ulong),
    c_ulong,  # maxnode
    c_void_p,  # address
    c_ulong,  # flags
)


def set_mempolicy(mode: int, nodes: Iterable[int] = ()) -> None:
    """Say from which NUMA nodes this thread's memory is to come.

    mode: MPOL_DEFAULT and the like, or'ed with MPOL_F_* flags.
    nodes: numbers of nodes; empty where the mode takes none.

    Raises OSError with errno
        EINVAL  no such mode or flag; nodes missing, or given where there may be
                none; or none of them is online and allowed by the cpuset;
        ENOSYS  a kernel without CONFIG_NUMA.

    Source: set_mempolicy(2).
    """
    chosen = sorted(set(nodes))
    mask, maxnode = None, 0
    if chosen:
        words = chosen[-1] // _WORD_BITS + 1
        mask, maxnode = (c_ulong * words)(), words * _WORD_BITS + 1
        for node in chosen:
            mask[node // _WORD_BITS] |= 1 << node % _WORD_BITS
    if _set_mempolicy(_NR_SET_MEMPOLICY, mode, mask, maxnode) == -1:
        text = " ".join(str(node) for node in chosen)
        fail(f"set_mempolicy({mempolicy_name(mode)}, [{text}], {maxnode})")


def get_mempolicy() -> tuple[int, list[int]]:
    """This thread's (mode with flags, nodes).

    Raises OSError with errno ENOSYS: a kernel without CONFIG_NUMA.
    Source: get_mempolicy(2).
    """
    mode = c_int()
    mask = (c_ulong * (_MAX_NODES // _WORD_BITS))()
    status = _get_mempolicy(_NR_GET_MEMPOLICY, byref(mode), mask, _MAX_NODES + 1, None, 0)
    if status == -1:
        fail("get_mempolicy()")
    nodes = []
    for index, word in enumerate(mask):
        if word:
            nodes += [index * _WORD_BITS + n for n in range(_WORD_BITS) if word >> n & 1]
    return mode.value, nodes
