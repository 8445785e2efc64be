"""Mounts of a container."""

from __future__ import annotations

from ..loading.paths import normal
from .namespace import IDMap
from .record import Record

__all__ = ["IDMap", "Mount", "MountIDMapping", "RecAttr"]


def destination_inside(rootfs: str, path: str) -> str:
    """Where a destination is in the container, in its shortest form.

    One that begins with the path of the rootfs is inside that, as runc has it.
    """
    clean = normal("/" + path.lstrip("/"))
    if rootfs != "/" and (clean + "/").startswith(rootfs + "/"):
        return clean[len(rootfs) :] or "/"
    return clean


class RecAttr(Record):
    """MOUNT_ATTR_* bits to set and to clear on the whole tree of mounts (mount_setattr(2)).

    Access time is a value, not a bit: to set another, attr_clr has all of MOUNT_ATTR__ATIME.
    """

    attr_set: int = 0
    attr_clr: int = 0


class MountIDMapping(Record):
    """The ids of an id-mapped mount: those of the user namespace at userns_path, or the lists."""

    recursive: bool = False
    userns_path: str = ""
    uid_mappings: list[IDMap] = []
    gid_mappings: list[IDMap] = []


class Mount(Record):
    """One mount, made in the order of Config.mounts."""

    destination: str  # in the container
    source: str = ""
    device: str = ""  # the type of filesystem; "bind" for bind mounts
    flags: int = 0  # MS_*, without propagation
    cleared_flags: int = 0  # MS_* that the user asked to be off (rw, suid, ...)
    propagation_flags: list[int] = []  # MS_*, each a mount(2) call of its own
    data: str = ""  # options for the filesystem, joined by commas
    rec_attr: RecAttr | None = None
    extensions: int = 0  # EXT_*
    id_mapping: MountIDMapping | None = None
    relabel: str = ""  # SELinux: "z" shared, "Z" private
