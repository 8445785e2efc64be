"""Control groups version 2: one tree, cgroup.kill and .freeze; limits/v2.py has its limits.

Source: the kernel's admin-guide/cgroup-v2.
"""

from __future__ import annotations

import errno
import posix
import time

from ..config.unified import CONTROLLERS
from ..errors import CgroupError
from ..loading.paths import split
from ..plan import cgroups as steps
from . import files
from .files import failure, read_count
from .limits import v2 as limits
from .limits.setting import asked, steps_of
from .manager import Manager
from .resources import PATH_PLACE, device_access, group_path, place, refuse, start_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.cgroup import Cgroup, Resources
    from ..plan.step import Step
    from .layout import Hierarchy, Layout
    from .resources import DeviceAccess, Problem

_UNKNOWN = "cgroup v2 has no {} controller here, and libct knows none of this name"
_NOT_AVAILABLE = (
    "the {} controller is not available to cgroup v2: the kernel must have it, and no hierarchy"
    " of v1; groups above must distribute it (systemd: Delegate=yes)"
)

_FREEZE_SECONDS = 10.0


def plan(cgroup: Cgroup, container_id: str, layout: Layout) -> V2Manager:
    """The manager of a container to be made, on a host with v2 alone."""
    unified = layout.unified
    assert unified is not None
    path, problems = group_path(cgroup, container_id)
    below = path[1:] if path.startswith("/") else _beside_us(unified, path, layout.aside)
    access, found = device_access(cgroup.resources)
    problems += _limit_problems(cgroup.resources, layout) + found + start_problems(cgroup.resources)
    manager = V2Manager(cgroup, {"": f"{unified.mount}/{below}"}, problems)
    manager.prepare(unified.mount, below, access, layout.userns)
    own = f"{unified.mount}/{unified.own_below}".rstrip("/")
    if layout.aside and manager.directories()[0].startswith(f"{own}/"):
        manager.leaves = own
    return manager


def _beside_us(unified: Hierarchy, path: str, aside: bool) -> str:
    own = unified.own_below or ""
    parent = own if aside else split(own)[0]
    return f"{parent}/{path}" if parent else path


def _limit_problems(resources: Resources, layout: Layout) -> list[Problem]:
    return [
        (where, (_NOT_AVAILABLE if controller in CONTROLLERS else _UNKNOWN).format(controller))
        for controller, where in asked(limits.settings(resources)).items()
        if controller not in layout.v2_controllers
    ] + limits.problems(resources)


class V2Manager(Manager):
    """One group of version 2."""

    __slots__ = ("_access", "_below", "_mount", "_userns", "leaves")

    version = 2

    def prepare(self, mount: str, below: str, access: DeviceAccess | None, userns: bool) -> None:
        """What create_steps needs to know, and a loaded manager does not."""
        self._mount, self._below, self._access, self._userns = mount, below, access, userns
        self.leaves = ""  # the group that libct itself is to leave first

    @property
    def _directory(self) -> str:
        return self._paths[""]

    # --- planning ---

    def create_steps(self) -> list[Step]:
        refuse(self._problems)
        needed = asked(limits.settings(self.cgroup.resources))
        optional = int(not self._is_required(""))
        planned = [
            *([steps.cgroup_step_aside(self.leaves, why=PATH_PLACE)] if self.leaves else []),
            steps.cgroup_mkdir(self._mount, self._below, optional, why=PATH_PLACE),
            steps.cgroup_enable_controllers(
                self._mount,
                self._below,
                tuple(needed),
                why=next(iter(needed.values()), PATH_PLACE),
            ),
        ]
        if self.cgroup.owner_uid is not None:
            uid = self.cgroup.owner_uid
            planned.append(
                steps.cgroup_chown(self._directory, uid, int(self.cgroup.rootless), why=PATH_PLACE)
            )
        return (
            planned
            + self._limits(self.cgroup.resources)
            + self._devices(self._access, self._userns)
        )

    def limit_steps(self, resources: Resources) -> list[Step]:
        refuse(limits.problems(resources) + device_access(resources)[1])
        check = []
        if resources.memory_check_before_update and resources.memory > 0:
            why = place("memory.checkBeforeUpdate")
            check.append(steps.cgroup_check_memory(self._directory, resources.memory, why=why))
        return check + self._limits(resources) + self.device_steps(resources)

    def device_steps(self, resources: Resources) -> list[Step]:
        return self._devices(device_access(resources)[0], False)

    def join_steps(self) -> list[Step]:
        directory = (self._directory,)
        required, optional = (directory, ()) if self._is_required("") else ((), directory)
        return [steps.cgroup_join(required, optional, why=self._place)]

    def _is_required(self, controller: str) -> bool:
        # A path that is asked for is meant, and not what may be done without.
        named = controller in self._named or bool(self.cgroup.path)
        return (
            named or not self.cgroup.rootless or bool(asked(limits.settings(self.cgroup.resources)))
        )

    def _limits(self, resources: Resources) -> list[Step]:
        return steps_of(limits.settings(resources), lambda controller: self._directory)

    def _devices(self, access: DeviceAccess | None, userns: bool) -> list[Step]:
        if access is None:
            return []
        optional = int(self.cgroup.rootless or userns)
        return [steps.cgroup_devices_v2(self._directory, *access, optional, why=place("devices"))]

    # --- live ---

    def main_directory(self) -> str | None:
        return self._directory

    def populated(self) -> bool:
        return bool(read_count(f"{self._directory}/cgroup.events", "populated"))

    def freeze(self) -> None:
        try:
            self._freeze()
        except OSError as error:
            raise failure("freeze", error) from error

    def _freeze(self) -> None:
        import select

        end = time.monotonic() + _FREEZE_SECONDS
        # The kernel notifies who polls the file after having read it.
        fd = files.open_file(f"{self._directory}/cgroup.events", posix.O_RDONLY)
        try:
            poller = select.poll()
            poller.register(fd, select.POLLPRI)
            files.write(f"{self._directory}/cgroup.freeze", "1")
            while b"frozen 1" not in posix.pread(fd, 4096, 0):
                left = end - time.monotonic()
                if left <= 0:
                    self.thaw()
                    raise CgroupError("cannot freeze: a process does not stop")
                poller.poll(left * 1000)
        finally:
            posix.close(fd)

    def thaw(self) -> None:
        try:
            files.write(f"{self._directory}/cgroup.freeze", "0")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise failure("thaw", error) from error

    def oom_kill_count(self) -> int:
        return read_count(f"{self._directory}/memory.events", "oom_kill")
