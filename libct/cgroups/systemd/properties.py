"""The properties of a container's unit: its limits, as systemd has them.

What systemd knows of a limit it keeps, also when it makes the groups anew (daemon-reload).
So it is told of every limit that it has a property for, block I/O included; the files are
written as well, for what it has none for.

Sources: systemd.resource-control(5); org.freedesktop.systemd1(5).
"""

from __future__ import annotations

from ...config import conversions as convert
from ...config.number_lists import parse_grouped, whole_number
from ..resources import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...config.cgroup import Resources, ThrottleDevice
    from ..resources import DeviceAccess, Problem

    # Name, signature of D-Bus, value.
    Property = tuple[str, str, object]
    Properties = tuple[Property, ...]

NO_LIMIT = (1 << 64) - 1
_DEFAULT_PERIOD = 100000  # microseconds
_SECOND = 1000000  # microseconds
_PERCENT = 10000  # microseconds of a second: systemd has no less of a CPU
_HIGHEST_NUMBER = 1 << 16  # of a CPU or a memory node

# The first versions of systemd with these.
_QUOTA_PERIOD, _CPUSET, _IDLE = 242, 244, 252
_ZSWAP = _OOM_POLICY = 253

# Weights of the BFQ scheduler and of systemd: the least, the default, the most.
_BFQ, _WEIGHT = (1, 100, 1000), (1, 100, 10000)

_ACCOUNTING = ("MemoryAccounting", "CPUAccounting", "TasksAccounting")
_THROTTLES = {
    2: (
        ("blkio_throttle_read_bps_device", "IOReadBandwidthMax"),
        ("blkio_throttle_write_bps_device", "IOWriteBandwidthMax"),
        ("blkio_throttle_read_iops_device", "IOReadIOPSMax"),
        ("blkio_throttle_write_iops_device", "IOWriteIOPSMax"),
    ),
    1: (
        ("blkio_throttle_read_bps_device", "BlockIOReadBandwidth"),
        ("blkio_throttle_write_bps_device", "BlockIOWriteBandwidth"),
    ),
}
# Keys of io.max.
_IO_MAX = {
    "rbps": "IOReadBandwidthMax",
    "wbps": "IOWriteBandwidthMax",
    "riops": "IOReadIOPSMax",
    "wiops": "IOWriteIOPSMax",
}


def unit_properties(name: str, slice_name: str, version: int, *, is_slice: bool) -> list[Property]:
    """Of a new unit, but for its limits.

    name: of the container.  slice_name: that the unit is in.  version: of control groups.
    """
    found: list[Property] = [("Description", "s", f"libct container {name}")]
    if is_slice:  # its name says where it is
        found.append(("Wants", "as", (slice_name,)))
    else:
        # Slices may be delegated since systemd 236, and what is below ours is ours anyway.
        found += [("Slice", "s", slice_name), ("Delegate", "b", True)]
    io = "IOAccounting" if version == 2 else "BlockIOAccounting"
    found += [(accounting, "b", True) for accounting in (*_ACCOUNTING, io)]
    # A unit that fails, as when its process has ended by then, is not kept for its name.
    collected: Property = ("CollectMode", "s", "inactive-or-failed")
    return [*found, ("DefaultDependencies", "b", False), collected]


def oom_properties(resources: Resources, systemd: int) -> list[Property]:
    """What systemd makes memory.oom.group of: of a scope, and only as that is made."""
    text = resources.unified.get("memory.oom.group", "").strip()
    whole = {"1": True, "0": False}.get(text, resources.memory_oom_group)
    if whole is None or systemd < _OOM_POLICY:
        return []
    return [("OOMPolicy", "s", "kill" if whole else "continue")]


def limit_properties(
    resources: Resources,
    access: DeviceAccess | None,
    version: int,
    systemd: int,
    *,
    bfq: bool = False,
) -> tuple[list[Property], list[Problem]]:
    """The limits, and what is wrong with those that are given as text.

    access: to devices; None to leave that alone.
    version: of control groups.  systemd: its version.
    bfq: the kernel has the scheduler of this name, whose weights are written then.
    """
    idle = resources.unified.get("cpu.idle", "").strip() if version == 2 else ""
    if idle in ("0", "1"):
        resources = resources.copy(cpu_idle=int(idle))
    found = device_properties(access) if access is not None else []
    found += _memory(resources, version)
    found += _cpu(resources, version, systemd)
    if resources.pids_limit is not None:
        found.append(("TasksMax", "t", _tasks(resources.pids_limit)))
    found += _cpuset(resources, systemd)
    found += _block_io(resources, version, io_weight if bfq else convert.io_weight)
    problems: list[Problem] = []
    if version == 2:
        for file, text in resources.unified.items():
            try:
                more = _unified(file, text, systemd)
            except ValueError as error:
                problems.append((f"{place('unified')}.{file}", str(error)))
                continue
            if file == "cpu.weight" and resources.cpu_idle == 1:
                continue  # an idle group has none
            # They are written after the others, and so it is they that hold.
            names = [name for name, _, _ in more]
            found = [one for one in found if one[0] not in names] + more
    return found, problems


