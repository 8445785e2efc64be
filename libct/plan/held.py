"""Mounts that are held by a descriptor, for what later steps make on them.

Between two steps somebody outside may exchange what is in the rootfs, and links of
the image may have led a mount elsewhere.  So devices, masks and read-only paths go
below the mounts that the plan has made themselves, not below what is at their paths.
"""

from __future__ import annotations

from ..config.mount_flags import MS_REMOUNT
from ..loading.paths import split
from .paths import inside
from .step import Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config, Mount


def mount_over(mounts: list[Mount], path: str) -> Mount | None:
    """The mount that path lies on, by its name: the last one on it or above it."""
    found = None
    for mount in mounts:
        target = inside(mount.destination)
        if not mount.flags & MS_REMOUNT and (path == target or path.startswith(target + "/")):
            found = mount
    return found


def base_of(mounts: list[Mount], path: str) -> str:
    """Where the mount is that path lies on; "" for the rootfs."""
    mount = mount_over(mounts, path)
    return inside(mount.destination) if mount is not None else ""


def hold_steps(config: Config, late: list[str]) -> list[Step]:
    """Before the mounts are made.  late: those that are read-only at the end."""
    paths = [inside(path) for path in (*config.mask_paths, *config.readonly_paths)]
    paths += [split(inside(device.path))[0] for device in config.devices]
    found = {base_of(config.mounts, path) for path in ("/dev", *paths)}
    found |= {inside(mount.destination) for mount in config.mounts if mount.device == "cgroup"}
    targets = tuple(sorted(found.union(late) - {""}))
    return [hold_mounts(targets, why="mounts")] if targets else []


@operation("rootfs.held", "keep open the mounts that later steps work on")
def hold_mounts(targets: tuple[str, ...]) -> list[str]:
    return []
