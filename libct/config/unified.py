"""Which files of cgroup v2 are limits, and may be named in linux.resources.unified.

The rest take orders: cgroup.procs moves a process of the host into the group, where it is
killed with the container, and cgroup.freeze stops all of it.  What has been ordered cannot
be taken back, so a file of the core must be one of a short list.
"""

from __future__ import annotations

# Files of the core, which have no controller.
_CORE = ("cgroup.max.depth", "cgroup.max.descendants")
# Those that Linux has.  A newer one is known by the host's files.
CONTROLLERS = ("cpu", "cpuset", "dmem", "hugetlb", "io", "memory", "misc", "pids", "rdma")
_ORDERS = ("memory.reclaim", "memory.peak", "memory.swap.peak")
_DOTS = {".", ".."}
_INSTEAD = {"cgroup.freeze": "pause and resume do that", "cgroup.kill": "kill does that"}


def check_unified(name: str) -> None:
    """ValueError for what is not the name of a limit."""
    controller, dot, file = name.partition(".")
    if not name or "/" in name or name in _DOTS:
        raise ValueError(f"not a name of a file: {name!r}")
    if not (dot and file and controller.isascii() and controller.isidentifier()):
        raise ValueError(f"not like memory.high, a controller's file: {name!r}")
    if controller == "cgroup" and name not in _CORE:
        more = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise ValueError(f"not a limit: of cgroup.* there are {' and '.join(_CORE)}{more}")
    if name in _ORDERS or file == "pressure":
        raise ValueError("not a limit: what is written there is a command")
