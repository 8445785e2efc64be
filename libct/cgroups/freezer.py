"""Whether the processes of a container are frozen: all that a look at its state needs.

Sources: the kernel's admin-guide/cgroup-v2, cgroup.freeze, and
admin-guide/cgroup-v1/freezer-subsystem.
"""

from __future__ import annotations

import errno
import posix

from ..errors import CgroupError

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
