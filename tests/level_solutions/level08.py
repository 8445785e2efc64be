"""The same manager, one more limit; what fills it is killed."""

from libct.cgroups.manager import Manager
from libct.cgroups.perform import perform
from libct.config.cgroup import Resources


def exercise(groups: Manager) -> None:
    perform(groups.limit_steps(Resources(memory=64 << 20)))
