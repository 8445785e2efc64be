"""Why the source of a bind mount was refused, as far as who was refused it can see.

The kernel says EINVAL and EPERM of many things.  Only the process that got it has
the mounts that it is about: the runtime's are others, without those that the
container has made.
"""

from __future__ import annotations

import posix

from ..errors import advise
from ..loading.paths import fsdecode
from .mountinfo import MountPoint, parse


def explain_clone(error: OSError, source: str) -> None:
    """Of EINVAL of open_tree(2): a user namespace uncovers nothing (mount_namespaces(7))."""
    found = _look(source)
    if found is None:
        return
    path, on, points = found
    if on.bindable and any(at.parent == on.number and at.is_below(path) for at in points):
        advise(
            error,
            "something is mounted below it, which a user namespace does not uncover: rbind works",
        )


def explain_mapping(error: OSError, source: str, *, recursive: bool) -> None:
    """Of EPERM of mount_setattr(2): ids are mapped once."""
    found = _look(source)
    if found is None:
        return
    path, on, points = found
    below = [at for at in points if recursive and at.is_below(path)]
    if any(at.mapped for at in (on, *below)):
        advise(error, "the ids of a mount there are mapped already, and cannot be mapped again")


def _look(source: str) -> tuple[str, MountPoint, list[MountPoint]] | None:
    """Its path without links, the mount that it is on, and all mounts; None without a /proc."""
    try:
        fd = posix.open(source, posix.O_PATH | posix.O_CLOEXEC)
        try:
            path = posix.readlink(f"/proc/self/fd/{fd}")
            number = _read(f"/proc/self/fdinfo/{fd}").partition("mnt_id:")[2].split()[0]
        finally:
            posix.close(fd)
        points = parse(_read("/proc/self/mountinfo"))
    except (OSError, IndexError):
        return None
    return next(((path, at, points) for at in points if at.number == number), None)


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return fsdecode(file.read())
