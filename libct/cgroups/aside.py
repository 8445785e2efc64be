"""How a command line makes room for a container in the control group that it is in itself.

On v2 a group with processes in it distributes no controllers to groups below it.  Who has
been delegated one, by `systemd-run --user --scope -p Delegate=yes libct ...` or by a service
with Delegate=yes, is in that group.  What is beside it is not his, or systemd's, which takes
away what it has not set itself.  So libct goes to a group below, and the container comes to
be beside that one; podman does the same (--cgroups=split).

Only processes of libct's own are moved, which a host program of the library is not, and
only where nobody else is in the group.

Sources: the kernel's admin-guide/cgroup-v2, No Internal Process Constraint; systemd's
CGROUP_DELEGATION, Three Scenarios.
"""

from __future__ import annotations

import posix

from ..loading.paths import split
from . import files
from .delegated import may_be_delegated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ..bootstrap.context import Context
    from .layout import Hierarchy
    from .ledger import Ledger

LEAF = "libct.runtime"  # the group below, for libct itself
_FILES = ("cgroup.procs", "cgroup.subtree_control")


def can_step_aside(unified: Hierarchy, ours: Collection[int]) -> bool:
    """Whether our own group is to have containers below it, once we have left it.

    ours: the processes that may be moved.
    """
    own = unified.own_below
    if own is None:
        return False
    directory = f"{unified.mount}/{own}".rstrip("/")
    if not posix.access(directory, posix.W_OK) or not all(
        posix.access(f"{directory}/{file}", posix.W_OK) for file in _FILES
    ):
        return False
    # Above a cgroup namespace's root there is nothing; of the true root nothing is delegated.
    above = split(directory)[0] if own else ""
    reachable = bool(above) and posix.access(above, posix.W_OK)
    if reachable and not may_be_delegated(directory):
        return False
    try:
        if not own and not posix.access(f"{directory}/cgroup.type", posix.F_OK):
            return False
        return set(files.pids(directory)) <= set(ours)
    except OSError:
        return False


def cgroup_step_aside(context: Context, directory: str) -> None:
    """Move libct's own processes, this one and its server, from a v2 group to one below it.

    context.values["own processes"] tells them, in the instant.
    """
    leaf = f"{directory}/{LEAF}"
    ledger: Ledger = context.values["ledger"]
    ledger.make_above(leaf)
    for pid in context.values["own processes"]():
        files.write_pid(f"{leaf}/cgroup.procs", pid)
