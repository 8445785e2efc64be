"""Which manager fits: new() for a container to be made, load() for groups that exist."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.cgroup import Cgroup
    from .layout import Layout
    from .manager import Manager


def new(cgroup: Cgroup, container_id: str, layout: Layout) -> Manager:
    """The manager of a container that is to be made.  Pure.

    Where its groups are: cgroup.path, or name below parent, or for want of both
    libct-<container id>.  (A bundle's is named by the id, as by runc.)  An
    absolute path is one below the mount point of each hierarchy.  What a
    relative one is below, the runtime-spec leaves to the runtime:

    - v2: the parent of our own group.  Our own has processes (us), so v2 lets
      it have no children with controllers; and the parent is what an ordinary
      user has been delegated, if anything.  Our own where that has been delegated
      and a command line may leave it (aside.py).
    - v1: the mount point, as for an absolute one.  Below our own group the
      container would share the limits of the shell or service that started it,
      and another shell could not be told where it is.

    What is wrong with the path is among the manager's problems().
    """
    if layout.mode == "v2":
        from . import v2

        return v2.plan(cgroup, container_id, layout)
    from . import v1

    return v1.plan(cgroup, container_id, layout)


def load(cgroup: Cgroup, paths: dict[str, str]) -> Manager:
    """The manager of groups that exist.  paths: what the paths() of the first one gave."""
    if list(paths) == [""]:
        from .v2 import V2Manager

        return V2Manager(cgroup, paths)
    from .v1 import V1Manager

    return V1Manager(cgroup, paths)
