"""What systemd leaves to others of the tree of v2, and from which groups it takes limits away.

Whatever of its units is reloaded, systemd writes anew which controllers the groups of its
units distribute.  Where none of its own needs cpu, cpuset or io, it turns them off, and the
limits of a group that somebody else has made there are gone, without a word.  It keeps off
what is below a unit with Delegate=yes, of which it marks the group.

Sources: systemd's CGROUP_DELEGATION; systemd.resource-control(5), Delegate=.
"""

from __future__ import annotations

import posix

from ..syscalls.xattrs import getxattr

_UNITS = (".slice", ".scope", ".service", ".mount", ".socket", ".swap")


def is_marked(directory: str) -> bool:
    """Whether systemd, the system's and not a user's, says that it leaves a group to others.

    `user.delegate` is there since systemd 251, for those who may not see the other.
    """
    for name in ("trusted.delegate", "user.delegate"):
        try:
            value = getxattr(directory, name)
        except OSError:
            continue
        if value is not None:
            return value == b"1"
    return False


def may_be_delegated(directory: str) -> bool:
    """Whether a group is a unit's that is delegated; of a user's manager any may be."""
    if posix.geteuid() == 0:
        return is_marked(directory)
    return directory.endswith((".scope", ".service"))


def reloaded_unit(mount: str, directory: str) -> str:
    """The unit with whose reload systemd takes limits from this group; "" where none does.

    directory: of a group, which need not be there, below mount, the root of the tree.
    """
    unit, place, in_user_manager = "-.slice", mount, False
    for name in directory[len(mount) + 1 :].split("/")[:-1]:
        place += f"/{name}"
        if in_user_manager:
            if name.endswith(_UNITS):
                unit = name
        elif name.startswith("user@") and name.endswith(".service"):
            unit, in_user_manager = name, True
        elif is_marked(place) or _is_ours(place):
            return ""
        elif name.endswith(_UNITS):
            unit = name
    # Whether those of a user's manager are delegated only that manager knows.
    known = not in_user_manager or unit.endswith(".slice") or unit.startswith("user@")
    return unit if known else ""


def _is_ours(directory: str) -> bool:
    """Whether an ordinary user owns it, who has been given it by somebody."""
    try:
        return posix.geteuid() == posix.stat(directory).st_uid != 0
    except OSError:
        return False
