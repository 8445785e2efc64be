"""Control groups version 2: one tree, limits of enabled controllers, cgroup.kill and .freeze.

Sources: the kernel's admin-guide/cgroup-v2; REFERENCE.md, 3.3.
"""

from __future__ import annotations

import errno
import posix
import time

from ..config import conversions as convert
from ..errors import CgroupError
from ..loading.paths import split
from ..plan import cgroups as steps
from . import files
from .files import failure, read_count
from .manager import Manager
from .resources import PATH_PLACE, asked_limits, device_access, group_path, place, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.cgroup import Cgroup, Resources
    from ..plan.step import Step
    from .layout import Hierarchy, Layout
    from .resources import DeviceAccess, Problem

_DEFAULT_PERIOD = 100000  # microseconds, of cpu.max
_FREEZE_SECONDS = 10.0


def plan(cgroup: Cgroup, container_id: str, layout: Layout) -> V2Manager:
    """The manager of a container to be made, on a host with v2 alone."""
    unified = layout.unified
    assert unified is not None
    path, problems = group_path(cgroup, container_id)
    below = path[1:] if path.startswith("/") else _beside_own(unified, path)
    access, found = device_access(cgroup.resources)
    problems += _limit_problems(cgroup.resources, layout) + found
    manager = V2Manager(cgroup, {"": f"{unified.mount}/{below}"}, problems)
    manager.prepare(unified.mount, below, access, layout.userns)
    return manager


def _beside_own(unified: Hierarchy, path: str) -> str:
    parent = split(unified.own_below or "")[0]
    return f"{parent}/{path}" if parent else path


def _limit_problems(resources: Resources, layout: Layout) -> list[Problem]:
    problems = [
        (where, f"the {controller} controller is not available to cgroup v2")
        for controller, where in asked_limits(resources)
        if controller not in layout.v2_controllers
    ]
    return problems + _swap_problems(resources)


def _swap_problems(resources: Resources) -> list[Problem]:
    try:
        convert.swap_max(resources.memory, resources.memory_swap)
    except ValueError as error:
        return [(place("memory.swap"), str(error))]
    return []


class V2Manager(Manager):
    """One group of version 2."""

    __slots__ = ("_access", "_below", "_mount", "_userns")

    version = 2

    def prepare(self, mount: str, below: str, access: DeviceAccess | None, userns: bool) -> None:
        """What create_steps needs to know, and a loaded manager does not."""
        self._mount, self._below, self._access, self._userns = mount, below, access, userns

    @property
    def _directory(self) -> str:
        return self._paths[""]

    # --- planning ---

    def create_steps(self) -> list[Step]:
        refuse(self._problems)
        asked = asked_limits(self.cgroup.resources)
        needed = tuple(dict.fromkeys(controller for controller, _ in asked))
        optional = int(not self._is_required(""))
        planned = [
            steps.cgroup_mkdir(self._mount, self._below, optional, why=PATH_PLACE),
            steps.cgroup_enable_controllers(
                self._mount, self._below, needed, why=asked[0][1] if asked else PATH_PLACE
            ),
        ]
        if self.cgroup.owner_uid is not None:
            uid = self.cgroup.owner_uid
            planned.append(steps.cgroup_chown(self._directory, uid, why=PATH_PLACE))
        return (
            planned
            + self._limits(self.cgroup.resources)
            + self._devices(self._access, self._userns)
        )

    def limit_steps(self, resources: Resources) -> list[Step]:
        refuse(_swap_problems(resources) + device_access(resources)[1])
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
        return named or not self.cgroup.rootless or bool(asked_limits(self.cgroup.resources))

    def _limits(self, resources: Resources) -> list[Step]:
        return [
            *self._pids(resources),
            *self._memory(resources),
            *self._cpu(resources),
            *self._cpuset(resources),
        ]

    def _write(self, file: str, value: str, where: str, if_there: int = 0) -> Step:
        path = f"{self._directory}/{file}"
        return steps.cgroup_write(path, value, if_there, why=place(where))

    def _pids(self, resources: Resources) -> list[Step]:
        if resources.pids_limit is None:
            return []
        return [self._write("pids.max", convert.pids_value(resources.pids_limit), "pids.limit")]

    def _memory(self, resources: Resources) -> list[Step]:
        memory, planned = resources.memory, []
        swap = convert.swap_max(memory, resources.memory_swap)
        if swap is not None:
            # A kernel that does not count swap has no file, and does what these two ask for.
            if_there = int(swap in (-1, 0))
            planned.append(
                self._write("memory.swap.max", convert.v2_limit(swap), "memory.swap", if_there)
            )
        if memory:
            planned.append(self._write("memory.max", convert.v2_limit(memory), "memory.limit"))
        if resources.memory_reservation:
            low = convert.v2_limit(resources.memory_reservation)
            planned.append(self._write("memory.low", low, "memory.reservation"))
        return planned

    def _cpu(self, resources: Resources) -> list[Step]:
        planned = []
        idle = resources.cpu_idle
        if idle is not None:
            planned.append(self._write("cpu.idle", str(idle), "cpu.idle"))
        weight = resources.cpu_weight or convert.weight_of_shares(resources.cpu_shares)
        if weight and idle != 1:  # an idle group takes no weight
            planned.append(self._write("cpu.weight", str(weight), "cpu.shares"))
        settings, where = [], ""
        if resources.cpu_burst is not None:
            settings.append(("cpu.max.burst", str(resources.cpu_burst)))
            where = "cpu.burst"
        if resources.cpu_quota or resources.cpu_period:
            quota = str(resources.cpu_quota) if resources.cpu_quota > 0 else "max"
            settings.append(("cpu.max", f"{quota} {resources.cpu_period or _DEFAULT_PERIOD}"))
            where = "cpu.quota" if resources.cpu_quota else "cpu.period"
        if settings:
            planned.append(
                steps.cgroup_write_group(self._directory, tuple(settings), why=place(where))
            )
        return planned

    def _cpuset(self, resources: Resources) -> list[Step]:
        return [
            self._write(f"cpuset.{name}", value, f"cpu.{name}")
            for name, value in (("cpus", resources.cpuset_cpus), ("mems", resources.cpuset_mems))
            if value
        ]

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
                    raise CgroupError("cannot freeze: some process does not stop")
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
