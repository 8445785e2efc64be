"""The "linux.resources" of a configuration (config-linux.md, Control groups)."""

from __future__ import annotations

from ..config.cgroup import (
    HugepageLimit,
    InterfacePriority,
    Rdma,
    Resources,
    ThrottleDevice,
    WeightDevice,
)
from ..config.device import DeviceRule
from .reader import INT64, UINT16, UINT32, UINT64, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reader import Table

# blockIO's lists of limits of devices -> field of Resources
THROTTLES = {
    "throttleReadBpsDevice": "blkio_throttle_read_bps_device",
    "throttleWriteBpsDevice": "blkio_throttle_write_bps_device",
    "throttleReadIOPSDevice": "blkio_throttle_read_iops_device",
    "throttleWriteIOPSDevice": "blkio_throttle_write_iops_device",
}


def read_resources(table: Table) -> Resources:
    """The limits of a "resources" object; mistakes go to the table's findings."""
    found = Resources(devices=[_device_rule(rule) for rule in table.tables("devices")])
    for key, read in (
        ("memory", _read_memory),
        ("cpu", _read_cpu),
        ("blockIO", _read_block_io),
        ("network", _read_network),
    ):
        inner = table.table(key)
        if inner is not None:
            read(inner, found)
    pids = table.table("pids")
    if pids is not None:
        found.pids_limit = pids.optional_number("limit", INT64)
    found.hugetlb_limit = [
        HugepageLimit(limit.string("pageSize"), limit.number("limit", UINT64))
        for limit in table.tables("hugepageLimits")
        if limit.require("pageSize", "limit")
    ]
    found.rdma = {
        name: Rdma(
            limit.optional_number("hcaHandles", UINT32),
            limit.optional_number("hcaObjects", UINT32),
        )
        for name, limit in table.named_tables("rdma")
    }
    found.unified = table.string_map("unified")
    return found


def _device_rule(rule: Table) -> DeviceRule:
    rule.require("allow")
    access = rule.string("access", "rwm")
    known = "".join(letter for letter in access if letter in "rwm")
    if known and known != access:  # Go looks for those that it knows
        rule.warn("access", f"letters other than r, w and m are ignored: {show(access)}")
        access = known
    return DeviceRule(
        rule.string("type") or "a",
        rule.number("major", INT64, -1),
        rule.number("minor", INT64, -1),
        access,
        rule.boolean("allow"),
    )


def _read_memory(table: Table, found: Resources) -> None:
    found.memory = table.number("limit", INT64)
    found.memory_reservation = table.number("reservation", INT64)
    found.memory_swap = table.number("swap", INT64)
    found.memory_swappiness = table.optional_number("swappiness", UINT64)
    if found.memory_swappiness == UINT64[1]:  # -1 of old, as engines wrote it for none
        found.memory_swappiness = None
    found.memory_check_before_update = table.boolean("checkBeforeUpdate")
    found.oom_kill_disable = table.boolean("disableOOMKiller")
    # The kernel has no limits of its own memory any more; hierarchy is all there is.
    for key in ("kernel", "kernelTCP"):
        if table.optional_number(key, INT64) is not None:
            table.warn(key, "ignored: the kernel no longer limits its own memory separately")
    table.boolean("useHierarchy")


def _read_cpu(table: Table, found: Resources) -> None:
    found.cpu_shares = table.number("shares", UINT64)
    found.cpu_quota = table.number("quota", INT64)
    found.cpu_burst = table.optional_number("burst", UINT64)
    found.cpu_period = table.number("period", UINT64)
    found.cpu_rt_quota = table.number("realtimeRuntime", INT64)
    found.cpu_rt_period = table.number("realtimePeriod", UINT64)
    found.cpu_idle = table.optional_number("idle", INT64)
    found.cpuset_cpus = table.string("cpus")
    found.cpuset_mems = table.string("mems")


def _read_block_io(table: Table, found: Resources) -> None:
    found.blkio_weight = table.number("weight", UINT16)
    found.blkio_leaf_weight = table.number("leafWeight", UINT16)
    found.blkio_weight_device = [
        WeightDevice(
            device.number("major", INT64),
            device.number("minor", INT64),
            device.number("weight", UINT16),
            device.number("leafWeight", UINT16),
        )
        for device in table.tables("weightDevice")
        if device.require("major", "minor")
    ]
    for key, field in THROTTLES.items():
        throttles = [
            ThrottleDevice(
                device.number("major", INT64),
                device.number("minor", INT64),
                device.number("rate", UINT64),
            )
            for device in table.tables(key)
            if device.require("major", "minor")
        ]
        setattr(found, field, throttles)


def _read_network(table: Table, found: Resources) -> None:
    found.net_cls_classid = table.number("classID", UINT32)
    found.net_prio_ifpriomap = [
        InterfacePriority(entry.string("name"), entry.number("priority", UINT32))
        for entry in table.tables("priorities")
        if entry.require("name", "priority")
    ]
