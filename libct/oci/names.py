"""Names that the runtime-spec gives to the kernel's numbers; tables only."""

from __future__ import annotations

from ..syscalls import constants

# config.md, Process, I/O priority
IO_CLASSES = {
    "IOPRIO_CLASS_RT": constants.IOPRIO_CLASS_RT,
    "IOPRIO_CLASS_BE": constants.IOPRIO_CLASS_BE,
    "IOPRIO_CLASS_IDLE": constants.IOPRIO_CLASS_IDLE,
}

# config.md, Process, scheduler
SCHEDULER_POLICIES = {
    "SCHED_OTHER": constants.SCHED_OTHER,
    "SCHED_FIFO": constants.SCHED_FIFO,
    "SCHED_RR": constants.SCHED_RR,
    "SCHED_BATCH": constants.SCHED_BATCH,
    "SCHED_ISO": constants.SCHED_ISO,
    "SCHED_IDLE": constants.SCHED_IDLE,
    "SCHED_DEADLINE": constants.SCHED_DEADLINE,
}
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": constants.SCHED_FLAG_RESET_ON_FORK,
    "SCHED_FLAG_RECLAIM": constants.SCHED_FLAG_RECLAIM,
    "SCHED_FLAG_DL_OVERRUN": constants.SCHED_FLAG_DL_OVERRUN,
    "SCHED_FLAG_KEEP_POLICY": constants.SCHED_FLAG_KEEP_POLICY,
    "SCHED_FLAG_KEEP_PARAMS": constants.SCHED_FLAG_KEEP_PARAMS,
    "SCHED_FLAG_UTIL_CLAMP_MIN": constants.SCHED_FLAG_UTIL_CLAMP_MIN,
    "SCHED_FLAG_UTIL_CLAMP_MAX": constants.SCHED_FLAG_UTIL_CLAMP_MAX,
}

# config-linux.md, Memory policy
MEMORY_MODES = {
    "MPOL_DEFAULT": constants.MPOL_DEFAULT,
    "MPOL_PREFERRED": constants.MPOL_PREFERRED,
    "MPOL_BIND": constants.MPOL_BIND,
    "MPOL_INTERLEAVE": constants.MPOL_INTERLEAVE,
    "MPOL_LOCAL": constants.MPOL_LOCAL,
    "MPOL_PREFERRED_MANY": constants.MPOL_PREFERRED_MANY,
    "MPOL_WEIGHTED_INTERLEAVE": constants.MPOL_WEIGHTED_INTERLEAVE,
}
MEMORY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": constants.MPOL_F_NUMA_BALANCING,
    "MPOL_F_RELATIVE_NODES": constants.MPOL_F_RELATIVE_NODES,
    "MPOL_F_STATIC_NODES": constants.MPOL_F_STATIC_NODES,
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