def for_files(resources: Resources) -> Resources:
    """With the quota that systemd comes to, which knows whole percents only."""
    if resources.cpu_quota <= 0:
        return resources
    period = resources.cpu_period or _DEFAULT_PERIOD
    quota = _quota_per_second(resources.cpu_quota, period) * period // _SECOND
    return resources.copy(cpu_quota=max(resources.cpu_quota, quota))


# --- access to devices ---


def device_properties(access: DeviceAccess) -> list[Property]:
    """The list is emptied first: in another order the unit wants a daemon-reload (runc#4612).

    What systemd has no words for, it is to allow: an exception from all, or all devices of
    a minor number.  Our own rules, which are there as well, forbid it then.
    """
    default, exceptions = access
    entries = [] if default == "allow" else _entries(exceptions)
    policy = "strict" if default == "deny" and entries is not None else "auto"
    found: list[Property] = [("DeviceAllow", "a(ss)", ()), ("DevicePolicy", "s", policy)]
    if entries:
        found.append(("DeviceAllow", "a(ss)", tuple(entries)))
    return found


def _entries(exceptions: Iterable[str]) -> list[tuple[str, str]] | None:
    """For "c 1:3 rwm" and the like; None where one cannot be said."""
    found = []
    for exception in exceptions:
        kind, numbers, permissions = exception.split(" ")
        major, minor = numbers.split(":")
        word = {"b": "block", "c": "char"}[kind]
        if major == "*" != minor:
            return None
        # The number of a group of devices for its name since systemd 240, as the path of a
        # device that has no node.
        path = f"{word}-{major}" if minor == "*" else f"/dev/{word}/{numbers}"
        found.append((path, "".join(letter for letter in "rwm" if letter in permissions)))
    return found


# --- limits ---


def _memory(resources: Resources, version: int) -> list[Property]:
    if version == 1:
        memory = resources.memory
        return [("MemoryLimit", "t", _bytes(memory))] if memory else []
    swap = convert.swap_max(resources.memory, resources.memory_swap)
    found = [("MemoryMax", resources.memory), ("MemoryLow", resources.memory_reservation)]
    made: list[Property] = [(name, "t", _bytes(limit)) for name, limit in found if limit]
    return made + ([("MemorySwapMax", "t", _bytes(swap))] if swap is not None else [])


def _cpu(resources: Resources, version: int, systemd: int) -> list[Property]:
    found: list[Property] = []
    if version == 1:
        if resources.cpu_shares and resources.cpu_idle != 1:
            found.append(("CPUShares", "t", resources.cpu_shares))
    elif resources.cpu_idle == 1:
        if systemd >= _IDLE:
            found.append(("CPUWeight", "t", 0))
    else:
        weight = resources.cpu_weight or convert.weight_of_shares(resources.cpu_shares)
        if not weight and resources.cpu_idle == 0 and systemd >= _IDLE:
            weight = NO_LIMIT  # none, or it would be idle again when systemd reloads
        found += [("CPUWeight", "t", weight)] if weight else []
    return found + _quota(resources.cpu_quota, resources.cpu_period, systemd)


def _quota(quota: int, period: int, systemd: int) -> list[Property]:
    found: list[Property] = []
    if period and systemd >= _QUOTA_PERIOD:
        found.append(("CPUQuotaPeriodUSec", "t", period))
    if quota or period:
        used = _quota_per_second(quota, period or _DEFAULT_PERIOD) if quota > 0 else NO_LIMIT
        found.append(("CPUQuotaPerSecUSec", "t", used))
    return found


