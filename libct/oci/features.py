"""What this version of libct supports, as the runtime-spec's features (features.md).

Nothing here is a list of its own.  Names come from the tables that configurations
are read with; whether what they name is done is asked of the very function that
refuses a configuration for what is not (plan/unsupported.py).  So what is added
there or here later shows up by itself, and a feature cannot be claimed that a
start would then refuse.

It is about libct, not about the host: `libct check` is.
"""

from __future__ import annotations

import sys

from ..config import Config, Mount
from ..config.annotations import CRIU_CONFIG, PIDFD_RECEIVER, SECCOMP_RECEIVER
from ..config.attributes import IntelRdt
from ..config.cgroup import Cgroup, Rdma, Resources
from ..config.config import NetDevice
from ..config.hooks import HOOK_OUTPUT_ANNOTATIONS, Hooks
from ..config.landlock import ANNOTATION as LANDLOCK, Landlock
from ..config.mount import MountIDMapping
from ..config.namespace import SPEC_NAMES
from ..config.seccomp import Seccomp
from ..errors import Unsupported
from ..life.unsupported import refuse_unsupported
from ..syscalls.constants import CAPABILITIES
from . import mount_options
from .default_spec import VERSION
from .names import HOOKS, MEMORY_FLAGS, MEMORY_MODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OLDEST_VERSION = "1.0.0"
_SYSTEMD_PROPERTY = "org.systemd.property."

# The tables of options that libct gives a meaning to; others go to the file system.
_OPTION_TABLES: tuple[dict[str, Any], ...] = (
    mount_options.SET_FLAGS,
    mount_options.CLEARED_FLAGS,
    mount_options.PROPAGATION,
    mount_options.RECURSIVE_ATTRIBUTES,
    mount_options.RECURSIVE_ATIME,
    mount_options.EXTENSIONS,
    mount_options.ID_MAPPING,
)


def features(version: str) -> dict[str, Any]:
    """The object, with its fields in runc's order.  version: of libct."""
    systemd = _supports(cgroups=Cgroup(systemd=True))
    return {
        "ociVersionMin": _OLDEST_VERSION,
        "ociVersionMax": VERSION,
        "hooks": [
            name
            for name, field in HOOKS.items()
            if _supports(hooks=Hooks.from_dict({field: [{"path": "/bin/true"}]}))
        ],
        "mountOptions": sorted({option for table in _OPTION_TABLES for option in table}),
        "linux": {
            "namespaces": sorted(SPEC_NAMES.values()),
            "capabilities": list(CAPABILITIES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": systemd,
                "systemdUser": _supports(cgroups=Cgroup(systemd=True, rootless=True)),
                "rdma": _supports_resources(rdma={"mlx5_0": Rdma(hca_handles=1)}),
            },
            "seccomp": _seccomp(),
            "apparmor": {"enabled": _supports(apparmor_profile="profile")},
            "selinux": {
                "enabled": _supports(process_label="label") and _supports(mount_label="label")
            },
            "intelRdt": _intel_rdt(),
            "memoryPolicy": {"modes": sorted(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
            "mountExtensions": {
                "idmap": {
                    "enabled": _supports(
                        mounts=[
                            Mount("/mnt", "/mnt", "bind", id_mapping=MountIDMapping(recursive=True))
                        ]
                    )
                }
            },
            "netDevices": {"enabled": _supports(net_devices={"eth0": NetDevice("eth0")})},
        },
        "annotations": {
            "org.libct.version": version,
            "org.libct.python.version": ".".join(map(str, sys.version_info[:3])),
            # What the annotation of that name may hold.
            LANDLOCK: ",".join(Landlock.__annotations__),
            # What engines ask for.
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        # An engine that passes on its users' annotations must know what these can do.
        "potentiallyUnsafeConfigAnnotations": [
            *HOOK_OUTPUT_ANNOTATIONS,
            # What is sent to whom they name, rules the container.
            PIDFD_RECEIVER,
            SECCOMP_RECEIVER,
            CRIU_CONFIG,
            *([_SYSTEMD_PROPERTY] if systemd else []),
        ],
    }


def _supports(**fields: Any) -> bool:
    """Whether a configuration with these fields is not refused for want of support."""
    try:
        refuse_unsupported(Config("/rootfs", **fields), None)
    except Unsupported:
        return False
    return True


def _supports_resources(**fields: Any) -> bool:
    return _supports(cgroups=Cgroup(resources=Resources(**fields)))


def _seccomp() -> dict[str, Any]:
    """With nothing in it but enabled, unless it is."""
    if not _supports(seccomp=Seccomp("SCMP_ACT_ALLOW")):
        return {"enabled": False}
    from ..config.rules_seccomp import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS

    return {
        "enabled": True,
        "actions": sorted(ACTIONS),
        "operators": sorted(OPERATORS),
        "archs": sorted(ARCHITECTURES),
        "knownFlags": sorted(FLAGS),
    }


def _intel_rdt() -> dict[str, bool]:
    if not _supports(intel_rdt=IntelRdt(clos_id="one")):
        return {"enabled": False}
    return {
        "enabled": True,
        "schemata": _supports(intel_rdt=IntelRdt(schemata=["L3:0=f"])),
        "monitoring": _supports(intel_rdt=IntelRdt(enable_monitoring=True)),
    }
