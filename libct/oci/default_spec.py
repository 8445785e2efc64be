"""The configuration that `libct spec` writes: a shell in a container with usual limits.

In content what `runc spec` and `crun spec` write, so that bundles made with
either mean the same.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = "1.3.0"  # of the runtime-spec, the newest that is known
_WRITTEN = "1.0.2"  # has all that is written here, and every runtime takes it

_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")

# Files of the kernel that tell about the host, or control it, and know no namespaces.
_MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/proc/scsi",
)
_READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def default_spec(
    *,
    rootless: bool = False,
    euid: int | None = None,
    egid: int | None = None,
    cgroup_v2: bool = True,
) -> dict[str, Any]:
    """The configuration as values of JSON.

    rootless: for an ordinary user: a user namespace, in which the user is root;
        the host's network, and no limits, which would need rights.
    euid, egid: that user; None for the one of this process.
    cgroup_v2: with v1 there is no cgroup namespace, as from runc.
    """
    namespaces = ["pid", "ipc", "uts", "mount", *(["cgroup"] if cgroup_v2 else [])]
    if not rootless:
        namespaces.insert(1, "network")
    linux: dict[str, Any] = {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in namespaces],
        "maskedPaths": list(_MASKED_PATHS),
        "readonlyPaths": list(_READONLY_PATHS),
    }
    if rootless:
        del linux["resources"]
        linux["namespaces"].append({"type": "user"})
        for key, number in (
            ("uidMappings", os.geteuid() if euid is None else euid),
            ("gidMappings", os.getegid() if egid is None else egid),
        ):
            linux[key] = [{"containerID": 0, "hostID": number, "size": 1}]
    return {
        "ociVersion": _WRITTEN,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "libct",
        "mounts": _mounts(rootless),
        "linux": linux,
    }


def _process() -> dict[str, Any]:
    sets = ("bounding", "effective", "permitted")  # none inheritable: CVE-2022-24769
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ],
        "cwd": "/",
        "capabilities": {name: list(_CAPABILITIES) for name in sets},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    if not rootless:
        pts.append("gid=5")  # tty, which a user namespace of one id does not have
    quiet = ["nosuid", "noexec", "nodev"]
    found: list[dict[str, Any]] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    for destination, kind, source, options in (
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts),
        ("/dev/shm", "tmpfs", "shm", [*quiet, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", quiet),
        # sysfs shows a network namespace, and only its owner may mount one.
        ("/sys", "none", "/sys", ["rbind", *quiet, "ro"])
        if rootless
        else ("/sys", "sysfs", "sysfs", [*quiet, "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*quiet, "relatime", "ro"]),
    ):
        found.append(
            {"destination": destination, "type": kind, "source": source, "options": options}
        )
    return found
