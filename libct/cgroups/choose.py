"""Which manager fits: new() for a container to be made, load() for groups that exist."""

from __future__ import annotations

from .resources import PATH_PLACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.cgroup import Cgroup
    from .layout import Layout
    from .manager import Manager
    from .systemd.facts import Systemd

# runc's words
_NO_SYSTEMD = (
    "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
)


def new(
    cgroup: Cgroup, container_id: str, layout: Layout, systemd: Systemd | None = None
) -> Manager:
    """The manager of a container that is to be made.  Pure.

    systemd: what is known of it, where it is to manage the groups (cgroup.systemd) and there.

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
    if not cgroup.systemd:
        return _of_files(cgroup, container_id, layout)
    if systemd is None:
        made = _of_files(cgroup.copy(path="/none", name="", parent=""), container_id, layout)
        what = f"{_NO_SYSTEMD}: it is not process 1 here (leave --systemd-cgroup out)"
        made.problems().append((PATH_PLACE, what))
        return made
    from .systemd import manager as of_systemd

    def files(placed: Cgroup) -> Manager:
        return _of_files(placed, container_id, layout)

    return of_systemd.plan(cgroup, container_id, layout, systemd, files)


def _of_files(cgroup: Cgroup, container_id: str, layout: Layout) -> Manager:
    if layout.mode == "v2":
        from . import v2

        return v2.plan(cgroup, container_id, layout)
    from . import v1

    return v1.plan(cgroup, container_id, layout)


def load(cgroup: Cgroup, paths: dict[str, str]) -> Manager:
    """The manager of groups that exist.  paths: what the paths() of the first one gave."""
    inner = _load_files(cgroup, paths)
    if not cgroup.systemd:
        return inner
    from .systemd import manager as of_systemd

    return of_systemd.load(cgroup, inner)


def _load_files(cgroup: Cgroup, paths: dict[str, str]) -> Manager:
    if list(paths) == [""]:
        from .v2 import V2Manager

        return V2Manager(cgroup, paths)
    from .v1 import V1Manager

    return V1Manager(cgroup, paths)
