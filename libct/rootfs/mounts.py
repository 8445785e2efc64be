"""The mounts of a configuration (config.md, Mounts; config-linux.md, idmapped mounts).

mounts() plans them; the operations below it perform one each.
"""

from __future__ import annotations

import os
import stat

from ..config.mount_flags import (
    EXT_COPYUP,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SYNCHRONOUS,
)
from ..errors import StepProblem
from ..plan.step import Step, operation
from ..syscalls.flags import MOUNT_ATTR_NAMES, MOUNT_NAMES, names
from ..syscalls.mounts import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    PROC_SUPER_MAGIC,
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    fstatfs,
    mount,
    open_tree,
)
from . import copyup
from .attach import (
    attach,
    attributes,
    mount_path,
    remount_attached,
    set_attributes,
    set_propagation,
)
from .paths import inside, make_in_root, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config, Mount

# Files of /proc that may be mounted over (REFERENCE 2.5); lxcfs serves them.
PROC_FILES = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo"
        " sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    ).split()
)
# mount(2)'s flags that belong to the file system, as fsconfig(2) names them.
_SUPERBLOCK = (
    (MS_RDONLY, "ro"),
    (MS_SYNCHRONOUS, "sync"),
    (MS_DIRSYNC, "dirsync"),
    (MS_MANDLOCK, "mand"),
    (MS_LAZYTIME, "lazytime"),
    (MS_I_VERSION, "i_version"),
)
_OVERFLOW_ID = 65534  # /proc/sys/kernel/overflowuid
_LONGEST_VALUE = 255  # of fsconfig(2), FSCONFIG_SET_STRING


def is_bind(mount: Mount) -> bool:
    return mount.device == "bind" or bool(mount.flags & MS_BIND)


def mount_steps(mount: Mount, index: int, *, opened: bool) -> list[Step]:
    """One mount, but for cgroup mounts (cgroup_mounts.py).

    opened: an earlier step has opened the source of a bind (early_sources, or
        idmapped.py).
    """
    place = f"mounts[{index}]"
    target = inside(mount.destination)
    rec_set, rec_clr = (mount.rec_attr.attr_set, mount.rec_attr.attr_clr) if mount.rec_attr else (0, 0)
    common = (rec_set, rec_clr, tuple(mount.propagation_flags))
    attr_set, attr_clr = attributes(mount.flags, mount.cleared_flags)
    if mount.flags & MS_REMOUNT:
        return [remount(target, attr_set, attr_clr, *common, why=place)]
    if is_bind(mount):
        recursive = bool(mount.flags & MS_REC)
        slot = f"source {index}" if opened else ""
        return [bind(target, mount.source, recursive, slot, attr_set, attr_clr, *common, why=place)]
    options = tuple(_options(mount.data))
    copy_up = bool(mount.extensions & EXT_COPYUP)
    late = _read_only_late(mount, target)
    if late:
        attr_set &= ~MOUNT_ATTR_RDONLY
    else:
        options += tuple((key, None) for flag, key in _SUPERBLOCK if mount.flags & flag)
    source = mount.source or mount.device
    return [
        mount_filesystem(target, mount.device, source, options, attr_set, copy_up, *common, why=place)
    ]


def read_only_steps(mounts: list[Mount]) -> list[Step]:
    """What was left writable to be filled: tmpfs and /dev asked to be read-only."""
    steps = []
    for index, mount in enumerate(mounts):
        target = inside(mount.destination)
        if not is_bind(mount) and _read_only_late(mount, target):
            steps.append(remount(target, MOUNT_ATTR_RDONLY, 0, 0, 0, (), why=f"mounts[{index}].options"))
    return steps


def early_sources(config: Config) -> list[Step]:
    """Open the bind sources before the process becomes the container's root.

    In a new user namespace it still has the caller's ids for files then, so
    directories that only the caller may enter can be mounted from.
    """
    return [
        open_source(f"source {index}", mount.source, bool(mount.flags & MS_REC), why=f"mounts[{index}].source")
        for index, mount in enumerate(config.mounts)
        if is_bind(mount) and mount.id_mapping is None and not mount.flags & MS_REMOUNT
    ]


def _read_only_late(mount: Mount, target: str) -> bool:
    """Is the mount filled by later steps (devices, mount points), so read-only at the end?"""
    return bool(mount.flags & MS_RDONLY) and (mount.device == "tmpfs" or target == "/dev")


