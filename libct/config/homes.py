"""The records of config/ and their neighbours, by the module that has each."""

from __future__ import annotations

HOMES = {
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
