"""Whether the processes of a container are frozen: all that a look at its state needs.

Sources: the kernel's admin-guide/cgroup-v2, cgroup.freeze, and
admin-guide/cgroup-v1/freezer-subsystem.
"""

from __future__ import annotations

import errno
import posix

from ..errors import CgroupError
from ..loading.paths import is_directory, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Not to wait, should that be no file of a group.
_LOOKING = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_CLOEXEC


def frozen(paths: Mapping[str, str]) -> bool:
    """Whether the groups have been frozen, or are about to be.

    paths: the group of each v1 controller, or under "" that of v2.  A group
        that is not there (any more) has no processes, and is not frozen.
    """
    if "freezer" in paths:
        return read(f"{paths['freezer']}/freezer.state") in ("FREEZING", "FROZEN")
    return list(paths) == [""] and read(f"{paths['']}/cgroup.freeze") == "1"


def stops(directory: str) -> bool:
    """Whether what enters this group is frozen at once, also for the sake of one above it."""
    return (
        read(f"{directory}/freezer.state") in ("FREEZING", "FROZEN")
        or read(f"{directory}/cgroup.freeze") == "1"
        or "frozen 1" in read(f"{directory}/cgroup.events").splitlines()
    )


def stopping(paths: Mapping[str, str]) -> str:
    """Which of a container's groups stops what enters it; "" where none does.

    paths: as of frozen(), which does not see that v2 has frozen a group above.
    """
    for name in ("freezer", ""):
        if name in paths and stops(paths[name]):
            return paths[name]
    return ""


def frozen_above(directory: str) -> str:
    """The nearest group above this one that has been frozen itself; "" where none is seen."""
    path = split(directory)[0]
    while is_directory(path) and path != "/":
        if "1" in (read(f"{path}/freezer.self_freezing"), read(f"{path}/cgroup.freeze")):
            return path
        path = split(path)[0]
    return ""


def read(path: str) -> str:
    """The word in one of these files; "" where the group is not there."""
    try:
        fd = posix.open(path, _LOOKING)
        try:
            return posix.read(fd, 64).decode("ascii", "replace").strip()
        finally:
            posix.close(fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return ""
        text = f"cannot tell whether the processes are frozen: {error.strerror}: {path!r}"
        raise CgroupError(text) from error
