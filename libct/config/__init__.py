"""What a container is: plain records (config.py and its neighbours), and their validation.

The names here are resolved on first use (PEP 562): who wants a Namespace does
not pay for the rest.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .attributes import (
        Capabilities as Capabilities,
        CPUAffinity as CPUAffinity,
        IntelRdt as IntelRdt,
        IOPriority as IOPriority,
        MemoryPolicy as MemoryPolicy,
        Personality as Personality,
        ProcessDefaults as ProcessDefaults,
        Rlimit as Rlimit,
        Scheduler as Scheduler,
    )
    from .cgroup import (
        Cgroup as Cgroup,
        HugepageLimit as HugepageLimit,
        InterfacePriority as InterfacePriority,
        Rdma as Rdma,
        Resources as Resources,
        ThrottleDevice as ThrottleDevice,
        WeightDevice as WeightDevice,
    )
    from .config import Config as Config, NetDevice as NetDevice, Network as Network, Route as Route
    from .device import (
        ALLOWED_DEVICES as ALLOWED_DEVICES,
        Device as Device,
        DeviceRule as DeviceRule,
    )
    from .entry import Entry as Entry
    from .hooks import Hook as Hook, Hooks as Hooks
    from .landlock import Landlock as Landlock
    from .mount import Mount as Mount, MountIDMapping as MountIDMapping, RecAttr as RecAttr
    from .namespace import (
        NEWCGROUP as NEWCGROUP,
        NEWIPC as NEWIPC,
        NEWNET as NEWNET,
        NEWNS as NEWNS,
        NEWPID as NEWPID,
        NEWTIME as NEWTIME,
        NEWUSER as NEWUSER,
        NEWUTS as NEWUTS,
        IDMap as IDMap,
        Namespace as Namespace,
        TimeOffset as TimeOffset,
    )
    from .record import Record as Record
    from .seccomp import Seccomp as Seccomp, SeccompArg as SeccompArg, SeccompRule as SeccompRule


def __getattr__(name: str) -> object:
    from .homes import HOMES

    if name == "__all__":
        return sorted(name for names in HOMES.values() for name in names.split())
    for home, names in HOMES.items():
        if name in names.split():
            module = __import__(f"{__name__}.{home}", fromlist=[name])
            value: object = getattr(module, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
