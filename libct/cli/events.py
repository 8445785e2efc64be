"""libct events: what a container uses, and when it runs out of memory, as lines of JSON.

The lines are those of `runc events`, whose form does not change with the
library's records: keys, and which of them are left out at 0, are runc's.
Those of --pressure are libct's own.
"""

from __future__ import annotations

import select
import time

from ..config.status import STOPPED
from ..errors import ContainerNotFound, ContainerNotRunning, Error
from ..life.container import load
from ..loading import jsontext
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ..cgroups.statistics.records import (
        BlkioStatEntry,
        BlkioStats,
        CPUSetStats,
        CPUStats,
        HugetlbStats,
        MemoryData,
        MemoryStats,
        PidsStats,
        PSIData,
        PSIStats,
        Stats,
    )
    from ..life.container import Container
    from ..life.events import Events
    from ..resctrl.statistics import IntelRdtStats
    from .options import Arguments


def main(arguments: Arguments) -> int:
    interval = seconds(arguments.interval)
    container = load(arguments.root, arguments.operands[0])
    if container.status() == STOPPED:
        raise ContainerNotRunning(f"container with id {container.id} is not running")
    if arguments.stats:
        _show("stats", container.id, shape(container.stats()))
    elif arguments.pressure:
        with container.memory_pressure_events(arguments.pressure) as pressure:
            _follow(container, interval, pressure, arguments.pressure)
    else:
        _follow(container, interval)
    return 0


def _follow(
    container: Container, interval: float, pressure: Events | None = None, level: str = ""
) -> None:
    """Show events until the container stops."""
    # Without a memory controller there is still something to show.
    with container.oom_events(optional=True) as events:
        poll = select.poll()
        poll.register(events.fileno(), select.POLLIN)
        if pressure is not None:
            poll.register(pressure.fileno(), select.POLLIN)
        due = time.monotonic() + interval
        while True:
            # Rounded up: a poll that ends too early would be followed by others.
            left = max(due - time.monotonic(), 0)
            poll.poll(int(left * 1000) + 1)
            if events.take():  # however many: the kernel of cgroup v1 tells of one kill many times
                _show("oom", container.id)
            if pressure is not None and pressure.take():
                _show("memory_pressure", container.id, {"level": level})
            if events.ended:
                return
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                try:
                    stats = container.stats()
                except (ContainerNotFound, ContainerNotRunning):
                    return  # it has been removed just now
                _show("stats", container.id, shape(stats))


def _show(kind: str, container_id: str, data: Mapping[str, Any] | None = None) -> None:
    event: dict[str, Any] = {"type": kind, "id": container_id}
    if data is not None:
        event["data"] = data
    output(jsontext.dumps(event) + "\n")


# --- durations ---

# In seconds; micro has two signs in Unicode.
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """A duration as Go writes it: "5s", "500ms", "1m30s", "1.5h"; more than nothing."""
    total, rest = 0.0, text.removeprefix("+")
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        value, rest = rest[:digits], rest[digits:]
        letters = len(rest) - len(rest.lstrip("nuµμmsh"))
        unit, rest = rest[:letters], rest[letters:]
        try:
            total += float(value) * _UNITS[unit]
        except (KeyError, ValueError):
            raise Error(f"--interval: no duration like 5s, 500ms or 1m30s: {text!r}") from None
    if not 0 < total < 1e6:
        raise Error(f"--interval: must be more than 0 and less than 277h: {text!r}")
    return total


# --- runc's form ---


def shape(stats: Stats) -> dict[str, Any]:
    """The data of a "stats" event."""
    found = stats.cgroup_stats
    return {
        "cpu": _cpu(found.cpu_stats),
        "cpuset": _cpuset(found.cpuset_stats),
        "memory": _memory(found.memory_stats),
        "pids": _pids(found.pids_stats),
        "blkio": _blkio(found.blkio_stats),
        "hugetlb": {size: _hugetlb(used) for size, used in found.hugetlb_stats.items()},
        "intel_rdt": _rdt(stats.intel_rdt_stats),
        "network_interfaces": [
            {_go_name(name): getattr(one, name) for name in type(one)._fields}
            for one in stats.interfaces
            if one.name != "lo"
        ]
        or None,
    }


def _go_name(field: str) -> str:
    """rx_bytes: RxBytes, as libcontainer's type has it, which has no other names in JSON."""
    return "".join(part.capitalize() for part in field.split("_"))


