"""New file systems: proc, tmpfs, devpts, overlay and all others that are no bind mounts."""

from __future__ import annotations

import os
import stat

from ..config.mount_flags import (
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_RDONLY,
    MS_SYNCHRONOUS,
)
from ..errors import StepProblem
from ..plan.step import operation
from ..syscalls.flags import MOUNT_ATTR_NAMES, MOUNT_NAMES, names
from ..syscalls.mounts import (
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
)
from . import copyup
from .attach import (
    attach,
    attributes,
    check_place,
    finish,
    finish_calls,
    mount_on,
    path_of,
    setattr_call,
)
from .paths import find_in_root, make_in_root, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

    Options = tuple[tuple[str, "str | None"], ...]

# mount(2)'s flags that belong to the file system, as fsconfig(2) names them.
_SUPERBLOCK = (
    (MS_RDONLY, "ro"),
    (MS_SYNCHRONOUS, "sync"),
    (MS_DIRSYNC, "dirsync"),
    (MS_MANDLOCK, "mand"),
    (MS_LAZYTIME, "lazytime"),
)
_OVERFLOW_ID = 65534  # /proc/sys/kernel/overflowuid
_LONGEST_VALUE = 255  # bytes; fsconfig(2), FSCONFIG_SET_STRING


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


@operation("mount {1} on {0}")
def mount_filesystem(
    context: Context,
    target: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    copy_up: bool,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """A new instance of a file system, with its options and MS_* flags, on target in the rootfs.

    proc and sysfs want a real directory: below a symbolic link of the image they
    would end up where nobody looks for them (CVE-2019-19921).
    copy_up: it begins with a copy of what it covers.
    """
    root = context.fds["root"]
    links = fstype not in ("proc", "sysfs")
    # Only a tmpfs is like the directory that it covers.
    place = find_in_root(root, target) if fstype == "tmpfs" else -1
    there = place >= 0
    if not there:
        place = make_in_root(root, target, directory=True, symlinks=links)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            raise StepProblem(f"{target} is no directory")
        if there:
            options = _like_the_directory(place, options)
        attr_set, _ = attributes(flags)
        by_mount = _by_mount(options, flags)
        if by_mount:
            tree = _mount_by_path(context, place, target, fstype, source, options, flags)
        else:
            # A read-only tmpfs could not be filled.
            tree = make_filesystem(fstype, source, options, flags, 0 if copy_up else attr_set)
        try:
            if copy_up:
                copyup.copy_tree(place, tree)
            if not by_mount:
                attach(context, tree, place, target, attr_set=attr_set if copy_up else 0)
            finish(context, tree, rec_set, rec_clr, propagation)
        finally:
            os.close(tree)
    finally:
        os.close(place)


@mount_filesystem.calls
def _(
    target: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    copy_up: bool,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)']
    if _by_mount(options, flags):
        calls.append(f'mount("{source}", "{fstype}", {names(flags, MOUNT_NAMES)})')
        return calls + finish_calls(rec_set, rec_clr, propagation)
    attr_set, _ = attributes(flags)
    calls.append(f'fsopen("{fstype}", FSOPEN_CLOEXEC)')
    calls.append(f'fsconfig(FSCONFIG_SET_STRING, "source", "{source}")')
    calls += option_calls(superblock_options(flags) + options)
    calls.append("fsconfig(FSCONFIG_CMD_CREATE)")
    shown = 0 if copy_up else attr_set
    calls.append(f"fsmount(FSMOUNT_CLOEXEC, {names(shown, MOUNT_ATTR_NAMES)})")
    if copy_up and attr_set:
        calls.append(setattr_call(attr_set, 0))
    calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return calls + finish_calls(rec_set, rec_clr, propagation)


def option_calls(options: Options) -> list[str]:
    return [
        f'fsconfig(FSCONFIG_SET_FLAG, "{key}")'
        if value is None
        else f'fsconfig(FSCONFIG_SET_STRING, "{key}", "{value}")'
        for key, value in options
    ]


def superblock_options(flags: int) -> Options:
    """The options for those of the MS_* flags that belong to a file system."""
    return tuple((key, None) for flag, key in _SUPERBLOCK if flags & flag)


def _like_the_directory(place: int, options: Options) -> Options:
    """options, with mode and owner of the directory below a tmpfs where they give none.

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


def make_filesystem(
    fstype: str, source: str, options: Options, flags: int = 0, attr_set: int = 0
) -> int:
    """A detached mount of a new instance of fstype; the caller's to close.

    flags: MS_*, of which those of the superblock count.  attr_set: MOUNT_ATTR_*.
    """
    fs = fsopen(fstype)
    try:
        fsconfig_set_string(fs, "source", source)
        configure(fs, superblock_options(flags) + options)
        fsconfig_create(fs)
        return fsmount(fs, attr_set)
    finally:
        os.close(fs)


def configure(fs: int, options: Options) -> None:
    for key, value in options:
        if value is None:
            fsconfig_set_flag(fs, key)
        else:
            fsconfig_set_string(fs, key, value)


def _by_mount(options: Options, flags: int) -> bool:
    """Does it take mount(2), as fsconfig(2) has no iversion, and a limit of 255 bytes?

    The many layers of an overlay exceed that easily.
    """
    longest = max((len(os.fsencode(value)) for _, value in options if value), default=0)
    return longest > _LONGEST_VALUE or bool(flags & MS_I_VERSION)


def _mount_by_path(
    context: Context,
    place: int,
    target: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
) -> int:
    """mount(2) on place; a descriptor of the new mount."""
    check_place(context, place, target)
    data = ",".join(key if value is None else f"{key}={_quoted(value)}" for key, value in options)
    mount_on(context, place, flags, fstype, source, data)
    tree = open_in_root(context.fds["root"], target)
    if path_of(context, tree) != path_of(context, place):
        os.close(tree)
        raise StepProblem(f"{target} leads elsewhere since it was mounted on")
    return tree


def _quoted(value: str) -> str:
    return f'"{value}"' if "," in value.replace("\\,", "") else value
