"""The mounts of a configuration (config.md, Mounts; config-linux.md, idmapped mounts).

mount_steps() plans one.  Mounts of type cgroup are planned by cgroup_mounts.py.
"""

from __future__ import annotations

from ..config.mount_flags import (
    EXT_COPYUP,
    EXT_LINKS,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)
from ..rootfs.flags import attributes, named_attributes, superblock_options, takes_mount
from .calls import attribute_names, mount_names
from .idmapped import idmapped_sources, mapping_calls
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import Config, Mount
    from ..rootfs.flags import Options
    from .idmapped import Mapping, Source

    # As Source, whether it is opened when it is asked for, and the mapping or ()
    Lent = tuple[str, str, bool, bool, tuple[Any, ...]]
    from ..bootstrap import lending
    from ..rootfs import binds, copyup, filesystems, mounts
else:
    mounts = Performers("rootfs.mounts")
    binds = Performers("rootfs.binds")
    lending = Performers("bootstrap.lending")
    copyup = Performers("rootfs.copyup")
    filesystems = Performers("rootfs.filesystems")


def mount_steps(mount: Mount, index: int, *, opened: bool) -> list[Step]:
    """One mount, but for cgroup mounts (cgroup_mounts.py).

    opened: an earlier step has opened the source of a bind (early_sources, or
        idmapped.py).
    """
    place = f"mounts[{index}]"
    target = inside(mount.destination)
    more = after(mount)
    changes = named_attributes(mount.flags, mount.cleared_flags)
    if mount.flags & MS_REMOUNT:
        steps = [remount(target, *changes, *more, why=place)]
        options = split_options(mount.data) + superblock_options(mount.flags & ~MS_RDONLY)
        if options and not is_bind(mount):
            steps.append(reconfigure(target, options, why=f"{place}.options"))
        return steps
    if is_bind(mount):
        recursive = bool(mount.flags & MS_REC)
        slot = f"source {index}" if opened else ""
        return [bind(target, mount.source, recursive, slot, *changes, *more, why=place)]
    flags = mount.flags
    if read_only_late(mount, target):
        flags &= ~MS_RDONLY
    options = split_options(mount.data)
    source = mount.source or mount.device
    if mount.extensions & EXT_COPYUP:
        return [mount_copied(target, source, options, flags, *more, why=place)]
    return [mount_filesystem(target, mount.device, source, options, flags, *more, why=place)]


def is_bind(mount: Mount) -> bool:
    return mount.device == "bind" or bool(mount.flags & MS_BIND)


def split_options(data: str) -> Options:
    """Split mount data at its commas, but for those in double quotes.

    'mode=755,context="a,b",noswap' gives (mode, 755), (context, a,b), (noswap, None).
    """
    found: list[str] = [""]
    quoted = escaped = False
    for character in data:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted and not escaped:
            found.append("")
        else:
            found[-1] += character
        # A comma in a path of an overlay has a backslash before it.
        escaped = character == "\\" and not escaped
    options: list[tuple[str, str | None]] = []
    for item in found:
        key, equals, value = item.partition("=")
        if key:
            options.append((key, value if equals else None))
    return tuple(options)


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
        if not is_bind(mount) and read_only_late(mount, target):
            why = f"mounts[{index}].options"
            steps.append(remount(target, MOUNT_ATTR_RDONLY, 0, 0, 0, 0, (), why=why))
    return steps


def is_late(config: Config, mount: Mount) -> bool:
    """Whether earlier mounts may make the source of a bind: it is in the rootfs, or has that in it.

    Who opens such a one before would find nothing, or what those mounts cover.
    """
    if config.rootfs_view or config.rootfs == "/":
        return False  # the host's stay where they are
    source, rootfs = inside(mount.source).rstrip("/") + "/", config.rootfs + "/"
    return source.startswith(rootfs) or (bool(mount.flags & MS_REC) and rootfs.startswith(source))


def early_sources(config: Config, lent: dict[int, Lent]) -> list[Step]:
    """Open the bind sources before the process becomes the container's root.

    In a new user namespace it still has the caller's ids for files then, so
    directories that only the caller may enter can be mounted from.
    lent: where there is a lender, which opens what any user may enter.
    """
    if lent:
        return [take for index in lent for take in take_steps(index, lent, late=False)]
    return [
        open_source(*source, why=f"mounts[{index}].source")
        for index, source in _bind_sources(config)
        if not is_late(config, config.mounts[index])
    ]


def lent_sources(config: Config, *, everything: bool) -> dict[int, Lent]:
    """By the index of their mounts, the sources that somebody with the host's rights is to open.

    everything: all of them, for the container's root has a user namespace's rights.
        Else those to be mapped that the server cannot open before there is a rootfs.
    """
    plain: list[tuple[int, Source, Mapping | tuple[()]]] = []
    if everything:
        plain = [(index, source, ()) for index, source in _bind_sources(config)]
    found = sorted([*plain, *idmapped_sources(config)], key=lambda entry: entry[0])
    lent = {}
    for index, source, mapping in found:
        late = is_late(config, config.mounts[index])
        if everything or late:
            lent[index] = (*source, late, mapping)
    return lent


def lend_steps(lent: dict[int, Lent]) -> list[Step]:
    """Have them opened, and those mapped that are to be."""
    return [lend_sources(tuple(lent.values()), why="mounts")] if lent else []


