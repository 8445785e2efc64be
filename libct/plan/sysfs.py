"""sysfs where the kernel may refuse it: in a user namespace.

Only who has rights over the network namespace that it shows may make one, and
only where the host's is whole.  What an ordinary user's container without a
network namespace of its own has instead is the host's /sys, as with crun.
"""

from __future__ import annotations

from ..config.mount_flags import MS_RDONLY, MS_REMOUNT
from .mounts import after, is_bind, mount_steps, split_options
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config, Mount
    from ..rootfs import sysfs
    from ..rootfs.flags import Options
else:
    sysfs = Performers("rootfs.sysfs")


def sysfs_steps(config: Config, mount: Mount, index: int) -> list[Step]:
    """A mount of sysfs; the host's does for it only where it is to be read-only."""
    if is_bind(mount) or mount.flags & MS_REMOUNT or not mount.flags & MS_RDONLY:
        return mount_steps(mount, index, opened=False)
    target = inside(mount.destination)
    groups = f"{target}/fs/cgroup"
    # With a mount of its own there the container sees that.
    hidden = "" if any(inside(at.destination) == groups for at in config.mounts) else groups
    options = split_options(mount.data)
    more = (options, mount.flags, hidden, *after(mount))
    return [mount_sysfs(target, mount.source or "sysfs", *more, why=f"mounts[{index}]")]


@operation(sysfs.mount_sysfs, "mount sysfs on {0}, or else the host's")
def mount_sysfs(
    target: str,
    source: str,
    options: Options,
    flags: int,
    hidden: str,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    return [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)', 'fsopen("sysfs", FSOPEN_CLOEXEC)']
