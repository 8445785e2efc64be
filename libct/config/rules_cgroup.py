"""Rules about control groups, their limits, and resctrl."""

from __future__ import annotations

from ..errors import Finding
from .number_lists import parse_numbers
from .texts import check_text
from .unified import check_unified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .attributes import IntelRdt
    from .cgroup import Cgroup, Resources
    from .device import DeviceRule
    from .facts import Facts

    Findings = list[Finding]

_PLACE = "linux.resources"
# What one version of control groups has and the other has not: field -> place.
_V1_ALONE = {
    "memory_swappiness": "memory.swappiness",
    "oom_kill_disable": "memory.disableOOMKiller",
    "cpu_rt_period": "cpu.realtimePeriod",
    "cpu_rt_quota": "cpu.realtimeRuntime",
    "blkio_leaf_weight": "blockIO.leafWeight",
    "net_cls_classid": "network.classID",
    "net_prio_ifpriomap": "network.priorities",
}
_V2_ALONE = {"cpu_weight": "cpu_weight"}  # and memory_oom_group, which is a wish
_HIGHEST_NUMBER = 1 << 16  # of a CPU or a memory node in a cpuset


def cgroup_rules(cgroup: Cgroup, facts: Facts, findings: Findings) -> None:
    place = "linux.cgroupsPath"
    if cgroup.path and (cgroup.name or cgroup.parent):
        message = f"either a path or a parent and a name, not both: {cgroup.path!r}"
        findings.append(Finding(place, message))
    if cgroup.path and not cgroup.path.strip("/."):
        findings.append(Finding(place, f"the root cannot be a container's: {cgroup.path!r}"))
    for text in (cgroup.path, cgroup.parent, cgroup.name, cgroup.scope_prefix):
        check_text(place, text, findings)
    resources = cgroup.resources
    for index, rule in enumerate(resources.devices):
        _device_rule_rules(f"{_PLACE}.devices[{index}]", rule, findings)
    _memory_rules(resources, facts, findings)
    _cpu_rules(resources, findings)
    _block_io_rules(resources, findings)
    for index, limit in enumerate(resources.hugetlb_limit):
        if not _is_page_size(limit.page_size):
            message = f"not a size like 2MB: {limit.page_size!r}"
            findings.append(Finding(f"{_PLACE}.hugepageLimits[{index}].pageSize", message))
        if limit.limit < 0:
            message = f"negative: {limit.limit}"
            findings.append(Finding(f"{_PLACE}.hugepageLimits[{index}].limit", message))
    for name in resources.rdma:
        if not name or any(at.isspace() or at == "\0" for at in name):
            message = f"not a name of a device: {name!r}"
            findings.append(Finding(f"{_PLACE}.rdma.{name}", message))
    if resources.unified:
        _unified_rules(resources, facts, findings)
    if resources.freezer not in ("", "FROZEN", "THAWED"):
        findings.append(Finding("freezer", f"not FROZEN or THAWED: {resources.freezer!r}"))
    _ignored_rules(resources, facts, findings)


def _ignored_rules(resources: Resources, facts: Facts, findings: Findings) -> None:
    ignored, version = (_V1_ALONE, 2) if facts.cgroup_v2 else (_V2_ALONE, 1)
    for field, where in ignored.items():
        value = getattr(resources, field)
        if value or (value == 0 and field == "memory_swappiness"):
            message = f"ignored: cgroup v{version} has no such limit"
            findings.append(Finding(f"{_PLACE}.{where}", message, "warning"))


def _device_rule_rules(place: str, rule: DeviceRule, findings: Findings) -> None:
    if rule.type not in ("a", "b", "c"):
        message = f"unknown type of device: {rule.type!r} (known: a, b, c)"
        findings.append(Finding(f"{place}.type", message))
    for field, number in (("major", rule.major), ("minor", rule.minor)):
        if not -1 <= number < 1 << 32:
            findings.append(Finding(f"{place}.{field}", f"not a device number: {number}"))
    if not rule.permissions or rule.permissions.strip("rwm"):
        message = f"not some of r, w and m: {rule.permissions!r}"
        findings.append(Finding(f"{place}.access", message))