def take_steps(index: int, lent: dict[int, Lent], *, late: bool) -> list[Step]:
    """Take one that is lent, early or late, if that is when it is opened."""
    if index not in lent or lent[index][3] != late:
        return []
    *source, _, mapping = lent[index]
    return [take_source(*source, int(bool(mapping)), why=f"mounts[{index}].source")]


def _bind_sources(config: Config) -> list[tuple[int, Source]]:
    """(index, (slot, source, recursive)) of the bind mounts, but for id-mapped ones."""
    return [
        (index, (f"source {index}", mount.source, bool(mount.flags & MS_REC)))
        for index, mount in enumerate(config.mounts)
        if is_bind(mount)
        and mount.id_mapping is None
        and not mount.flags & MS_REMOUNT
        # (What is to be done with a link, is not known before that is looked at.)
        and not mount.extensions & EXT_LINKS
    ]


def read_only_late(mount: Mount, target: str) -> bool:
    """Is the mount filled by later steps (devices, mount points), so read-only at the end?"""
    fills = mount.device == "tmpfs" or target == "/dev"
    return bool(mount.flags & MS_RDONLY) and fills and not mount.flags & MS_REMOUNT


@operation(mounts.remount, "change the attributes of the mount on {0}")
def remount(
    target: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    # It may be held already.
    calls = [setattr_call(attr_set, attr_clr)] if attr_set or attr_clr else []
    return calls + finish_calls(rec_set, rec_clr, propagation)


@operation(mounts.reconfigure, "change the options of the file system on {0}")
def reconfigure(target: str, options: Options) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        'fspick("", FSPICK_EMPTY_PATH)',
        *option_calls(options),
        "fsconfig(FSCONFIG_CMD_RECONFIGURE)",
    ]


@operation(binds.open_source, "open {1} to mount it later")
def open_source(slot: str, source: str, recursive: bool) -> list[str]:
    return [f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})']


@operation(lending.lend_here, "have the sources of mounts opened for this process")
def lend_here() -> list[str]:
    return ["pidfd_open()"]


@operation(lending.lend_sources, "clone a lender of the sources of bind mounts")
def lend_sources(sources: tuple[Lent, ...]) -> list[str]:
    calls = ["clone3({flags=0, exit_signal=SIGCHLD})", "setns(CLONE_NEWNS)"]
    for _, source, recursive, _, mapping in sources:
        calls.append(f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})')
        if mapping:
            calls += mapping_calls(*mapping)
    return calls


@operation(lending.take_source, "take {1} from the lender to mount it later")
def take_source(slot: str, source: str, recursive: bool, mapped: int) -> list[str]:
    return []


def _clone_names(recursive: bool) -> str:
    return "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC" + ("|AT_RECURSIVE" if recursive else "")


@operation(binds.bind, "bind {1} on {0}")
def bind(
    target: str,
    source: str,
    recursive: bool,
    slot: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [] if slot else [f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})']
    calls.append(f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)')
    if attr_set or attr_clr:
        calls.append(setattr_call(attr_set, attr_clr))
    calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return calls + finish_calls(rec_set, rec_clr, propagation)


@operation(filesystems.mount_filesystem, "mount {1} on {0}")
def mount_filesystem(
    target: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)']
    if takes_mount(options, flags):
        calls.append(f'mount("{source}", "{fstype}", {mount_names(flags)})')
        return calls + finish_calls(rec_set, rec_clr, propagation)
    attr_set, _ = attributes(flags)
    calls.append(f'fsopen("{fstype}", FSOPEN_CLOEXEC)')
    calls.append(f'fsconfig(FSCONFIG_SET_STRING, "source", "{source}")')
    calls += option_calls(superblock_options(flags) + options)
    calls.append("fsconfig(FSCONFIG_CMD_CREATE)")
    calls.append(f"fsmount(FSMOUNT_CLOEXEC, {attribute_names(attr_set)})")
    calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return calls + finish_calls(rec_set, rec_clr, propagation)


@operation(copyup.mount_copied, "mount tmpfs on {0}, with a copy of what it covers")
def mount_copied(
    target: str,
    source: str,
    options: Options,
    flags: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    return mount_filesystem.calls(
        target, "tmpfs", source, options, flags, rec_set, rec_clr, propagation
    )


def setattr_call(attr_set: int, attr_clr: int, more: str = "") -> str:
    """Which of attr_set and attr_clr a name is in is not told: strace prints both."""
    changed = attribute_names(attr_set) if attr_set else attribute_names(attr_clr)
    return f'mount_setattr("", AT_EMPTY_PATH{more}, {changed})'


def finish_calls(rec_set: int, rec_clr: int, propagation: tuple[int, ...]) -> list[str]:
    calls = []
    if rec_set or rec_clr:
        calls.append(setattr_call(rec_set, rec_clr, "|AT_RECURSIVE"))
    for kind in propagation:
        flags = "AT_EMPTY_PATH" + ("|AT_RECURSIVE" if kind & MS_REC else "")
        calls.append(f'mount_setattr("", {flags}, {mount_names(kind & ~MS_REC)})')
    return calls


def option_calls(options: Options) -> list[str]:
    return [
        f'fsconfig(FSCONFIG_SET_FLAG, "{key}")'
        if value is None
        else f'fsconfig(FSCONFIG_SET_STRING, "{key}", "{value}")'
        for key, value in options
    ]
