"""The mounts of a configuration (config.md, Mounts; config-linux.md, idmapped mounts).

mount_steps() plans one, and the operations below it perform one each.  Mounts of
type cgroup are planned by cgroup_mounts.py.
"""

from __future__ import annotations

import os

from ..config.mount_flags import EXT_COPYUP, MOUNT_ATTR_RDONLY, MS_RDONLY, MS_REC, MS_REMOUNT
from ..plan.step import Step, operation
from ..syscalls.mounts import FSPICK_EMPTY_PATH, fsconfig_reconfigure, fspick
from .attach import (
    attributes,
    finish,
    finish_calls,
    remount_attached,
    set_attributes,
    setattr_call,
)
from .binds import bind, is_bind, open_source
from .filesystems import (
    configure,
    mount_filesystem,
    option_calls,
    split_options,
    superblock_options,
)
from .paths import inside, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config, Mount
    from .filesystems import Options


def mount_steps(mount: Mount, index: int, *, opened: bool) -> list[Step]:
    """One mount, but for cgroup mounts (cgroup_mounts.py).

    opened: an earlier step has opened the source of a bind (early_sources, or
        idmapped.py).
    """
    place = f"mounts[{index}]"
    target = inside(mount.destination)
    more = after(mount)
    attr_set, attr_clr = attributes(mount.flags, mount.cleared_flags)
    if mount.flags & MS_REMOUNT:
        steps = [remount(target, attr_set, attr_clr, *more, why=place)]
        options = split_options(mount.data) + superblock_options(mount.flags & ~MS_RDONLY)
        if options and not is_bind(mount):
            steps.append(reconfigure(target, options, why=f"{place}.options"))
        return steps
    if is_bind(mount):
        recursive = bool(mount.flags & MS_REC)
        slot = f"source {index}" if opened else ""
        return [bind(target, mount.source, recursive, slot, attr_set, attr_clr, *more, why=place)]
    flags = mount.flags
    if _read_only_late(mount, target):
        flags &= ~MS_RDONLY
    options = split_options(mount.data)
    copy_up = bool(mount.extensions & EXT_COPYUP)
    source = mount.source or mount.device
    return [
        mount_filesystem(target, mount.device, source, options, flags, copy_up, *more, why=place)
    ]


def after(mount: Mount) -> tuple[int, int, tuple[int, ...]]:
    """What is done to the mount once it is in its place: the last arguments of the operations.

    MOUNT_ATTR_* to set and to clear on all of its tree, and propagations.
    """
    recursive = mount.rec_attr
    if recursive is None:
        return 0, 0, tuple(mount.propagation_flags)
    return recursive.attr_set, recursive.attr_clr, tuple(mount.propagation_flags)


def read_only_steps(mounts: list[Mount]) -> list[Step]:
    """What was left writable to be filled: tmpfs and /dev asked to be read-only."""
    steps = []
    for index, mount in enumerate(mounts):
        target = inside(mount.destination)
        if not is_bind(mount) and _read_only_late(mount, target):
            why = f"mounts[{index}].options"
            steps.append(remount(target, MOUNT_ATTR_RDONLY, 0, 0, 0, (), why=why))
    return steps


def early_sources(config: Config) -> list[Step]:
    """Open the bind sources before the process becomes the container's root.

    In a new user namespace it still has the caller's ids for files then, so
    directories that only the caller may enter can be mounted from.
    """
    return [
        open_source(
            f"source {index}",
            mount.source,
            bool(mount.flags & MS_REC),
            why=f"mounts[{index}].source",
        )
        for index, mount in enumerate(config.mounts)
        if is_bind(mount) and mount.id_mapping is None and not mount.flags & MS_REMOUNT
    ]


def _read_only_late(mount: Mount, target: str) -> bool:
    """Is the mount filled by later steps (devices, mount points), so read-only at the end?"""
    fills = mount.device == "tmpfs" or target == "/dev"
    return bool(mount.flags & MS_RDONLY) and fills and not mount.flags & MS_REMOUNT


@operation("change the attributes of the mount on {0}")
def remount(
    context: Context,
    target: str,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    place = open_in_root(context.fds["root"], target)
    try:
        if not set_attributes(place, attr_set, attr_clr):
            remount_attached(context, place, attr_set, attr_clr)
        finish(context, place, rec_set, rec_clr, propagation)
    finally:
        os.close(place)


@remount.calls
def _(
    target: str,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)']
    if attr_set or attr_clr:
        calls.append(setattr_call(attr_set, attr_clr))
    return calls + finish_calls(rec_set, rec_clr, propagation)


@operation("change the options of the file system on {0}")
def reconfigure(context: Context, target: str, options: Options) -> None:
    """Wherever else the same file system is mounted they change, too."""
    place = open_in_root(context.fds["root"], target)
    try:
        fs = fspick(place, "", FSPICK_EMPTY_PATH)
    finally:
        os.close(place)
    try:
        configure(fs, options)
        fsconfig_reconfigure(fs)
    finally:
        os.close(fs)


@reconfigure.calls
def _(target: str, options: Options) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        'fspick("", FSPICK_EMPTY_PATH)',
        *option_calls(options),
        "fsconfig(FSCONFIG_CMD_RECONFIGURE)",
    ]
