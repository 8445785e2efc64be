"""Everything that can be performed: importing this module fills OPERATIONS.

The server imports it once, before it closes the door to imports; printing a
plan imports it for the titles and the calls.
"""

from ..attributes import limits, scheduling, sysctl, uts
from ..cgroups import entry
from ..network import steps
from ..rootfs import cgroup_mounts, console, devices, idmapped, masks, mounts, root
from ..security import capabilities, keyring, users
from . import descriptors, execute, namespaces

__all__ = [
    "capabilities",
    "cgroup_mounts",
    "console",
    "descriptors",
    "devices",
    "entry",
    "execute",
    "idmapped",
    "keyring",
    "limits",
    "masks",
    "mounts",
    "namespaces",
    "root",
    "scheduling",
    "steps",
    "sysctl",
    "users",
    "uts",
]
