"""The control groups of one container: the interface that both versions share.

A manager plans (create_steps, entry_steps, join_steps) and, once the groups
are there, acts on them (pids, freeze, kill, set, destroy, ...).  new() makes
one for a configuration, load() one for groups that exist.

Limits done here are those of pids, memory, cpu and cpuset, and the access to
devices; unsupported() names what is asked for beyond that.

Sources: config-linux.md, Control groups; REFERENCE.md, 3.
"""

from __future__ import annotations

import errno
import os
import time
from _signal import SIGKILL

from ..errors import CgroupError, StepProblem
from ..plan.step import OPERATIONS, Step
from . import files, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..config.cgroup import Cgroup, Resources
    from .layout import Layout

    # What is wrong, and where: (place in the configuration, message).
    Problem = tuple[str, str]

    # The default, "deny" or "allow", and exceptions like "c 1:3 rwm" (devices.rules).
    DeviceAccess = tuple[str, tuple[str, ...]]

# Fields of Resources that later versions will know, by the place that sets them.
_LATER = {
    "memory_swappiness": "memory.swappiness",
    "oom_kill_disable": "memory.disableOOMKiller",
    "cpu_rt_quota": "cpu.realtimeRuntime",
    "cpu_rt_period": "cpu.realtimePeriod",
    "blkio_weight": "blockIO.weight",
    "blkio_leaf_weight": "blockIO.leafWeight",
    "blkio_weight_device": "blockIO.weightDevice",
    "blkio_throttle_read_bps_device": "blockIO.throttleReadBpsDevice",
    "blkio_throttle_write_bps_device": "blockIO.throttleWriteBpsDevice",
    "blkio_throttle_read_iops_device": "blockIO.throttleReadIOPSDevice",
    "blkio_throttle_write_iops_device": "blockIO.throttleWriteIOPSDevice",
    "hugetlb_limit": "hugepageLimits",
    "net_prio_ifpriomap": "network.priorities",
    "net_cls_classid": "network.classID",
    "rdma": "rdma",
    "unified": "unified",
    "freezer": "freezer",
}

# Which controller of cgroup v1 and v2 a field of Resources needs.
_LIMITS = {
    "memory": ("memory", "memory.limit"),
    "memory_reservation": ("memory", "memory.reservation"),
    "memory_swap": ("memory", "memory.swap"),
    "cpu_shares": ("cpu", "cpu.shares"),
    "cpu_weight": ("cpu", "cpu.shares"),
    "cpu_quota": ("cpu", "cpu.quota"),
    "cpu_burst": ("cpu", "cpu.burst"),
    "cpu_period": ("cpu", "cpu.period"),
    "cpu_idle": ("cpu", "cpu.idle"),
    "cpuset_cpus": ("cpuset", "cpu.cpus"),
    "cpuset_mems": ("cpuset", "cpu.mems"),
    "pids_limit": ("pids", "pids.limit"),
}

PATH_PLACE = "linux.cgroupsPath"

_EMPTY = (None, 0, "", False)


def place(name: str) -> str:
    """Where a configuration sets a limit: place("pids.limit")."""
    return f"linux.resources.{name}"


def new(cgroup: Cgroup, container_id: str, layout: Layout) -> Manager:
    """The manager of a container that is to be made.  Pure.

    Where its groups are: cgroup.path, or name below parent, or for want of both
    libct-<container id>.  An absolute path is one below the mount point of
    each hierarchy.  What a relative one is below, the runtime-spec leaves to
    the runtime:

    - v2: the parent of our own group.  Our own has processes (us), so v2 lets
      it have no children with controllers; and the parent is what an ordinary
      user has been delegated, if anything.
    - v1: the mount point, as for an absolute one.  Below our own group the
      container would share the limits of the shell or service that started it,
      and another shell could not be told where it is.

    What is wrong with the path is among the manager's problems().
    """
    if layout.mode == "v2":
        from .v2 import plan
    else:
        from .v1 import plan
    return plan(cgroup, container_id, layout)


def load(cgroup: Cgroup, paths: dict[str, str]) -> Manager:
    """The manager of groups that exist.  paths: what the paths() of the first one gave."""
    if list(paths) == [""]:
        from .v2 import V2Manager

        return V2Manager(cgroup, paths)
    from .v1 import V1Manager

    return V1Manager(cgroup, paths)


def unsupported(resources: Resources) -> list[Problem]:
    """Resources that are asked for and not supported yet."""
    return [
        (place(where), "not supported yet")
        for name, where in _LATER.items()
        # 0 and an empty list ask for nothing; a swappiness of 0 does.
        if (value := getattr(resources, name)) is not None
        and (value not in (0, "", [], {}) or name == "memory_swappiness")
    ]