def _options(data: str) -> list[tuple[str, str | None]]:
    """Split mount data at its commas, but for those in double quotes.

    'mode=755,context="a,b",noswap' gives (mode, 755), (context, a,b), (noswap, None).
    """
    found: list[str] = [""]
    quoted = False
    for character in data:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            found.append("")
        else:
            found[-1] += character
    options: list[tuple[str, str | None]] = []
    for item in found:
        key, equals, value = item.partition("=")
        if key:
            options.append((key, value if equals else None))
    return options


@operation("mount {1} on {0}")
def mount_filesystem(
    context: Context,
    target: str,
    fstype: str,
    source: str,
    options: tuple[tuple[str, str | None], ...],
    attr_set: int,
    copy_up: bool,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """A new instance of a file system, with its options, on target in the rootfs.

    proc and sysfs want a real directory: below a symbolic link of the image they
    would end up where nobody looks for them (CVE-2019-19921).
    """
    real = fstype in ("proc", "sysfs")
    place = make_in_root(context.fds["root"], target, directory=True, symlinks=not real)
    try:
        if fstype == "tmpfs":
            options = _like_the_directory(place, options)
        on_proc = fstype == "proc" and target == "/proc"
        if any(value is not None and len(value) > _LONGEST_VALUE for _, value in options):
            _mount_long(context, place, fstype, source, options)
            tree = open_in_root(context.fds["root"], target)
            set_attributes(tree, attr_set, 0)
        else:
            tree = _make_filesystem(fstype, source, options, 0 if copy_up else attr_set)
            if copy_up:
                copyup.copy_tree(place, tree)
                attach(context, tree, place, target, attr_set=attr_set)
            else:
                attach(context, tree, place, target, on_proc=on_proc)
        try:
            _recursive(context, tree, rec_set, rec_clr, propagation)
        finally:
            os.close(tree)
    finally:
        os.close(place)


@mount_filesystem.calls
def _(
    target: str,
    fstype: str,
    source: str,
    options: tuple[tuple[str, str | None], ...],
    attr_set: int,
    copy_up: bool,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)']
    if any(value is not None and len(value) > _LONGEST_VALUE for _, value in options):
        calls.append(f'mount("{source}", "{fstype}")')
    else:
        calls += [f'fsopen("{fstype}", FSOPEN_CLOEXEC)']
        calls += [f'fsconfig(FSCONFIG_SET_STRING, "source", "{source}")']
        for key, value in options:
            if value is None:
                calls.append(f'fsconfig(FSCONFIG_SET_FLAG, "{key}")')
            else:
                calls.append(f'fsconfig(FSCONFIG_SET_STRING, "{key}", "{value}")')
        calls += ["fsconfig(FSCONFIG_CMD_CREATE)"]
        shown = 0 if copy_up else attr_set
        calls += [f"fsmount(FSMOUNT_CLOEXEC, {names(shown, MOUNT_ATTR_NAMES)})"]
        calls += ['move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)']
    return calls + _recursive_calls(rec_set, rec_clr, propagation)


def _like_the_directory(
    place: int, options: tuple[tuple[str, str | None], ...]
) -> tuple[tuple[str, str | None], ...]:
    """Mode and owner of the directory below a tmpfs, where the options give none.

    An owner that the user namespace does not map shows as _OVERFLOW_ID, which
    no file system could be told.
    """
    given = {key for key, _ in options}
    below = os.fstat(place)
    extra = []
    if "mode" not in given:
        extra.append(("mode", f"{stat.S_IMODE(below.st_mode):o}"))
    if "uid" not in given and below.st_uid not in (0, _OVERFLOW_ID):
        extra.append(("uid", str(below.st_uid)))
    if "gid" not in given and below.st_gid not in (0, _OVERFLOW_ID):
        extra.append(("gid", str(below.st_gid)))
    return (*options, *extra)


def _make_filesystem(
    fstype: str, source: str, options: tuple[tuple[str, str | None], ...], attr_set: int
) -> int:
    """A detached mount of a new instance of fstype; the caller's to close."""
    fs = fsopen(fstype)
    try:
        fsconfig_set_string(fs, "source", source)
        for key, value in options:
            if value is None:
                fsconfig_set_flag(fs, key)
            else:
                fsconfig_set_string(fs, key, value)
        fsconfig_create(fs)
        return fsmount(fs, attr_set)
    finally:
        os.close(fs)


def _mount_long(
    context: Context,
    place: int,
    fstype: str,
    source: str,
    options: tuple[tuple[str, str | None], ...],
) -> None:
    """mount(2), for options longer than fsconfig(2) takes (the lowerdir of an overlay)."""
    data = ",".join(key if value is None else f"{key}={value}" for key, value in options)
    mount(source, mount_path(context, place), fstype, 0, data)
    os.fchdir(context.fds["root"])


@operation("open {1} to mount it later")
def open_source(context: Context, slot: str, source: str, recursive: bool) -> None:
    """A detached copy of the mount that source is on, kept under slot."""
    context.keep(slot, clone_tree(source, recursive=recursive))


@open_source.calls
def _(slot: str, source: str, recursive: bool) -> list[str]:
    return [f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})']


