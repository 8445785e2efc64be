"""A directory of the host as a rootfs (Config.rootfs_view): for `libct sandbox`."""

from __future__ import annotations

from .mounts import is_bind
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..rootfs import view as views
else:
    views = Performers("rootfs.view")


def view_steps(config: Config) -> list[Step]:
    hidden = {inside(mount.destination) for mount in config.mounts if not is_bind(mount)}
    hidden |= {inside(entry.path) for entry in config.entries if entry.kind == "empty"}
    # /dev/pts goes with /dev.
    outer = [
        path for path in sorted(hidden) if not any(path.startswith(other + "/") for other in hidden)
    ]
    return [view(config.rootfs, config.rootfs_view, tuple(outer), why="root.path")]


@operation(views.view, "use a {1} view of {0} as the rootfs")
def view(path: str, kind: str, hidden: tuple[str, ...]) -> list[str]:
    return [
        'fsopen("tmpfs", FSOPEN_CLOEXEC)',
        'move_mount("", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)',
        *(['fsopen("overlay", FSOPEN_CLOEXEC)'] if kind == "overlay" else []),
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
        *(["umount2(MNT_DETACH)"] if kind == "overlay" else []),
    ]
