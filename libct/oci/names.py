"""Names that the runtime-spec gives to the kernel's numbers; tables only."""

from __future__ import annotations

from ..syscalls import constants, scheduling_constants

# config.md, Process, I/O priority
IO_CLASSES = {
    "IOPRIO_CLASS_RT": scheduling_constants.IOPRIO_CLASS_RT,
    "IOPRIO_CLASS_BE": scheduling_constants.IOPRIO_CLASS_BE,
    "IOPRIO_CLASS_IDLE": scheduling_constants.IOPRIO_CLASS_IDLE,
}

# config.md, Process, scheduler
SCHEDULER_POLICIES = {
    "SCHED_OTHER": scheduling_constants.SCHED_OTHER,
    "SCHED_FIFO": scheduling_constants.SCHED_FIFO,
    "SCHED_RR": scheduling_constants.SCHED_RR,
    "SCHED_BATCH": scheduling_constants.SCHED_BATCH,
    "SCHED_ISO": scheduling_constants.SCHED_ISO,
    "SCHED_IDLE": scheduling_constants.SCHED_IDLE,
    "SCHED_DEADLINE": scheduling_constants.SCHED_DEADLINE,
}
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": scheduling_constants.SCHED_FLAG_RESET_ON_FORK,
    "SCHED_FLAG_RECLAIM": scheduling_constants.SCHED_FLAG_RECLAIM,
    "SCHED_FLAG_DL_OVERRUN": scheduling_constants.SCHED_FLAG_DL_OVERRUN,
    "SCHED_FLAG_KEEP_POLICY": scheduling_constants.SCHED_FLAG_KEEP_POLICY,
    "SCHED_FLAG_KEEP_PARAMS": scheduling_constants.SCHED_FLAG_KEEP_PARAMS,
    "SCHED_FLAG_UTIL_CLAMP_MIN": scheduling_constants.SCHED_FLAG_UTIL_CLAMP_MIN,
    "SCHED_FLAG_UTIL_CLAMP_MAX": scheduling_constants.SCHED_FLAG_UTIL_CLAMP_MAX,
}

# config-linux.md, Memory policy
MEMORY_MODES = {
    "MPOL_DEFAULT": scheduling_constants.MPOL_DEFAULT,
    "MPOL_PREFERRED": scheduling_constants.MPOL_PREFERRED,
    "MPOL_BIND": scheduling_constants.MPOL_BIND,
    "MPOL_INTERLEAVE": scheduling_constants.MPOL_INTERLEAVE,
    "MPOL_LOCAL": scheduling_constants.MPOL_LOCAL,
    "MPOL_PREFERRED_MANY": scheduling_constants.MPOL_PREFERRED_MANY,
    "MPOL_WEIGHTED_INTERLEAVE": scheduling_constants.MPOL_WEIGHTED_INTERLEAVE,
}
MEMORY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": scheduling_constants.MPOL_F_NUMA_BALANCING,
    "MPOL_F_RELATIVE_NODES": scheduling_constants.MPOL_F_RELATIVE_NODES,
    "MPOL_F_STATIC_NODES": scheduling_constants.MPOL_F_STATIC_NODES,
}

# config-linux.md, Personality
PERSONALITIES = {"LINUX": constants.PER_LINUX, "LINUX32": constants.PER_LINUX32}

# config.md, POSIX-platform Hooks: name -> field of Hooks
HOOKS = {
    "prestart": "prestart",
    "createRuntime": "create_runtime",
    "createContainer": "create_container",
    "startContainer": "start_container",
    "poststart": "poststart",
    "poststop": "poststop",
}
