"""New file systems: proc, tmpfs, devpts, overlay and all others that are no bind mounts."""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..errors import StepProblem
from ..syscalls.filesystems import (
    fsconfig_create,
    fsconfig_set_fd,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
)
from .attach import attach, check_place, finish, mount_on, path_of
from .flags import attributes, superblock_options, takes_mount
from .held import hold
from .paths import find_in_root, make_in_root, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..bootstrap.context import Context
    from .flags import Options

_OVERFLOW_ID = 65534  # /proc/sys/kernel/overflowuid


def mount_filesystem(
    context: Context,
    target: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """A new instance of a file system, with its options and MS_* flags, on target in the rootfs."""
    mount_new(context, target, fstype, source, options, flags, rec_set, rec_clr, propagation)


def mount_new(
    context: Context,
    target: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
    fill: Callable[[int, int], None] | None = None,
) -> None:
    """mount_filesystem(); fill(place, tree) puts something into the mount before it is attached.

    proc and sysfs want a real directory: below a symbolic link of the image they
    would end up where nobody looks for them (CVE-2019-19921).
    """
    root = context.fds["root"]
    links = fstype not in ("proc", "sysfs")
    # Only a tmpfs has the mode of the directory that it covers.
    place = find_in_root(root, target) if fstype == "tmpfs" else -1
    there = place >= 0
    if not there:
        try:
            place = make_in_root(root, target, directory=True, symlinks=links)
        except OSError as error:
            if links or error.errno != errno.ELOOP:
                raise
            problem = f"{target} is a symbolic link of the image, or below one"
            error.strerror = f"{_ordinary(fstype)}: {problem}"
            raise
    try:
        if not stat.S_ISDIR(posix.fstat(place).st_mode):
            problem = f"{target} is no directory"
            raise StepProblem(problem if links else f"{_ordinary(fstype)}: {problem}")
        if there:
            options = _like_the_directory(place, options, owner=fill is not None)
        attr_set, _ = attributes(flags)
        pids = context.fds.get("pids", -1) if fstype == "proc" else -1
        # mount(2) would show the processes of our own pid namespace.
        by_mount = takes_mount(options, flags) and pids < 0
        if by_mount:
            tree = _mount_by_path(context, place, target, fstype, source, options, flags)
        else:
            made_inside = context.values["made inside"] if pids >= 0 else None
            tree = make_filesystem(fstype, source, options, flags, attr_set, pids, made_inside)
        try:
            if fill is not None:
                fill(place, tree)
            if not by_mount:
                attach(context, tree, place, target)
            finish(context, tree, rec_set, rec_clr, propagation)
        finally:
            posix.close(tree)
    finally:
        posix.close(place)


def _ordinary(fstype: str) -> str:
    return f'filesystem "{fstype}" must be mounted on ordinary directory'  # runc's words


def _like_the_directory(place: int, options: Options, *, owner: bool) -> Options:
    """options, with the mode of the directory below a tmpfs where they give none.

    owner: and with its owner.  One that the user namespace does not map shows as
        _OVERFLOW_ID, which no file system could be told.
    """
    given = {key for key, _ in options}
    below = posix.fstat(place)
    extra = []
    if "mode" not in given:
        extra.append(("mode", f"{stat.S_IMODE(below.st_mode):o}"))
    if owner and "uid" not in given and below.st_uid not in (0, _OVERFLOW_ID):
        extra.append(("uid", str(below.st_uid)))
    if owner and "gid" not in given and below.st_gid not in (0, _OVERFLOW_ID):
        extra.append(("gid", str(below.st_gid)))
    return (*options, *extra)


def make_filesystem(
    fstype: str,
    source: str,
    options: Options,
    flags: int = 0,
    attr_set: int = 0,
    pids: int = -1,
    made_inside: Callable[[int, Callable[[int], int]], int] | None = None,
) -> int:
    """A detached mount of a new instance of fstype; the caller's to close.

    flags: MS_*, of which those of the superblock count.  attr_set: MOUNT_ATTR_*.
    pids: of proc, the pid namespace that it is to show, where that is not our own.
    made_inside: that of pidfs.py, for this.
    """

    def make(fs: int) -> int:
        fsconfig_set_string(fs, "source", source)
        configure(fs, superblock_options(flags) + options)
        fsconfig_create(fs)
        return fsmount(fs, attr_set)

    fs = fsopen(fstype)
    try:
        if pids >= 0:
            try:
                fsconfig_set_fd(fs, "pidns", pids)
            except OSError as error:
                if error.errno != errno.EINVAL or made_inside is None:
                    raise
                # Before Linux 6.17 it shows that of who opens the context.
                return made_inside(pids, make)
        return make(fs)
    finally:
        posix.close(fs)


def configure(fs: int, options: Options) -> None:
    for key, value in options:
        if value is None:
            fsconfig_set_flag(fs, key)
        else:
            fsconfig_set_string(fs, key, value)


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
        posix.close(tree)
        raise StepProblem(f"{target} leads elsewhere since it was mounted on")
    hold(context, target, tree)
    return tree


def _quoted(value: str) -> str:
    return f'"{value}"' if "," in value.replace("\\,", "") else value