def clone_tree(source: str, *, recursive: bool, dirfd: int = AT_FDCWD) -> int:
    """open_tree(2): a detached copy of a mount from source down, close-on-exec.

    source "" copies what dirfd refers to.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    if recursive:
        flags |= AT_RECURSIVE
    if not source:
        flags |= AT_EMPTY_PATH
    return open_tree(dirfd, source, flags)


def _clone_names(recursive: bool) -> str:
    return "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC" + ("|AT_RECURSIVE" if recursive else "")


@operation("bind {1} on {0}")
def bind(
    context: Context,
    target: str,
    source: str,
    recursive: bool,
    slot: str,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """The host's source on target; a missing target becomes a directory or a file like it."""
    tree = context.fds.pop(slot) if slot else clone_tree(source, recursive=recursive)
    try:
        directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        of_proc = fstatfs(tree).type == PROC_SUPER_MAGIC
        if target == "/proc" and not of_proc:
            raise StepProblem(f"{source} is not on a proc file system", "mount type proc on /proc")
        place = make_in_root(context.fds["root"], target, directory=directory)
        try:
            attach(
                context,
                tree,
                place,
                target,
                attr_set=attr_set,
                attr_clr=attr_clr,
                on_proc=target in PROC_FILES or of_proc and target == "/proc",
            )
        finally:
            os.close(place)
        _recursive(context, tree, rec_set, rec_clr, propagation)
    finally:
        os.close(tree)


@bind.calls
def _(
    target: str,
    source: str,
    recursive: bool,
    slot: str,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [] if slot else [f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})']
    calls.append(f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)')
    if attr_set or attr_clr:
        calls.append(_setattr_call(attr_set, attr_clr, ""))
    calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return calls + _recursive_calls(rec_set, rec_clr, propagation)


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
    place = make_in_root(context.fds["root"], target, directory=True)
    try:
        if not set_attributes(place, attr_set, attr_clr):
            remount_attached(context, place, attr_set, attr_clr)
        _recursive(context, place, rec_set, rec_clr, propagation)
    finally:
        os.close(place)


@remount.calls
def _(
    target: str, attr_set: int, attr_clr: int, rec_set: int, rec_clr: int, propagation: tuple[int, ...]
) -> list[str]:
    calls = [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)']
    if attr_set or attr_clr:
        calls.append(_setattr_call(attr_set, attr_clr, ""))
    return calls + _recursive_calls(rec_set, rec_clr, propagation)


def _recursive(
    context: Context, tree: int, rec_set: int, rec_clr: int, propagation: tuple[int, ...]
) -> None:
    """Attributes for all mounts below (rro and the like), then the propagation."""
    if rec_set or rec_clr:
        set_attributes(tree, rec_set, rec_clr, recursive=True)
    for kind in propagation:
        set_propagation(context, tree, kind)


def _setattr_call(attr_set: int, attr_clr: int, more: str) -> str:
    parts = ["AT_EMPTY_PATH" + more]
    if attr_set:
        parts.append(names(attr_set, MOUNT_ATTR_NAMES))
    return f'mount_setattr("", {", ".join(parts)})'


def _recursive_calls(rec_set: int, rec_clr: int, propagation: tuple[int, ...]) -> list[str]:
    calls = []
    if rec_set or rec_clr:
        calls.append(_setattr_call(rec_set, rec_clr, "|AT_RECURSIVE"))
    for kind in propagation:
        recursive = "|AT_RECURSIVE" if kind & MS_REC else ""
        calls.append(f'mount_setattr("", AT_EMPTY_PATH{recursive}, {names(kind & ~MS_REC, MOUNT_NAMES)})')
    return calls
