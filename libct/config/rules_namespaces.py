"""Rules about namespaces and what belongs to them: ids, host name, network, clocks, sysctls."""

from __future__ import annotations

from ..errors import Finding
from ..loading.paths import fsencode
from .namespace import (
    NEWIPC,
    NEWNET,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    PROC_NAMES,
    SPEC_NAMES,
)
from .number_lists import HIGHEST_ID, whole_number
from .texts import check_path, check_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config, Network
    from .facts import Facts
    from .namespace import IDMap, Namespace

    Findings = list[Finding]

LONGEST_UTS_NAME = 64  # __NEW_UTS_LEN, bytes
LONGEST_DEVICE_NAME = 15  # IFNAMSIZ without its NUL, bytes
MOST_MAPPINGS = 340  # UID_GID_MAP_MAX_EXTENTS; user_namespaces(7)
_PLACE = "linux.namespaces"


def find(config: Config, kind: str) -> Namespace | None:
    """The namespace of a type that the configuration names, if any."""
    for namespace in config.namespaces:
        if namespace.type == kind:
            return namespace
    return None


def is_private(config: Config, kind: str) -> bool:
    """Whether the container has a new namespace of a type."""
    namespace = find(config, kind)
    return namespace is not None and not namespace.path


def namespace_rules(config: Config, facts: Facts, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, namespace in enumerate(config.namespaces):
        kind = namespace.type
        if kind not in PROC_NAMES:
            known = ", ".join(PROC_NAMES)
            message = f"unknown namespace type: {kind!r} (known: {known})"
            findings.append(Finding(f"{_PLACE}[{index}].type", message))
            continue
        name = SPEC_NAMES[kind]
        if kind in seen:
            message = f"a second {name} namespace, after {_PLACE}[{seen[kind]}]"
            findings.append(Finding(f"{_PLACE}[{index}]", message))
        seen.setdefault(kind, index)
        if namespace.path:
            check_path(f"{_PLACE}[{index}].path", namespace.path, findings)
        if not facts.supports(kind):
            message = f"this kernel has no {name} namespaces"
            findings.append(Finding(f"{_PLACE}[{index}].type", message))


def user_namespace_rules(config: Config, facts: Facts, findings: Findings) -> None:
    namespace = find(config, NEWUSER)
    both = (("linux.uidMappings", config.uid_mappings), ("linux.gidMappings", config.gid_mappings))
    for place, mappings in both:
        if mappings and namespace is None:
            findings.append(Finding(place, f"needs a user namespace in {_PLACE}"))
        elif not mappings and namespace is not None and not namespace.path:
            findings.append(Finding(place, "missing: a new user namespace needs mappings"))
        check_mappings(place, mappings, findings)
    if namespace is not None and namespace.path and (config.uid_mappings or config.gid_mappings):
        maps = facts.user_namespace_maps(namespace.path)
        if maps is not None:
            for (place, mappings), real in zip(both, maps):
                if mappings and mappings != real:
                    message = f"not the mappings of the user namespace {namespace.path!r}"
                    findings.append(Finding(place, message))


def entering_rules(config: Config, facts: Facts, findings: Findings) -> None:
    """Who makes a user namespace has no right any more to join a pid namespace outside of it.

    So the container's process joins that before, and whatever it forks is in there from
    then on.  A createContainer hook would be, with the host's root until it is executed.
    """
    pids = find(config, NEWPID)
    hooks = config.hooks.create_container if config.hooks is not None else []
    if hooks and pids is not None and pids.path and is_private(config, NEWUSER):
        message = (
            f"cannot run where {_PLACE} joins a pid namespace ({pids.path!r}) and makes a user"
            " namespace (join the user namespace that it belongs to, or make a pid namespace)"
        )
        findings.append(Finding("hooks.createContainer", message))


def check_mappings(place: str, mappings: list[IDMap], findings: Findings) -> None:
    """What the kernel refuses in an id map (user_namespaces(7))."""
    if len(mappings) > MOST_MAPPINGS:
        message = f"{len(mappings)} mappings, the kernel takes {MOST_MAPPINGS}"
        findings.append(Finding(place, message))
    for index, entry in enumerate(mappings):
        here = f"{place}[{index}]"
        if entry.size < 1:
            findings.append(Finding(f"{here}.size", f"maps nothing: {entry.size}"))
            continue
        for field, first in (("containerID", entry.container_id), ("hostID", entry.host_id)):
            if first < 0 or first + entry.size > (1 << 32) - 1:
                message = f"ids {first} to {first + entry.size - 1} are no ids"
                findings.append(Finding(f"{here}.{field}", message))
        for other_index, other in enumerate(mappings[:index]):
            if _overlap(entry.container_id, entry.size, other.container_id, other.size):
                message = f"overlaps {place}[{other_index}]"
                findings.append(Finding(f"{here}.containerID", message))
            if _overlap(entry.host_id, entry.size, other.host_id, other.size):
                findings.append(Finding(f"{here}.hostID", f"overlaps {place}[{other_index}]"))


def _overlap(first: int, size: int, other: int, other_size: int) -> bool:
    return first < other + other_size and other < first + size


def is_mapped(number: int, mappings: list[IDMap]) -> bool:
    """Whether an id inside stands for one outside."""
    return any(at.container_id <= number < at.container_id + at.size for at in mappings)


def uts_rules(config: Config, facts: Facts, findings: Findings) -> None:
    for place, name in (("hostname", config.hostname), ("domainname", config.domainname)):
        if name:
            if find(config, NEWUTS) is None:
                findings.append(Finding(place, f"needs a uts namespace in {_PLACE}"))
            if check_text(place, name, findings) and len(fsencode(name)) > LONGEST_UTS_NAME:
                message = f"longer than {LONGEST_UTS_NAME} bytes: {name!r}"
                findings.append(Finding(place, message))


def network_rules(config: Config, facts: Facts, findings: Findings) -> None:
    private = is_private(config, NEWNET)
    for name, items in (("networks", config.networks), ("routes", config.routes)):
        if items and not private:
            findings.append(Finding(name, f"need a new network namespace in {_PLACE}"))
    inside: dict[str, str] = {}  # name of a device in the container -> place
    for index, network in enumerate(config.networks):
        here = f"networks[{index}]"
        if network.type == "veth":
            _veth_rules(here, network, findings)
            name = network.name or f"eth{index}"
            if name in inside:
                findings.append(Finding(f"{here}.name", f"is {name!r} inside, like {inside[name]}"))
            inside[name] = here
        elif network.type != "loopback":
            message = f"unknown network type: {network.type!r} (known: loopback, veth)"
            findings.append(Finding(f"{here}.type", message))
    if inside and config.rootless_euid:
        text = "a pair of network devices cannot be made by an ordinary user"
        findings.append(Finding("networks", text))
    if config.net_devices:
        _net_device_rules(config, inside, findings)


def _veth_rules(place: str, network: Network, findings: Findings) -> None:
    import _socket

    for field in ("name", "host_interface_name", "bridge"):
        if getattr(network, field):
            _device_name_rule(f"{place}.{field}", getattr(network, field), findings)
    for field, family in (
        ("address", _socket.AF_INET),
        ("gateway", _socket.AF_INET),
        ("ipv6_address", _socket.AF_INET6),
        ("ipv6_gateway", _socket.AF_INET6),
    ):
        value = getattr(network, field)
        if value:
            problem = _address_problem(value, family, prefix=field.endswith("address"))
            if problem:
                findings.append(Finding(f"{place}.{field}", problem))
    for value in network.host_address.split():
        family = _socket.AF_INET6 if ":" in value else _socket.AF_INET
        problem = _address_problem(value, family, prefix=True)
        if problem:
            findings.append(Finding(f"{place}.host_address", problem))
    mac = network.mac_address
    if mac and not (
        len(mac) == 17
        and all(
            len(part) == 2 and not part.strip("0123456789abcdefABCDEF") for part in mac.split(":")
        )
    ):
        text = f"not a hardware address like 02:00:00:00:00:01: {mac!r}"
        findings.append(Finding(f"{place}.mac_address", text))
    if network.mtu and not 68 <= network.mtu <= 65535:  # drivers/net/veth.c
        findings.append(Finding(f"{place}.mtu", f"not between 68 and 65535: {network.mtu}"))
    if not 0 <= network.tx_queue_len < 1 << 32:
        text = f"not a number of packets: {network.tx_queue_len}"
        findings.append(Finding(f"{place}.tx_queue_len", text))
    if network.hairpin_mode and not network.bridge:
        findings.append(Finding(f"{place}.hairpin_mode", "is for a port of a bridge"))


def _address_problem(value: str, family: int, *, prefix: bool) -> str:
    import _socket

    address, slash, length = value.partition("/")
    name = "IPv6" if family == _socket.AF_INET6 else "IPv4"
    try:
        most = 8 * len(_socket.inet_pton(family, address))
    except (OSError, ValueError):
        return f"not an {name} address: {value!r}"
    if not prefix:
        return f"not an address alone: {value!r}" if slash else ""
    if whole_number(length, most) is None:
        return f"needs a prefix length of 0 to {most}, as in {address}/{most * 3 // 4}: {value!r}"
    return ""


def _net_device_rules(config: Config, inside: dict[str, str], findings: Findings) -> None:
    """inside: names that are taken in the container -> place."""
    place = "linux.netDevices"
    if find(config, NEWNET) is None:
        findings.append(Finding(place, f"need a network namespace in {_PLACE}"))
    if config.rootless_euid:
        findings.append(Finding(place, "cannot be moved by an ordinary user"))
    for host_name, device in config.net_devices.items():
        here = f"{place}.{host_name}"
        _device_name_rule(here, host_name, findings)
        if device.name:
            _device_name_rule(f"{here}.name", device.name, findings)
        name = device.name or host_name
        if name in inside:
            findings.append(Finding(here, f"is {name!r} inside, like {inside[name]}"))
        inside.setdefault(name, here)


def _device_name_rule(place: str, name: str, findings: Findings) -> None:
    """In the kernel's net/core/dev.c: dev_valid_name(), and dev_get_valid_name(), to which a name
    with % is a pattern for another one; sysctl_dev_name_is_allowed() in net/ipv4/devinet.c.
    """
    if not check_text(place, name, findings):
        return
    bad = name in ("", ".", "..", "all", "default")
    bad = bad or any(at in "/:%" or at.isspace() for at in name)
    if bad or len(fsencode(name)) > LONGEST_DEVICE_NAME:
        findings.append(Finding(place, f"not a name of a network device: {name!r}"))


def time_rules(config: Config, facts: Facts, findings: Findings) -> None:
    if not config.time_offsets:
        return
    namespace = find(config, NEWTIME)
    if namespace is None:
        findings.append(Finding("linux.timeOffsets", f"need a time namespace in {_PLACE}"))
    elif namespace.path:
        message = "cannot be set in a time namespace that exists: it is joined by its path"
        findings.append(Finding("linux.timeOffsets", message))
    for clock, offset in config.time_offsets.items():
        if clock not in ("monotonic", "boottime"):
            message = "unknown clock (known: boottime, monotonic)"
            findings.append(Finding(f"linux.timeOffsets.{clock}", message))
        if not 0 <= offset.nanosecs < 1_000_000_000:
            message = f"not below a second: {offset.nanosecs}"
            findings.append(Finding(f"linux.timeOffsets.{clock}.nanosecs", message))


_IPC_SYSCTLS = frozenset(
    (
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
        "kernel/shm_rmid_forced",
    )
)


def sysctl_rules(config: Config, facts: Facts, findings: Findings) -> None:
    """Only what belongs to a namespace of the container may be set; the rest is the host's."""
    if not config.sysctl:
        return
    from .sysctl import sysctl_path

    for key, value in config.sysctl.items():
        place = f"linux.sysctl.{key}"
        check_text(place, value, findings)
        try:
            message = _sysctl_problem(sysctl_path(key), config, facts)
        except ValueError as error:
            message = str(error)
        if message:
            findings.append(Finding(place, message))


def _sysctl_problem(path: str, config: Config, facts: Facts) -> str:
    if path in _IPC_SYSCTLS or path.startswith("fs/mqueue/"):
        needed = NEWIPC
    elif path.startswith("net/"):
        namespace = find(config, NEWNET)
        if namespace and namespace.path and facts.is_own_namespace(namespace.path, NEWNET):
            return f"would be the host's: {namespace.path!r} is the host's network namespace"
        needed = NEWNET
    elif path == "kernel/domainname":
        needed = NEWUTS
    elif path == "kernel/hostname":
        return "is set by the field hostname"
    elif path.startswith("user/"):
        needed = NEWUSER
    else:
        return "does not belong to a namespace, so it would be the host's"
    if find(config, needed) is None:
        return f"needs {SPEC_NAMES[needed]!r} in {_PLACE}"
    return ""


def rootless_rules(config: Config, facts: Facts, findings: Findings) -> None:
    """What an ordinary user's container needs (libcontainer: rootlessEUIDCheck)."""
    if not config.rootless_euid:
        return
    if find(config, NEWUSER) is None:
        message = "an ordinary user needs a user namespace here (see `libct spec --rootless`)"
        findings.append(Finding(_PLACE, message))
        return
    if not is_private(config, NEWUSER):
        return
    for index, mount in enumerate(config.mounts):
        for option in mount.data.split(",") if "id=" in mount.data else ():
            name, _, value = option.partition("=")
            mappings = {"uid": config.uid_mappings, "gid": config.gid_mappings}.get(name)
            number = whole_number(value, HIGHEST_ID)
            if mappings and (number is None or not is_mapped(number, mappings)):
                message = f"{option}: not an id that linux.{name}Mappings maps"
                findings.append(Finding(f"mounts[{index}].options", message))
