"""What is known of the service manager before a unit is planned."""

from __future__ import annotations

import posix

from ...errors import CgroupError
from ...loading.paths import is_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...config.cgroup import Cgroup

_DISKS = "/sys/block"


class Systemd:
    """Plain values; a test makes them for a machine that it is not on.

    user: it is the user's own, and not the system's.
    version: 252 and so on.
    group: the control group that it manages, "" for the root of the tree.
    bfq: the kernel has that scheduler of block I/O.
    """

    __slots__ = ("bfq", "group", "user", "version")

    def __init__(
        self, version: int, group: str = "", *, user: bool = False, bfq: bool = False
    ) -> None:
        self.version, self.group, self.user, self.bfq = version, group, user, bfq


def is_users(cgroup: Cgroup) -> bool:
    """Whether a container's unit is one of the user's service manager."""
    return cgroup.rootless or posix.geteuid() != 0


def gather(cgroup: Cgroup) -> Systemd:
    """Ask it; CgroupError where it cannot be."""
    from ...errors import SystemdError
    from . import units

    user = is_users(cgroup)
    try:
        version, group = units.manager_version(user=user), units.manager_cgroup(user=user)
    except SystemdError as error:
        raise refused("have systemd manage the control groups", error) from error
    return Systemd(version, group, user=user, bfq=_has_bfq())


def _has_bfq() -> bool:
    """Whether some disk could be scheduled by it, which its module's loading makes true for all."""
    for disk in posix.listdir(_DISKS) if is_directory(_DISKS) else ():
        try:
            with open(f"{_DISKS}/{disk}/queue/scheduler", encoding="ascii") as file:
                if "bfq" in file.read():
                    return True
        except OSError:
            continue  # it has gone
    return False


def refused(what: str, error: Exception) -> CgroupError:
    """What a method of a manager raises when systemd cannot be asked, or refuses."""
    hint = getattr(error, "hint", "")
    return CgroupError(f"cannot {what}: {error}{f' ({hint})' if hint else ''}")
