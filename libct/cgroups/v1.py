"""Control groups version 1: one tree for each controller; limits/v1.py has its limits.

Where a version 2 tree is mounted beside (the hybrid layout), the container has
a group in it as well: it has no limits, but is what a process can be cloned
into, and is killed by one write.

Sources: the kernel's admin-guide/cgroup-v1; Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import errno
import time

from ..errors import CgroupError
from ..loading.clock import backoff
from ..loading.paths import is_directory
from ..plan import cgroups as steps
from . import files, freezer
from .files import failure, read_count
from .layout import CGROUP_ROOT
from .limits import v1 as limits
from .limits.setting import asked, steps_of
from .manager import Manager
from .resources import PATH_PLACE, device_access, group_path, place, refuse, start_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from ..config.cgroup import Cgroup, Resources
    from ..plan.step import Step
    from .layout import Hierarchy, Layout
    from .resources import DeviceAccess, Problem

# The controller whose group lists the processes: what all_pids and freeze must
# agree on.  The others are for hosts without it.
_MAIN = ("freezer", "devices", "pids", "memory", "cpu")

_NOT_MOUNTED = (
    "the {0} controller of cgroup v1 is not mounted: if the kernel has it,"
    f" mount -t cgroup -o {{0}} {{0}} {CGROUP_ROOT}/{{0}}"
)

_FREEZE_SECONDS = 10.0
_THAW_SECONDS = 1.0  # of these after which the processes may run on for a moment


def plan(cgroup: Cgroup, container_id: str, layout: Layout) -> V1Manager:
    """The manager of a container to be made, on a host without v2, or the hybrid one."""
    path, problems = group_path(cgroup, container_id)
    below = path.strip("/")
    hierarchies = dict(layout.controllers)
    if layout.unified is not None:
        hierarchies[""] = layout.unified
    paths = {name: f"{found.mount}/{below}" for name, found in hierarchies.items()}
    access, found = device_access(cgroup.resources)
    problems += (
        _limit_problems(cgroup.resources, hierarchies) + found + start_problems(cgroup.resources)
    )
    if (
        access is not None
        and "devices" not in hierarchies
        and not (cgroup.rootless or layout.userns)
    ):
        what = "the devices controller is not mounted, so access to devices cannot be limited"
        problems.append((place("devices"), what))
    manager = V1Manager(cgroup, paths, problems)
    manager.prepare(hierarchies, below, access if not layout.userns else None)
    return manager


def _limit_problems(resources: Resources, controllers: Container[str]) -> list[Problem]:
    return [
        (where, _NOT_MOUNTED.format(controller))
        for controller, where in asked(limits.settings(resources)).items()
        if controller not in controllers
    ] + limits.problems(resources)


class V1Manager(Manager):
    """Groups of version 1, in every hierarchy there is.

    In every one, limits or not: a container that mounts the hierarchies gets
    to see its own groups, and must not have the host's root group as one.
    """

    __slots__ = ("_access", "_below", "_hierarchies")

    version = 1

    def prepare(
        self, hierarchies: dict[str, Hierarchy], below: str, access: DeviceAccess | None
    ) -> None:
        """What create_steps needs to know, and a loaded manager does not."""
        self._hierarchies, self._below, self._access = hierarchies, below, access

    # --- planning ---

    def create_steps(self) -> list[Step]:
        refuse(self._problems)
        resources = self.cgroup.resources
        wanted = limits.settings(resources)
        mounts: dict[str, int] = {}  # mount point -> whether the group there is optional
        for name, hierarchy in self._hierarchies.items():
            optional = int(not self._is_required(name))
            mounts[hierarchy.mount] = mounts.get(hierarchy.mount, 1) and optional
        planned = [
            steps.cgroup_mkdir(mount, self._below, optional, why=PATH_PLACE)
            for mount, optional in mounts.items()
        ]
        if "cpuset" in self._hierarchies:
            found = self._hierarchies["cpuset"]
            planned.append(
                steps.cgroup_cpuset_v1(
                    found.mount,
                    self._below,
                    resources.cpuset_cpus,
                    resources.cpuset_mems,
                    "" if found.noprefix else "cpuset.",
                    mounts[found.mount],
                    why=asked(wanted).get("cpuset", PATH_PLACE),
                )
            )
        others = [setting for setting in wanted if setting.controller != "cpuset"]
        planned += steps_of(others, self._paths.__getitem__)
        return planned + self._devices(self._access, fresh=1)

    def limit_steps(self, resources: Resources) -> list[Step]:
        access, problems = device_access(resources)
        refuse(_limit_problems(resources, self._paths) + problems)
        planned = steps_of(limits.settings(resources), self._paths.__getitem__)
        # Where the default is to allow, the kernel does not list the exceptions: they would
        # all be written again, and for a moment there were none.
        if access is not None and access[0] == "allow" and access == self._recorded_access():
            return planned
        return planned + self.device_steps(resources)

    def device_steps(self, resources: Resources) -> list[Step]:
        return self._devices(device_access(resources)[0], fresh=0)

    def _recorded_access(self) -> DeviceAccess | None:
        return device_access(self.cgroup.resources)[0]

    def entry_steps(self) -> tuple[list[Step], list[Step], list[Step]]:
        required, optional = self._joined(without_v2=True)
        if not required + optional:
            return [], [], []
        return (
            [steps.cgroup_open(required, optional, why=self._place)],
            [steps.cgroup_enter(required, optional, why=self._place)],
            [steps.cgroup_close(required + optional, why=self._place)],
        )

    def join_steps(self) -> list[Step]:
        required, optional = self._joined(without_v2=False)
        return (
            [steps.cgroup_join(required, optional, why=self._place)] if required + optional else []
        )

    def _is_required(self, controller: str) -> bool:
        if controller in self._named:
            return True
        if controller == "":  # the v2 tree of a hybrid layout, which limits nothing
            return False
        if not self.cgroup.rootless or self.cgroup.path:  # a path that is asked for is meant
            return True
        return controller in asked(limits.settings(self.cgroup.resources))

    def _joined(self, *, without_v2: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The directories to put a process into, those that must be and those that may."""
        paths = {name: path for name, path in self._paths.items() if name or not without_v2}
        required = [path for name, path in paths.items() if self._is_required(name)]
        optional = [path for path in paths.values() if path not in required]
        return tuple(dict.fromkeys(required)), tuple(dict.fromkeys(optional))

    def _devices(self, access: DeviceAccess | None, *, fresh: int) -> list[Step]:
        # The kernel lets only root of the initial user namespace write these.
        if access is None or self.cgroup.rootless or "devices" not in self._paths:
            return []
        return [
            steps.cgroup_devices_v1(self._paths["devices"], *access, fresh, why=place("devices"))
        ]

    # --- live ---

    def main_directory(self) -> str | None:
        for name in (*_MAIN, *self._paths):
            if name in self._paths and (
                not self.cgroup.rootless or is_directory(self._paths[name])
            ):
                return self._paths[name]
        return None

    def freeze(self) -> None:
        """Write FROZEN until it is so: processes that fork meanwhile can escape the first try."""
        if "freezer" not in self._paths:
            raise CgroupError("cannot freeze: there is no group of the freezer controller")
        waiting = backoff(_FREEZE_SECONDS)
        stuck = time.monotonic() + _THAW_SECONDS
        try:
            while True:
                files.write(f"{self._paths['freezer']}/freezer.state", "FROZEN")
                if freezer.read(f"{self._paths['freezer']}/freezer.state") == "FROZEN":
                    return
                if not next(waiting):
                    break
                if time.monotonic() > stuck:  # a process may wait for one that is frozen
                    self.thaw()
                    next(waiting)
                    stuck = time.monotonic() + _THAW_SECONDS
        except OSError as error:
            raise failure("freeze", error) from error
        self.thaw()
        raise CgroupError("cannot freeze: a process does not stop")

    def thaw(self) -> None:
        if "freezer" not in self._paths:
            return
        try:
            files.write(f"{self._paths['freezer']}/freezer.state", "THAWED")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise failure("thaw", error) from error

    def oom_kill_count(self) -> int:
        return read_count(f"{self._paths.get('memory', '')}/memory.oom_control", "oom_kill")