def _rdt(found: IntelRdtStats | None) -> dict[str, Any]:
    if found is None:
        return {}
    cache, bandwidth = found.l3_cache_info, found.mem_bw_info
    return _not_empty(
        l3_cache_info=cache.to_dict() if cache is not None else None,
        l3_cache_schema_root=found.l3_cache_schema_root,
        l3_cache_schema=found.l3_cache_schema,
        mem_bw_info=bandwidth.to_dict() if bandwidth is not None else None,
        mem_bw_schema_root=found.mem_bw_schema_root,
        mem_bw_schema=found.mem_bw_schema,
        schemata=found.schemata,
        mbm_stats=[one.to_dict() for one in found.mbm_stats],
        cmt_stats=[one.to_dict() for one in found.cmt_stats],
    )


def _not_empty(**values: Any) -> dict[str, Any]:
    """Without what is 0, empty or unknown, as Go's omitempty has it."""
    return {name: value for name, value in values.items() if value}


def _cpu(found: CPUStats | None) -> dict[str, Any]:
    usage = found.cpu_usage if found is not None else None
    shown: dict[str, Any] = {"usage": {"kernel": 0, "user": 0}, "throttling": {}}
    if usage is not None:
        shown["usage"] = {
            **_not_empty(
                total=usage.total_usage,
                percpu=usage.percpu_usage,
                percpu_kernel=usage.percpu_usage_in_kernelmode,
                percpu_user=usage.percpu_usage_in_usermode,
            ),
            "kernel": usage.usage_in_kernelmode,
            "user": usage.usage_in_usermode,
        }
    if found is not None and found.throttling_data is not None:
        shown["throttling"] = _not_empty(
            periods=found.throttling_data.periods,
            throttledPeriods=found.throttling_data.throttled_periods,
            throttledTime=found.throttling_data.throttled_time,
        )
    return {**shown, **_psi(found.psi if found is not None else None)}


def _cpuset(found: CPUSetStats | None) -> dict[str, Any]:
    from ..cgroups.statistics.records import CPUSetStats

    found = found or CPUSetStats()
    return {
        **_not_empty(cpus=found.cpus),
        "cpu_exclusive": found.cpu_exclusive,
        **_not_empty(mems=found.mems),
        "mem_hardwall": found.mem_hardwall,
        "mem_exclusive": found.mem_exclusive,
        "memory_migrate": found.memory_migrate,
        "memory_spread_page": found.memory_spread_page,
        "memory_spread_slab": found.memory_spread_slab,
        "memory_pressure": found.memory_pressure,
        "sched_load_balance": found.sched_load_balance,
        "sched_relax_domain_level": found.sched_relax_domain_level,
    }


def _memory(found: MemoryStats | None) -> dict[str, Any]:
    from ..cgroups.statistics.records import MemoryStats

    found = found or MemoryStats()
    return {
        **_not_empty(cache=found.cache),
        "usage": _memory_entry(found.usage),
        "swap": _memory_entry(found.swap_usage),
        "kernel": _memory_entry(found.kernel_usage),
        "kernelTCP": _memory_entry(found.kernel_tcp_usage),
        **_not_empty(raw=dict(sorted(found.stats.items()))),
        **_psi(found.psi),
    }


def _memory_entry(found: MemoryData | None) -> dict[str, Any]:
    if found is None:
        return {"limit": 0, "failcnt": 0}
    return {
        "limit": found.limit or 0,
        **_not_empty(usage=found.usage, max=found.max_usage),
        "failcnt": found.failcnt,
    }


def _pids(found: PidsStats | None) -> dict[str, Any]:
    return _not_empty(current=found.current, limit=found.limit) if found is not None else {}


def _blkio(found: BlkioStats | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        **_not_empty(
            ioServiceBytesRecursive=_entries(found.io_service_bytes_recursive),
            ioServicedRecursive=_entries(found.io_serviced_recursive),
            ioQueueRecursive=_entries(found.io_queue_recursive),
            ioServiceTimeRecursive=_entries(found.io_service_time_recursive),
            ioWaitTimeRecursive=_entries(found.io_wait_time_recursive),
            ioMergedRecursive=_entries(found.io_merged_recursive),
            ioTimeRecursive=_entries(found.io_time_recursive),
            sectorsRecursive=_entries(found.sectors_recursive),
        ),
        **_psi(found.psi),
    }


def _entries(found: Iterable[BlkioStatEntry]) -> list[dict[str, Any]]:
    return [
        _not_empty(major=each.major, minor=each.minor, op=each.op, value=each.value)
        for each in found
    ]


def _hugetlb(found: HugetlbStats) -> dict[str, Any]:
    return {**_not_empty(usage=found.usage, max=found.max_usage), "failcnt": found.failcnt}


def _psi(found: PSIStats | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"psi": {"some": _psi_data(found.some), "full": _psi_data(found.full)}}


def _psi_data(found: PSIData) -> dict[str, Any]:
    return {
        "avg10": found.avg10,
        "avg60": found.avg60,
        "avg300": found.avg300,
        "total": found.total,
    }