def asked_limits(resources: Resources) -> list[tuple[str, str]]:
    """(controller, place) of each limit that is asked for."""
    return [
        (controller, place(where))
        for name, (controller, where) in _LIMITS.items()
        # 0 is a value for those that can be None, and no request for the others.
        if (value := getattr(resources, name)) not in _EMPTY
        or (value == 0 and value is not False and name in ("cpu_burst", "cpu_idle", "pids_limit"))
    ]


def group_path(cgroup: Cgroup, container_id: str) -> tuple[str, list[Problem]]:
    """The path that the configuration asks for, normalised; absolute or relative."""
    # A name by default: what is nobody else's at the top of a hierarchy.
    default = not cgroup.parent and cgroup.name in ("", container_id)
    name = f"libct-{container_id}" if default or not cgroup.name else cgroup.name
    path = cgroup.path or os.path.join(cgroup.parent, name)
    names = [name for name in path.split("/") if name not in ("", ".")]
    problems = []
    if cgroup.systemd:
        problems.append((PATH_PLACE, "the systemd cgroup driver is not supported yet"))
    if ".." in names:
        problems.append((PATH_PLACE, f"has '..': {path!r}"))
    elif not names:
        problems.append((PATH_PLACE, f"names no group below the root: {path!r}"))
    if "\n" in path or "\0" in path:
        problems.append((PATH_PLACE, f"has a line break or a NUL: {path!r}"))
    return "/" * path.startswith("/") + "/".join(names), problems