def _memory_rules(resources: Resources, facts: Facts, findings: Findings) -> None:
    place = f"{_PLACE}.memory"
    for field, limit in (
        ("limit", resources.memory),
        ("reservation", resources.memory_reservation),
        ("swap", resources.memory_swap),
    ):
        if limit < -1:
            findings.append(Finding(f"{place}.{field}", f"negative, and not -1: {limit}"))
    swappiness = resources.memory_swappiness
    if swappiness is not None and not 0 <= swappiness <= 100:
        message = f"not between 0 and 100: {swappiness}"
        findings.append(Finding(f"{place}.swappiness", message))
    if resources.memory_swap > 0 and facts.cgroup_v2:
        # There the file is for swap alone, so the two must leave a difference.
        from .conversions import swap_max

        try:
            swap_max(resources.memory, resources.memory_swap)
        except ValueError as error:
            findings.append(Finding(f"{place}.swap", str(error)))


def _cpu_rules(resources: Resources, findings: Findings) -> None:
    place = f"{_PLACE}.cpu"
    for field, text in (("cpus", resources.cpuset_cpus), ("mems", resources.cpuset_mems)):
        if text:
            try:
                parse_numbers(text, _HIGHEST_NUMBER)
            except ValueError as error:
                findings.append(Finding(f"{place}.{field}", str(error)))
    if resources.cpu_idle not in (None, 0, 1):
        findings.append(Finding(f"{place}.idle", f"not 0 or 1: {resources.cpu_idle}"))
    if not 0 <= resources.cpu_weight <= 10000:
        findings.append(Finding("cpu_weight", f"not between 1 and 10000: {resources.cpu_weight}"))


def _block_io_rules(resources: Resources, findings: Findings) -> None:
    place = f"{_PLACE}.blockIO"
    weights = [
        (f"{place}.weight", resources.blkio_weight),
        (f"{place}.leafWeight", resources.blkio_leaf_weight),
    ]
    for index, device in enumerate(resources.blkio_weight_device):
        weights.append((f"{place}.weightDevice[{index}].weight", device.weight))
        weights.append((f"{place}.weightDevice[{index}].leafWeight", device.leaf_weight))
    for where, weight in weights:
        if weight and not 10 <= weight <= 1000:
            findings.append(Finding(where, f"not between 10 and 1000: {weight}"))


def _is_page_size(text: str) -> bool:
    """As the kernel names them: 64KB, 2MB, 1GB."""
    digits, unit = text[:-2], text[-2:]
    return (
        unit in ("KB", "MB", "GB")
        and digits.isascii()
        and digits.isdigit()
        and not digits.startswith("0")
    )


def _unified_rules(resources: Resources, facts: Facts, findings: Findings) -> None:
    place = f"{_PLACE}.unified"
    if not facts.cgroup_v2:
        # runc's words
        message = "invalid configuration: cannot use unified on cgroup v1, which this host has"
        findings.append(Finding(place, message))
    for name, text in resources.unified.items():
        try:
            check_unified(name)
        except ValueError as error:
            findings.append(Finding(f"{place}.{name}", str(error)))
        check_text(f"{place}.{name}", name, findings)
        check_text(f"{place}.{name}", text, findings)


def rdt_rules(rdt: IntelRdt, facts: Facts, findings: Findings) -> None:
    """config-linux.md, IntelRdt; Documentation/filesystems/resctrl.rst."""
    place = "linux.intelRdt"
    controls = facts.rdt
    if controls is None:
        findings.append(Finding(place, "resctrl is not mounted on this host"))
    name = rdt.clos_id
    if name in (".", "..") or ("/" in name and name != "/"):
        findings.append(Finding(f"{place}.closID", f"not a name of a directory: {name!r}"))
    check_text(f"{place}.closID", name, findings)
    if (
        rdt.l3_cache_schema
        and controls is not None
        and not any(control.startswith("L3") and control != "L3_MON" for control in controls)
    ):
        message = "this host has no control of the L3 cache"
        findings.append(Finding(f"{place}.l3CacheSchema", message))
    if rdt.mem_bw_schema:
        if controls is not None and "MB" not in controls:
            message = "this host has no control of memory bandwidth"
            findings.append(Finding(f"{place}.memBwSchema", message))
        if not rdt.mem_bw_schema.startswith("MB:"):
            message = f"does not start with MB: {rdt.mem_bw_schema!r}"
            findings.append(Finding(f"{place}.memBwSchema", message))
    lines = [
        (f"{place}.l3CacheSchema", rdt.l3_cache_schema),
        (f"{place}.memBwSchema", rdt.mem_bw_schema),
    ]
    lines += [(f"{place}.schemata[{index}]", line) for index, line in enumerate(rdt.schemata)]
    for where, line in lines:
        if check_text(where, line, findings) and "\n" in line:
            findings.append(Finding(where, f"more than one line: {line!r}"))
