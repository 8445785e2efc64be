"""What a command in a sandbox has used, and what has ended it."""

from __future__ import annotations

import _signal

from .results import EXIT, MEMORY, OUTPUT, SIGNAL, TIMEOUT, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from ..life.process import ProcessState


# Bytes that getrusage(2) may count of what the process was before its command was executed: an
# interpreter of libct's.
_OWN = 32 << 20


def measured(container: Container | None, state: ProcessState, wall: float) -> tuple[Usage, int]:
    """What was used, and how many processes the kernel has killed for want of memory.

    container: whose control groups, if it has any, have counted; None where others are in it.
    wall: seconds that have passed.
    """
    usage = Usage(wall=wall)
    if state.usage is not None:
        usage.user, usage.system = state.usage.user, state.usage.system
        if state.usage.max_rss >= _OWN:
            usage.memory = state.usage.max_rss
    manager = container.manager if container is not None else None
    if container is None or manager is None or not manager.exists():
        return usage, 0
    found = container.stats().cgroup_stats
    if found.cpu_stats is not None and found.cpu_stats.cpu_usage is not None:
        times = found.cpu_stats.cpu_usage
        usage.user, usage.system = times.usage_in_usermode / 1e9, times.usage_in_kernelmode / 1e9
    peak = found.memory_stats.usage if found.memory_stats is not None else None
    if peak is not None and peak.max_usage is not None:
        usage.memory = peak.max_usage
    if found.blkio_stats is not None:
        entries = found.blkio_stats.io_service_bytes_recursive
        usage.written = sum(one.value for one in entries if one.op.lower() == "write")
    paths = manager.paths()
    usage.processes = _peak(paths.get("pids") or paths.get("") or "")
    return usage, manager.oom_kill_count()


def _peak(directory: str) -> int | None:
    """The most processes there were, which kernels tell since Linux 6.1."""
    from ..cgroups import files

    try:
        return int(files.read(f"{directory}/pids.peak"))
    except (OSError, ValueError):
        return None


def ended_by(state: ProcessState, killed_for: str, out_of_memory: int) -> str:
    """One of results.py's words.

    killed_for: why we have killed it, "" where we have not.
    out_of_memory: how many processes the kernel has killed for that.
    """
    if killed_for in (TIMEOUT, OUTPUT):
        return killed_for
    if out_of_memory and not killed_for and state.status == 128 + _signal.SIGKILL:
        return MEMORY  # a shell says so of what was killed for it, where that is not all
    return EXIT if state.signal is None else SIGNAL
