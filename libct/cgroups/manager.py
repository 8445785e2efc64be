"""The control groups of one container: the interface that both versions share.

A manager plans (create_steps, entry_steps, join_steps) and, once the groups
are there, acts on them (pids, freeze, kill, set, ...).  choose.py makes
the one that fits a host.

What limits come down to is in limits/, the access to devices in devices/.

Source: config-linux.md, Control groups.
"""

from __future__ import annotations

import errno

from ..errors import CgroupError, note
from ..loading.paths import is_directory
from ..plan import cgroups as steps
from ..syscalls import procfs
from . import files, freezer, killing
from .files import failure
from .resources import PATH_PLACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config.cgroup import Cgroup, Resources
    from ..plan.step import Step
    from .resources import Problem


class Manager:
    """The groups of one container.

    cgroup: the configuration.  Subclasses: V1Manager, V2Manager, SystemdManager.
    version: whose files say what the container uses, 1 (also if hybrid) or 2.
    Live methods raise CgroupError; a group that is not there (any more) has no
    processes, and is neither frozen nor populated.
    """

    __slots__ = ("_named", "_paths", "_place", "_problems", "cgroup")

    version: int

    def __init__(
        self, cgroup: Cgroup, paths: dict[str, str], problems: Iterable[Problem] = ()
    ) -> None:
        self.cgroup = cgroup
        self._paths = paths
        self._problems = list(problems)
        # Of below(): the controllers whose groups were asked for by name; who asked.
        self._named: frozenset[str] = frozenset()
        self._place = PATH_PLACE

    # --- planning ---

    def problems(self) -> list[Problem]:
        """What cannot be done on this host, all of it; nothing may be planned then."""
        return self._problems

    def create_steps(self) -> list[Step]:
        """Make the groups and set their limits, before there are processes.  The runtime's.

        Raises CgroupError when there are problems().
        """
        raise NotImplementedError

    def attach_steps(self) -> list[Step]:
        """What the runtime does when there is the process, which waits; the groups are there then.

        Empty for those that are there before it is cloned.
        """
        return []

    def delegate_steps(self) -> list[Step]:
        """How the runtime moves the process to a group below, as its cgroup namespace is made."""
        return []

    def limit_steps(self, resources: Resources) -> list[Step]:
        """Change limits of existing groups, device access included; CgroupError for bad ones."""
        raise NotImplementedError

    def device_steps(self, resources: Resources) -> list[Step]:
        """Those of limit_steps that change the access to devices, whatever there is now."""
        raise NotImplementedError

    def entry_steps(self) -> tuple[list[Step], list[Step], list[Step]]:
        """How a process that is cloned for that enters the v1 groups by itself.

        Three lists: for the process that clones, before; for the one cloned,
        which must have no second thread, before it changes its user or
        unshares its cgroup namespace; for the one that clones, after.
        Empty with v2, where directory_steps do it.
        """
        return [], [], []

    def join_steps(self) -> list[Step]:
        """How the runtime puts the process context.pid into the groups.

        For where neither entry_steps nor cgroup_directory can be used: it can
        take 20 ms longer (see entry.py).
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
        return [steps.cgroup_open_directory(directory, optional, why=self._place)]

    def _is_required(self, controller: str) -> bool:
        """Whether the container may not start without the group of this controller."""
        raise NotImplementedError

    # --- for further processes ---

    def below(self, paths: dict[str, str]) -> Manager:
        """The manager of groups below these, to plan how a further process enters them.

        paths: controller -> path below the container's group.  That under "" is
            for the group of v2, or for all v1 groups.  Controllers that share a
            hierarchy with one that is named go along, the others stay.

        Raises CgroupError for a path that leads out and a controller that is not
        there; whether the groups are, is for the steps to find out.
        """
        moved: dict[str, str] = {}
        for name, path in paths.items():
            if name and name not in self._paths:
                raise CgroupError(f"unknown controller {name} in sub_cgroup_paths")
            parts = [part for part in path.split("/") if part not in ("", ".")]
            if ".." in parts or "\0" in path:
                # The words of runc since 1.3, and of those before it.
                text = f"bad sub cgroup path: {path} is not a sub cgroup path"
                raise CgroupError(f"{text} (it must stay below the container's control group)")
            for directory in [self._paths[name]] if name else self.directories():
                moved[directory] = "/".join([directory, *parts])
        found = self._with({name: moved.get(old, old) for name, old in self._paths.items()})
        found._named = frozenset(name for name, old in self._paths.items() if old in moved)
        found._place = "sub_cgroup_paths"
        return found

    def attached(self) -> Manager | None:
        """The manager for a further process that we have no right to move to the groups.

        None where nobody else moves it.
        """
        return None

    def around(self, pid: int) -> Manager:
        """The manager of the groups that a process of the container is in now.

        A container that manages groups of its own moves its processes to groups
        below; where it has enabled controllers for these, no process can be
        started in the upper one, and exec goes where the first process is.
        """
        from .layout import detect, parse_own

        layout = detect()
        hierarchies = {**layout.controllers, "": layout.unified}
        with open(procfs.path(pid, "cgroup"), encoding="utf-8", errors="surrogateescape") as file:
            own = parse_own(file.read())
        found = dict(self._paths)
        for name in found:
            hierarchy = hierarchies.get(name)
            if hierarchy is None or name not in own:
                continue
            hierarchy.own = own[name]
            if hierarchy.own_below is not None:
                found[name] = f"{hierarchy.mount}/{hierarchy.own_below}".rstrip("/")
        return self._with(found)

    def _with(self, paths: dict[str, str]) -> Manager:
        return type(self)(self.cgroup, paths)

    def paths(self) -> dict[str, str]:
        """The directory of each v1 controller; that of v2 is under ""."""
        return dict(self._paths)

    # --- live ---

    def directories(self) -> list[str]:
        """The directories of the groups, each once (v1 controllers may share one)."""
        return list(dict.fromkeys(self._paths.values()))

    def main_directory(self) -> str | None:
        """The group whose processes count as the container's; None if it has none."""
        raise NotImplementedError

    def exists(self) -> bool:
        """Whether there is any group of the container."""
        return any(is_directory(directory) for directory in self.directories())

    def pids(self) -> list[int]:
        """The processes in the group itself, by their numbers in our pid namespace."""
        directory = self.main_directory()
        try:
            # 0 is a process that this namespace does not see.
            return [pid for pid in files.pids(directory) if pid] if directory else []
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return []
            raise failure("list processes", error) from error

    def all_pids(self) -> list[int]:
        """The processes in the group and in those below it."""
        directory = self.main_directory()
        try:
            return [pid for pid in files.tree_pids(directory) if pid] if directory else []
        except OSError as error:
            raise failure("list processes", error) from error

    def populated(self) -> bool:
        """Whether there is a process in the group or below it."""
        return bool(self.all_pids())

    def frozen(self) -> bool:
        """Whether the group has been frozen (or is about to be)."""
        return freezer.frozen(self._paths)

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

        CgroupError if some live on for ten seconds.
        """
        killing.kill(self.directories())

    def oom_kill_count(self) -> int:
        """How many processes the kernel has killed for want of memory, as far as it counts."""
        raise NotImplementedError

    def set(
        self,
        resources: Resources,
        before: Resources | None = None,
        done: Callable[[], object] | None = None,
    ) -> None:
        """Change the limits of existing groups, and freeze or thaw them as resources says.

        before: the limits that there are.
        done: called when all is changed.

        If anything fails, done included, all is as before: what was written over is
        written back, and rules of devices are those of before.  What cannot be taken
        back is told in notes of the error.
        """
        from .perform import Change, perform

        change, was_frozen = Change(), bool(resources.freezer) and self.frozen()
        try:
            change.make(self.limit_steps(resources))
            if resources.freezer == "FROZEN":
                self.freeze()
            elif resources.freezer == "THAWED":
                self.thaw()
            if done is not None:
                done()
        except BaseException as error:
            failed = change.take_back()
            again: list[Callable[[], object]] = []
            if any("devices" in step.op for step in change.begun):
                again.append(lambda: perform(self.device_steps(_with_rules(before))))
            if resources.freezer:
                again.append(self.freeze if was_frozen else self.thaw)
            for act in again:
                try:
                    act()
                except CgroupError as problem:
                    failed.append(str(problem))
            for text in failed:
                note(error, text)
            raise


def _with_rules(before: Resources | None) -> Resources:
    """The limits that there were, with rules that say what access there was to devices."""
    from ..config.cgroup import Resources
    from ..config.device import DeviceRule

    if before is not None and before.skip_devices:
        return before.copy(skip_devices=False, devices=[DeviceRule()])
    return before or Resources()