class Manager:
    """The groups of one container.

    cgroup: the configuration.  Subclasses: V1Manager, V2Manager.
    Live methods raise CgroupError; a group that is not there (any more) has no
    processes, and is neither frozen nor populated.
    """

    __slots__ = ("_paths", "_problems", "cgroup")

    def __init__(
        self, cgroup: Cgroup, paths: dict[str, str], problems: Iterable[Problem] = ()
    ) -> None:
        self.cgroup = cgroup
        self._paths = paths
        self._problems = list(problems)

    # --- planning ---

    def problems(self) -> list[Problem]:
        """What cannot be done on this host, all of it; nothing may be planned then."""
        return self._problems

    def create_steps(self) -> list[Step]:
        """Make the groups and set their limits, before there are processes.  The runtime's.

        Raises CgroupError when there are problems().
        """
        raise NotImplementedError

    def limit_steps(self, resources: Resources) -> list[Step]:
        """Set the limits of existing groups, device access included."""
        raise NotImplementedError

    def entry_steps(self) -> tuple[list[Step], list[Step], list[Step]]:
        """How a process that is cloned for that enters the v1 groups by itself.

        Three lists: for the process that clones, before; for the one cloned,
        which must have no second thread, before it changes its user or
        unshares its cgroup namespace; for the one that clones, after.
        Empty with v2: see cgroup_directory.
        """
        return [], [], []

    def join_steps(self) -> list[Step]:
        """How the runtime puts the process context.pid into the groups.

        For where neither entry_steps nor cgroup_directory can be used: it can
        take 20 ms longer (see steps.py).
        """
        raise NotImplementedError

    def cgroup_directory(self) -> str | None:
        """The v2 group to clone into (CLONE_INTO_CGROUP), with entry_steps or without."""
        return self._paths.get("")

    def directory_steps(self) -> list[Step]:
        """Open cgroup_directory, as the descriptor "cgroup", if that can be done.

        It need not be there where the container may go without.
        """
        directory = self.cgroup_directory()
        if directory is None:
            return []
        optional = int(not self._is_required(""))
        return [steps.cgroup_open_directory(directory, optional, why=PATH_PLACE)]

    def _is_required(self, controller: str) -> bool:
        """Whether the container may not start without the group of this controller."""
        raise NotImplementedError

    def paths(self) -> dict[str, str]:
        """The directory of each v1 controller; that of v2 is under ""."""
        return dict(self._paths)

    def _check_plannable(self) -> None:
        if self._problems:
            raise CgroupError("; ".join(f"{where}: {what}" for where, what in self._problems))

    # --- live ---

    def directories(self) -> list[str]:
        """The directories of the groups, each once (v1 controllers may share one)."""
        return list(dict.fromkeys(self._paths.values()))

    def main_directory(self) -> str | None:
        """The group whose processes count as the container's; None if it has none."""
        raise NotImplementedError

    def exists(self) -> bool:
        """Whether there is any group of the container."""
        return any(os.path.isdir(directory) for directory in self.directories())

    def pids(self) -> list[int]:
        """The processes in the group itself."""
        directory = self.main_directory()
        if directory is None:
            return []
        try:
            return files.pids(directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno == errno.ENODEV:
                return []
            raise failure("list processes", error) from error

    def all_pids(self) -> list[int]:
        """The processes in the group and in those below it."""
        directory = self.main_directory()
        try:
            return files.tree_pids(directory) if directory is not None else []
        except OSError as error:
            raise failure("list processes", error) from error

    def populated(self) -> bool:
        """Whether there is a process in the group or below it."""
        return bool(self.all_pids())

    def frozen(self) -> bool:
        """Whether the group has been frozen (or is about to be)."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop all processes; returns when all have stopped.

        CgroupError if that takes too long; they run on then.
        """
        raise NotImplementedError

    def thaw(self) -> None:
        """Let the processes run on.  Nothing happens to a group that is not there."""
        raise NotImplementedError

    def kill(self) -> None:
        """Send SIGKILL to every process, those in groups below included, and wait until all died.

        CgroupError if some live on for a second.
        """
        if self._kill_at_once():
            waiting = backoff(1.0)
            while self.populated():
                if not next(waiting):
                    break
        rounds = backoff(1.0)
        while found := self.all_pids():
            try:
                self.freeze()  # so that none forks away from the list
                found = self.all_pids()
            except CgroupError:  # no freezer: the rounds catch up with forks
                pass
            for pid in found:
                try:
                    os.kill(pid, SIGKILL)
                except ProcessLookupError:
                    continue
            self.thaw()  # a frozen v1 process does not die
            if not next(rounds):
                raise CgroupError(f"processes {found} survive SIGKILL")

    def _kill_at_once(self) -> bool:
        """cgroup.kill, since Linux 5.14; whether there is that."""
        directory = self.cgroup_directory()
        if directory is None:
            return False
        try:
            files.write(f"{directory}/cgroup.kill", "1")
        except OSError:  # older; or it is gone, or its processes are in v1 groups alone
            return False
        return True

    def destroy(self) -> None:
        """Remove the groups, and those that the container has made below them.

        CgroupError if there are processes left; groups that are gone are fine.
        """
        problem: OSError | None = None
        for directory in self.directories():
            try:
                files.remove(directory)
            except OSError as error:
                problem = problem or error
        if problem is not None:
            raise failure("remove the control group", problem) from problem

    def oom_kill_count(self) -> int:
        """How many processes the kernel has killed for want of memory; 0 without that controller."""
        raise NotImplementedError

    def set(self, resources: Resources) -> None:
        """Change the limits of existing groups.

        On CgroupError some of the limits may have been changed: write the old
        ones back with another call.
        """
        perform(self.limit_steps(resources))

    def group_of(self, pid: int) -> str | None:
        """The v2 directory that a process of the container is in now; None without v2.

        A container that manages groups of its own moves its processes to groups
        below; where it has enabled controllers for these, no process can be
        started in the upper one, and exec goes where the first process is.
        """
        return None


def perform(planned: Iterable[Step]) -> None:
    """Perform steps on existing groups at once; CgroupError, with the step's place, for failures."""
    from ..bootstrap.context import Context

    context = Context()
    for step in planned:
        try:
            OPERATIONS[step.op].perform(context, *step.args)
        except (StepProblem, OSError) as error:
            text = str(error.strerror if isinstance(error, OSError) else error)
            hint = getattr(error, "hint", "")
            hint = f" ({hint})" if hint else ""
            origin = f" [from {step.why}]" if step.why else ""
            raise CgroupError(f"cannot {step.title}: {text}{hint}{origin}") from error


def failure(what: str, error: OSError) -> CgroupError:
    return CgroupError(f"cannot {what}: {error.strerror}: {error.filename!r}")


def device_access(resources: Resources) -> tuple[DeviceAccess | None, list[Problem]]:
    """The rules of access to devices as the minimal list that says the same.

    Gives ("deny" or "allow", exceptions like "c 1:3 rwm") or None for no
    control, and what is wrong with the rules.  Those that every container has
    (devices.DEFAULT_RULES) are applied after the configuration's, of which
    there may be none: nothing else is allowed then.

    This is the one place that copes with a copy of libct without
    libct.cgroups.devices: it cannot control devices, so rules are refused.
    """
    if resources.skip_devices:
        return None, []
    try:
        from .devices import rules
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.devices":
            raise
        if not resources.devices:
            return None, []
        what = f"this copy of libct cannot apply device rules: it has no {error.name}"
        return None, [(place("devices"), what)]
    access, problems = rules.resolve(resources.devices)
    return access, [(place(f"devices[{index}]"), what) for index, what in problems]


def backoff(seconds: float) -> Iterator[bool]:
    """Sleep longer and longer at each step; False when the time is over."""
    end, pause = time.monotonic() + seconds, 0.0002
    while time.monotonic() < end:
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
        yield True
    while True:
        yield False


def read_count(path: str, key: str) -> int:
    """A number out of a file of lines "key number"; 0 if there is none."""
    try:
        for line in files.read(path).splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise failure(f"read {key}", error) from error
    return 0
