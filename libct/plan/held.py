"""Mounts that are held by a descriptor, for what later steps make on them.

Between two steps somebody outside may exchange what is in the rootfs, and links of
the image may have led a mount elsewhere.  So devices, masks and read-only paths go
below the mounts that the plan has made themselves, not below what is at their paths.
"""

from __future__ import annotations

from ..config.mount_flags import MS_REMOUNT
from ..loading.paths import split
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config, Mount
    from ..rootfs import held
else:
    held = Performers("rootfs.held")


class Bases:
    """The mounts that paths lie on, by their names: the last one on a path or above it."""

    __slots__ = ("_last",)

    def __init__(self, mounts: list[Mount]) -> None:
        self._last: dict[str, tuple[int, str, Mount]] = {}
        for index, mount in enumerate(mounts):
            if not mount.flags & MS_REMOUNT:
                target = inside(mount.destination)
                self._last[target] = index, target, mount

    def mount(self, path: str) -> Mount | None:
        found = self._of(path)
        return found[2] if found is not None else None

    def base(self, path: str) -> str:
        """Where the mount is that path lies on; "" for the rootfs."""
        found = self._of(path)
        return found[1] if found is not None else ""

    def _of(self, path: str) -> tuple[int, str, Mount] | None:
        last = None
        while path:
            found = self._last.get(path)
            if found is not None and (last is None or found[0] > last[0]):
                last = found
            path = path.rpartition("/")[0]
        return last


def hold_steps(config: Config, late: list[str]) -> list[Step]:
    """Before the mounts are made.  late: those that are read-only at the end."""
    paths = [inside(path) for path in (*config.mask_paths, *config.readonly_paths)]
    paths += [split(inside(device.path))[0] for device in config.devices]
    bases = Bases(config.mounts)
    found = {bases.base(path) for path in ("/dev", *paths)}
    found |= {inside(mount.destination) for mount in config.mounts if mount.device == "cgroup"}
    targets = tuple(sorted(found.union(late) - {""}))
    return [hold_mounts(targets, why="mounts")] if targets else []


@operation(held.hold_mounts, "keep open the mounts that later steps work on")
def hold_mounts(targets: tuple[str, ...]) -> list[str]:
    return []