def _quota_per_second(quota: int, period: int) -> int:
    """Rounded up to whole percents."""
    return -(-(quota * _SECOND // period) // _PERCENT) * _PERCENT


def _cpuset(resources: Resources, systemd: int) -> list[Property]:
    if systemd < _CPUSET:
        return []
    given = (
        ("AllowedCPUs", resources.cpuset_cpus),
        ("AllowedMemoryNodes", resources.cpuset_mems),
    )
    return [(name, "ay", bitmask(text)) for name, text in given if text]


def bitmask(text: str) -> bytes:
    """A list of numbers as bits, the first byte for 0 to 7: "0-3,8" is 0f 01."""
    mask = 0
    for number in parse_grouped(text, _HIGHEST_NUMBER):
        mask |= 1 << number
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def _block_io(
    resources: Resources, version: int, weight_of: Callable[[int], int]
) -> list[Property]:
    prefix = "IO"
    if version == 1:
        prefix, weight_of = "BlockIO", int
    found: list[Property] = []
    if resources.blkio_weight:
        found.append((f"{prefix}Weight", "t", weight_of(resources.blkio_weight)))
    weights = [
        (_block(device.major, device.minor), weight_of(device.weight))
        for device in resources.blkio_weight_device
        if device.weight
    ]
    found += [(f"{prefix}DeviceWeight", "a(st)", tuple(weights))] if weights else []
    for field, name in _THROTTLES[version]:
        devices: list[ThrottleDevice] = getattr(resources, field)
        if devices:
            rates = [(_block(one.major, one.minor), one.rate or NO_LIMIT) for one in devices]
            found.append((name, "a(st)", tuple(rates)))
    return found


def io_weight(weight: int) -> int:
    """systemd's weight for one of the BFQ scheduler, which it makes that of again."""
    least, usual, most = _BFQ
    low, middle, high = _WEIGHT
    if weight <= usual:
        return middle - (usual - weight) * (middle - low) // (usual - least)
    return middle + (weight - usual) * (high - middle) // (most - usual)


def _block(major: int, minor: int) -> str:
    return f"/dev/block/{major}:{minor}"


def _bytes(limit: int) -> int:
    return NO_LIMIT if limit == -1 else limit


def _tasks(limit: int) -> int:
    return NO_LIMIT if limit < 0 else max(limit, 1)


# --- unified: files of v2, as text ---


def _unified(file: str, text: str, systemd: int) -> list[Property]:
    """The properties that one is, none for those that are files alone; ValueError."""
    text = text.strip()
    if file in _LIMITS:
        name, least = _LIMITS[file]
        if file == "cpu.weight":
            _weight(text, _WEIGHT)
        return [(name, "t", _limit(text))] if systemd >= least else []
    read = _TEXTS.get(file)
    return read(text, systemd) if read is not None else []


def _limit(text: str) -> int:
    if text == "max":
        return NO_LIMIT
    # The kernel reads these, too (memparse).
    units = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].upper() in units else (text, "")
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"not a number, nor max: {text!r}")
    found = whole_number(number, NO_LIMIT)
    return NO_LIMIT if found is None else min(found << units.get(unit, 0), NO_LIMIT)


def _weight(text: str, known: tuple[int, int, int]) -> int:
    least, _, most = known
    weight = _limit(text)
    if not least <= weight <= most:
        raise ValueError(f"not between {least} and {most}: {text!r}")
    return weight


def _cpu_max(text: str, systemd: int) -> list[Property]:
    quota, _, period = text.partition(" ")
    used = -1 if quota == "max" else _limit(quota)
    return _quota(used or -1, _limit(period.strip() or str(_DEFAULT_PERIOD)), systemd)


def _cpu_idle(text: str, systemd: int) -> list[Property]:
    if text not in ("0", "1"):
        raise ValueError(f"not 0 or 1: {text!r}")
    return []  # limit_properties() has seen to it


def _cpuset_text(name: str) -> Callable[[str, int], list[Property]]:
    def read(text: str, systemd: int) -> list[Property]:
        # Without any the group has those of the group above.
        return [(name, "ay", bitmask(text) if text else b"")] if systemd >= _CPUSET else []

    return read


def _weights(
    weight_of: Callable[[int], int], known: tuple[int, int, int]
) -> Callable[[str, int], list[Property]]:
    """Lines "100", "default 100", "8:0 100"."""

    def read(text: str, systemd: int) -> list[Property]:
        found: list[Property] = []
        devices, emptied = [], False
        for line in text.splitlines():
            device, _, number = line.strip().rpartition(" ")
            if number == "default":  # as for all devices, which is to be without one
                emptied = True
                continue
            weight = weight_of(_weight(number, known))
            if device in ("", "default"):
                found = [("IOWeight", "t", weight)]
            else:
                devices.append((f"/dev/block/{device.strip()}", weight))
        # One alone cannot be taken out of systemd's list.
        found += [("IODeviceWeight", "a(st)", ())] if emptied else []
        return found + ([("IODeviceWeight", "a(st)", tuple(devices))] if devices else [])

    return read


def _io_max(text: str, systemd: int) -> list[Property]:
    """Lines "8:0 rbps=1048576 wiops=max"."""
    limits: dict[str, list[tuple[str, int]]] = {}
    for line in text.splitlines():
        device, *words = line.split()
        for word in words:
            key, _, number = word.partition("=")
            if key not in _IO_MAX:
                raise ValueError(f"not rbps, wbps, riops or wiops: {word!r}")
            limits.setdefault(_IO_MAX[key], []).append((f"/dev/block/{device}", _limit(number)))
    return [(name, "a(st)", tuple(given)) for name, given in limits.items()]


# File -> (property, the first version of systemd with it).
_LIMITS = {
    "memory.min": ("MemoryMin", 0),
    "memory.low": ("MemoryLow", 0),
    "memory.high": ("MemoryHigh", 0),
    "memory.max": ("MemoryMax", 0),
    "memory.swap.max": ("MemorySwapMax", 0),
    "memory.zswap.max": ("MemoryZSwapMax", _ZSWAP),
    "pids.max": ("TasksMax", 0),
    "cpu.weight": ("CPUWeight", 0),
}
_TEXTS: dict[str, Callable[[str, int], list[Property]]] = {
    "cpu.max": _cpu_max,
    "cpu.idle": _cpu_idle,
    "cpuset.cpus": _cpuset_text("AllowedCPUs"),
    "cpuset.mems": _cpuset_text("AllowedMemoryNodes"),
    "io.weight": _weights(int, _WEIGHT),
    "io.bfq.weight": _weights(io_weight, _BFQ),
    "io.max": _io_max,
}
