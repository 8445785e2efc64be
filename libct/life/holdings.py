"""What a container has: one owner, below those who start it, look at it and end it.

Its directory and record on disk, those of its processes that are children of
this process, its own control groups, and what is left of its latest start.
"""

from __future__ import annotations

import posix

from ..config.status import CREATED, CREATING, INIT_NAME, PAUSED, RUNNING, STOPPED
from ..errors import ContainerNotRunning, Error
from ..loading.paths import exists
from ..syscalls import pidfds
from .proc import in_pid_namespace, name_of, pid_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.layout import Layout
    from ..cgroups.ledger import Ledger
    from ..cgroups.manager import Manager
    from ..config import Config
    from ..config.hooks import Hooks
    from ..plan.step import Plan
    from .directory import Directory, Held
    from .process import Child
    from .record import Record

# By the directory of a container: those of its processes that are children of
# this process and have not been waited for.
_unreaped: dict[str, list[Child]] = {}


class Holdings:
    """What one container has.

    planned: what create() has found out: the manager of the groups that are to be
        made, and the groups of the host.
    hooks: those of the configuration, if there are functions among them, which no record keeps.
    keeps_status, trace, traces, plan, warnings: as of Container.
    """

    __slots__ = (
        "_plan",
        "directory",
        "hooks",
        "keeps_status",
        "planned",
        "record",
        "trace",
        "traces",
        "warnings",
    )

    def __init__(self, directory: Directory, record: Record) -> None:
        self.directory, self.record = directory, record
        self.planned: tuple[Manager | None, Layout | None] = (None, None)
        self.hooks: Hooks | None = None
        self.keeps_status = True
        self.trace = False
        self.traces: list[tuple[int, int, int, str]] = []
        self._plan: Plan | bytes | None = None
        self.warnings: list[str] = []

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def plan(self) -> Plan | None:
        if isinstance(self._plan, bytes):
            from ..plan.step import Plan

            return Plan.unpacked(self._plan)
        return self._plan

    @plan.setter
    def plan(self, plan: Plan | None) -> None:
        self._plan = plan

    def pack_plan(self) -> None:
        """Keep it in a few KiB: few ask for it once it is performed, and thousands may be kept."""
        if self._plan is not None and not isinstance(self._plan, bytes):
            try:
                self._plan = self._plan.pack()
            except ValueError:
                pass  # a configuration of the caller's has more than plain values (signal.SIGKILL)

    # --- the record ---

    def refresh(self) -> Record:
        """The record as it is on disk now, where another process may have changed it."""
        record = self.directory.read(self.record)
        if record.created != self.record.created:
            raise self.directory.not_found()  # removed, and the id is another container's
        self.record = record
        return record

    def hook_kinds(self) -> list[str]:
        """The fields of Hooks that have any, functions or programs."""
        return self.hooks.kinds() if self.hooks is not None else self.record.hooks

    def config(self) -> Config:
        """The record's, with the functions among its hooks."""
        config = self.record.config
        return config if self.hooks is None else config.copy(hooks=self.hooks)

    def status(self) -> str:
        record = self.refresh()
        if record.status == CREATING:
            # Its maker holds the lock; one that is gone has made nothing.
            return CREATING if self.directory.locked() else STOPPED
        return self.live_status()

    def live_status(self) -> str:
        """The status of one that is not being created, by the record at hand."""
        record = self.record
        if len(self.children()) > 1:
            # A first process that ends waits for them to be waited for.
            self.reap_further()
        if record.status != CREATED or not record.alive:
            return STOPPED
        if record.cgroup_paths:
            from ..cgroups.freezer import frozen

            if frozen(record.cgroup_paths):
                return PAUSED
        # Who releases the process may be killed before the fifo is removed.
        waits = exists(self.directory.fifo) and name_of(record.pid) in (INIT_NAME, None)
        return CREATED if waits else RUNNING

    # --- processes ---

    def children(self) -> list[Child]:
        """Those of the container's processes that this process has to wait for."""
        return _unreaped.get(self.directory.path, [])

    def abandon(self) -> None:
        """Forget them: they have been waited for."""
        _unreaped.pop(self.directory.path, None)

    def adopt(self, child: Child) -> None:
        _unreaped.setdefault(self.directory.path, []).append(child)

    def open_init(self) -> int:
        """A pidfd of the first process, checked to be of it and no later one of its number."""
        pidfd = pidfds.find(self.record.pid) if self.record.pid > 0 else -1
        if pidfd >= 0:
            try:
                alive = self.record.alive
            except BaseException:
                posix.close(pidfd)
                raise
            if alive:
                return pidfd
            posix.close(pidfd)
        raise ContainerNotRunning(f"container {self.id!r}: container not running")

    def seen_processes(self) -> list[int]:
        """Those that can be told from others without control groups."""
        record = self.record
        try:
            # It keeps the pid namespace, too: meanwhile no other one has the inode number.
            pidfd = self.open_init()
        except ContainerNotRunning:
            return []
        try:
            if not record.own_pids:
                return [record.pid]
            namespace = record.namespaces.get("pid")
            if namespace is None:
                namespace = pid_namespace(record.pid)
                pidfds.send(pidfd, 0)  # that was not a later one of its number
            found = in_pid_namespace(namespace)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            found = []
        finally:
            posix.close(pidfd)
        # An ordinary user does not see it until it has executed its command: it is alone then.
        return found or ([record.pid] if record.alive else [])

    # --- control groups ---

    def ledger(self, held: Held | None = None, *, by_force: bool = False) -> Ledger:
        """Which control groups it has made; to be written to where its lock is held.

        by_force: none, where that cannot be read.
        """
        from ..cgroups.ledger import Ledger

        return Ledger(held or self.directory, by_force=by_force)

    @property
    def manager(self) -> Manager | None:
        """The manager of its own control groups; None where it has none (yet, or any more)."""
        paths = self.record.cgroup_paths
        if not paths or self.record.config.cgroups is None:
            return None
        own = self.ledger().own()
        paths = {name: path for name, path in paths.items() if path in own}
        if not paths:
            return None
        from ..cgroups.choose import load

        return load(self.record.config.cgroups, paths)

    def reap_further(self) -> None:
        """Wait for those that have ended but the first one, for which it takes the lock.

        Whoever calls this may hold it.
        """
        reap([child for child in self.children() if child.on_exit is None])

    def needed_manager(self, verb: str, phrase: str = "") -> Manager:
        """phrase: what runc says where there is none."""
        manager = self.manager
        if manager is None:
            start = f"cannot {verb} container {self.id!r}"
            paths, groups = self.record.cgroup_paths, self.record.config.cgroups
            # systemd removes the groups of a unit whose processes have ended.
            ended = bool(paths) and self.live_status() == STOPPED
            if ended or (paths is None and groups is not None):
                raise ContainerNotRunning(f"{start}: container not running")
            words = f"{phrase}: " if phrase else ""
            raise Error(f"{start}: {words}{self.no_group()}")
        return manager

    def no_group(self) -> str:
        """Why there is no manager, and what would help."""
        if self.record.config.cgroups is None:
            return "it has no control group (its configuration has no cgroups)"
        if self.record.cgroup_paths:
            return "it has no control group any more: it was removed, or another container has it"
        from ..cgroups.files import DELEGATE

        return (
            "it has no control group: its user could make none where it was started"
            f" (start it where one is delegated to this user: {DELEGATE})"
        )


def reap(children: list[Child]) -> None:
    """Wait for those that have ended, and take them out of the list."""
    if children:
        from .process import reap_ended

        reap_ended(children)
