"""Landlock rules of a process (landlock(7)); plan/landlock.py says when it enters them."""

from __future__ import annotations

import _stat as stat
import posix

from ..config.landlock import below_written
from ..errors import Error
from ..rootfs.paths import mark, walk_in_root
from ..syscalls.constants import CAPABILITIES
from ..syscalls.credentials import capget, capset
from ..syscalls.landlock import (
    landlock_add_net_port,
    landlock_add_path_beneath,
    landlock_create_ruleset,
    landlock_restrict_self,
)
from ..syscalls.landlock_constants import (
    LANDLOCK_ACCESS_FS_EXECUTE,
    LANDLOCK_ACCESS_FS_IOCTL_DEV,
    LANDLOCK_ACCESS_FS_MAKE_SYM,
    LANDLOCK_ACCESS_FS_READ_FILE,
    LANDLOCK_ACCESS_FS_TRUNCATE,
    LANDLOCK_ACCESS_FS_WRITE_FILE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

# The others are of directories: the kernel refuses them for anything else.
_OF_FILES = (
    LANDLOCK_ACCESS_FS_EXECUTE
    | LANDLOCK_ACCESS_FS_WRITE_FILE
    | LANDLOCK_ACCESS_FS_READ_FILE
    | LANDLOCK_ACCESS_FS_TRUNCATE
    | LANDLOCK_ACCESS_FS_IOCTL_DEV
)


def landlock_ruleset(context: Context, fs: int, net: int, scoped: int) -> None:
    """Hold it under "landlock", until it is entered."""
    context.keep("landlock", landlock_create_ruleset(fs, net, scoped))


def landlock_path(context: Context, what: str, path: str, access: int, known: str | None) -> None:
    """A link is followed, in the root: the rule is about what it leads to now.

    No rule's path leads through a directory of `write`: who is inside would choose
    what the next process may do.
    """
    place, way = walk_in_root(context.fds["root"], path)
    try:
        ways: dict[tuple[int, int], str] = context.values.setdefault("landlock ways", {})
        written: dict[tuple[int, int], str] = context.values.setdefault("landlock written", {})
        ways.update(dict.fromkeys(way, path))
        if access & LANDLOCK_ACCESS_FS_MAKE_SYM:
            written[mark(place)] = path
        for above in written.keys() & ways.keys():
            raise Error(below_written(ways[above], written[above]))
        found = "device {}, inode {}".format(*mark(place))
        if known is None:
            context.values["talk"].tell(("found", context.step, found))
        elif known not in ("", found):
            raise Error(
                f"{path!r} is another file than when the container was started: a process inside"
                " may have put it there"
            )
        if not stat.S_ISDIR(posix.fstat(place).st_mode):
            access &= _OF_FILES
        landlock_add_path_beneath(context.fds["landlock"], access, place)
    finally:
        posix.close(place)


def landlock_port(context: Context, what: str, port: int, access: int) -> None:
    landlock_add_net_port(context.fds["landlock"], access, port)


def landlock_restrict(context: Context, privileged: bool) -> None:
    """Enter the rules.

    What the wait for a start is prepared from is opened before, under "maps".
    privileged: CAP_SYS_ADMIN is to be effective, which it is not for an ordinary user;
        the plan goes on with the capabilities of the command.
    """
    flags = posix.O_RDONLY | posix.O_CLOEXEC
    context.keep("maps", posix.open("self/maps", flags, dir_fd=context.fds["proc"]))
    if privileged:
        effective, permitted, inheritable = capget()
        effective |= permitted & 1 << CAPABILITIES["CAP_SYS_ADMIN"]
        capset(effective, permitted, inheritable)
    landlock_restrict_self(context.fds["landlock"])
    context.release("landlock")
