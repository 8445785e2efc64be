"""What the groups of a container say, in the version that has its limits."""

from __future__ import annotations

from .directory import Directory
from .records import Stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..manager import Manager


def stats(manager: Manager) -> Stats:
    """What the groups of the manager say now.

    In a hybrid layout that is what v1 says: its v2 group has no limits.
    """
    paths = manager.paths()
    if manager.version == 2:
        from . import v2

        return Stats(cgroup_stats=v2.statistics(Directory(paths[""])))
    from . import v1

    return Stats(cgroup_stats=v1.statistics(lambda name: Directory(paths.get(name))))
