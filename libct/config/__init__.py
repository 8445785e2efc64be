"""What a container is: plain records (config.py and its neighbours), and their validation.

The names here are resolved on first use (PEP 562): who wants a Namespace does
not pay for the rest.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .attributes import (
        Capabilities,
        CPUAffinity,
        IntelRdt,
        IOPriority,
        MemoryPolicy,
        Personality,
        ProcessDefaults,
        Rlimit,
        Scheduler,
    )
    from .cgroup import (
        Cgroup,
        HugepageLimit,
        InterfacePriority,
        Rdma,
        Resources,
        ThrottleDevice,
        WeightDevice,
    )
    from .config import Config, NetDevice, Network, Route
    from .device import ALLOWED_DEVICES, Device, DeviceRule
    from .entry import Entry
    from .hooks import Hook, Hooks
    from .landlock import Landlock
    from .mount import Mount, MountIDMapping, RecAttr
    from .namespace import (
        NEWCGROUP,
        NEWIPC,
        NEWNET,
        NEWNS,
        NEWPID,
        NEWTIME,
        NEWUSER,
        NEWUTS,
        IDMap,
        Namespace,
        TimeOffset,
    )
    from .record import Record
    from .seccomp import Seccomp, SeccompArg, SeccompRule

_HOMES = {
    "attributes": "Capabilities CPUAffinity IntelRdt IOPriority MemoryPolicy Personality"
    " ProcessDefaults Rlimit Scheduler",
    "cgroup": "Cgroup HugepageLimit InterfacePriority Rdma Resources ThrottleDevice WeightDevice",
    "config": "Config NetDevice Network Route",
    "device": "ALLOWED_DEVICES Device DeviceRule",
    "entry": "Entry",
    "hooks": "Hook Hooks",
    "landlock": "Landlock",
    "mount": "Mount MountIDMapping RecAttr",
    "namespace": "NEWCGROUP NEWIPC NEWNET NEWNS NEWPID NEWTIME NEWUSER NEWUTS IDMap Namespace"
    " TimeOffset",
    "record": "Record",
    "seccomp": "Seccomp SeccompArg SeccompRule",
}

__all__ = [
    "ALLOWED_DEVICES",
    "NEWCGROUP",
    "NEWIPC",
    "NEWNET",
    "NEWNS",
    "NEWPID",
    "NEWTIME",
    "NEWUSER",
    "NEWUTS",
    "CPUAffinity",
    "Capabilities",
    "Cgroup",
    "Config",
    "Device",
    "DeviceRule",
    "Entry",
    "Hook",
    "Hooks",
    "HugepageLimit",
    "IDMap",
    "IOPriority",
    "IntelRdt",
    "InterfacePriority",
    "Landlock",
    "MemoryPolicy",
    "Mount",
    "MountIDMapping",
    "Namespace",
    "NetDevice",
    "Network",
    "Personality",
    "ProcessDefaults",
    "Rdma",
    "RecAttr",
    "Record",
    "Resources",
    "Rlimit",
    "Route",
    "Scheduler",
    "Seccomp",
    "SeccompArg",
    "SeccompRule",
    "ThrottleDevice",
    "TimeOffset",
    "WeightDevice",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names.split():
            module = __import__(f"{__name__}.{home}", fromlist=[name])
            value: object = getattr(module, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
