"""Containers: made, run, looked at, and removed (DESIGN.md 5).

Its state is on disk (state.py), what is allowed when is in lifecycle.py, what a
start does in starting.py and plan/container.py.  Those, and what else is not
needed to look at a container, are imported where they are used: a command
that asks for a state takes little longer than the interpreter itself.
"""

from __future__ import annotations

import _signal
import posix

from ..config.status import CREATED, CREATING, INIT_NAME, PAUSED, RUNNING, STOPPED
from ..errors import ContainerDamaged, ContainerNotRunning, Error
from ..loading.paths import exists
from . import rules as lifecycle
from .state import Directory, Lock, Record, default_root, name_of, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from ..bootstrap.client import Started
    from ..cgroups.layout import Layout
    from ..cgroups.manager import Manager
    from ..cgroups.statistics.records import Stats
    from ..config import Config
    from ..config.cgroup import Resources
    from ..plan.step import Plan
    from .events import Events
    from .process import Child, Process

_GO = b"0"  # what the first process of a created container waits for

# By the directory of a container: those of its processes that are children of
# this process and have not been waited for.
_unreaped: dict[str, list[Child]] = {}

EXIT_STATUS = "libct.exit-status"  # the annotation that state() has once it is known
_SPEC_VERSION = "1.3.0"


def load(root: str, id: str) -> Container:  # noqa: A002
    """The container of this id; ContainerNotFound when there is none."""
    directory = Directory(root or default_root(), id)
    return Container(directory, directory.read())


def list_containers(
    root: str = "", *, damaged: list[ContainerDamaged] | None = None
) -> list[Container]:
    """All containers under root whose state can be read, by id.

    damaged: gets what is wrong with the others.
    """
    root = root or default_root()
    try:
        names = sorted(posix.listdir(root))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Error(f"cannot list the containers in {root!r}: {error.strerror}") from error
    found = []
    for name in names:
        try:
            found.append(load(root, name))
        except ContainerDamaged as error:
            if damaged is not None:
                damaged.append(error)
        except Error:
            continue  # being made or removed just now, or no container's
    return found


class Container:
    """A container.  As a context manager it is removed at the end, by force.

    id, config, bundle: as created.  Every method may be called by any thread;
    those that change the container take its lock on disk.
    """

    def __init__(self, directory: Directory, record: Record) -> None:
        self._directory = directory
        self._record = record
        self._manager: Manager | None = None
        # What create() has found out: where the groups are to be, and those of the host.
        self._planned: tuple[Manager | None, Layout | None] = (None, None)
        # The channel of a start that somebody here may want to see the end of.
        self._started: Started | None = None
        # Whether the exit status is kept for a later state(): not by who removes the
        # container at the end of its process.
        self.keeps_status = True
        # With trace set, the steps performed by the latest start: (number, start
        # in ns since the epoch, ns, result); the numbers are those of plan.
        self.trace = False
        self.traces: list[tuple[int, int, int, str]] = []
        self.plan: Plan | None = None
        # What kept nothing from being done: what is ignored of a configuration or a
        # process, poststop hooks that failed, a bundle that hooks should have run in.
        self.warnings: list[str] = []

    def __repr__(self) -> str:
        return f"<Container {self.id!r} in {self._directory.root!r}>"

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def config(self) -> Config:
        return self._record.config

    @property
    def bundle(self) -> str:
        return self._record.bundle

    # --- looking ---

    def status(self) -> str:
        """ "creating", "created", "running", "paused" or "stopped"."""
        record = self._refresh()
        if record.status == CREATING:
            # Its maker holds the lock; one that is gone has made nothing.
            return CREATING if self._directory.locked() else STOPPED
        return self._live_status(record)

    def _live_status(self, record: Record) -> str:
        if len(self._children()) > 1:
            # A first process that ends waits for them to be waited for.
            reap([child for child in self._children() if child.on_exit is None])
        if record.status != CREATED or not _is_alive(record):
            return STOPPED
        if record.cgroup_paths:
            from ..cgroups.freezer import frozen

            if frozen(record.cgroup_paths):
                return PAUSED
        # Who releases the process may be killed before the fifo is removed.
        waits = exists(self._directory.fifo) and name_of(record.pid) == INIT_NAME
        return CREATED if waits else RUNNING

    def state(self) -> dict[str, Any]:
        """The state of the runtime-spec (runtime.md, State), with rootfs, created and owner."""
        status = self.status()
        record = self._record
        annotations = dict(record.annotations)
        if status == STOPPED and record.exit_status is not None:
            annotations[EXIT_STATUS] = str(record.exit_status)
        state: dict[str, Any] = {
            "ociVersion": record.version or _SPEC_VERSION,
            "id": record.id,
            "pid": 0 if status in (STOPPED, CREATING) else record.pid,
            "status": status,
            "bundle": record.bundle,
            "rootfs": record.rootfs,
            "created": record.created,
            "owner": _user_name(record.owner),
        }
        if annotations:
            state["annotations"] = annotations
        return state

    def processes(self) -> list[int]:
        """The processes in the container, by their numbers in the caller's pid namespace."""
        manager = self.manager
        if manager is not None and manager.exists():
            return sorted(manager.all_pids())
        record = self._refresh()
        if not _is_alive(record):
            return []
        if not record.own_pids:
            return [record.pid]  # nothing tells the container's processes from others
        return _in_pid_namespace_of(record.pid)

    def stats(self) -> Stats:
        """What the container has used (cgroups/statistics/records.py).

        Also after its end, until it is destroyed.
        Raises ContainerNotRunning when it has no control groups yet.
        """
        from ..cgroups.statistics import group

        self._refresh()
        manager = self._needed_manager("show the statistics of")
        if not manager.exists():
            raise ContainerNotRunning(
                f"cannot show the statistics of container {self.id!r}: container not running"
            )
        return group.stats(manager)

    def oom_events(self, *, optional: bool = False) -> Events:
        """Tells when the container runs out of memory (events.py); to be closed.

        cgroup v1 counts how often a process asked for memory and there was none,
        which may be several times for one that is killed; v2 counts the killed.
        optional: where there is no memory controller, tell of the end alone
            and raise no CgroupError.
        """
        from . import events

        return events.oom_events(self._watched(), self._open_init, optional=optional)

    def memory_pressure_events(self, level: str) -> Events:
        """Tells when memory gets scarce (events.py); to be closed.

        level: "low", memory is being reclaimed; "medium", also by swapping;
            "critical", the container is about to run out of memory.

        Raises CgroupError with cgroup v2, which has no such levels.
        """
        from . import events

        return events.memory_pressure_events(self._watched(), self._open_init, level)

    def _watched(self) -> Manager:
        self._refresh()
        lifecycle.require("watch", self.status(), self.id)
        return self._needed_manager("watch")

    @property
    def manager(self) -> Manager | None:
        """The manager of the container's control groups; None where it has none."""
        if self._manager is None and self._record.cgroup_paths and self.config.cgroups is not None:
            from ..cgroups import choose

            self._manager = choose.load(self.config.cgroups, self._record.cgroup_paths)
        return self._manager

    # --- running ---

    def run(self, process: Process) -> None:
        """Make a process and have it execute its command at once; see start().

        For the first one that is start() and exec() in one, without the wait
        between them.
        """
        self.start(process, hold=False)

    def start(self, process: Process, *, hold: bool = True, ignore_paused: bool = False) -> None:
        """Make a process: the first one waits to be released by exec(), others run.

        hold: False lets the first one run too.
        ignore_paused: a process may be made in a paused container, to run once
            it is resumed.

        Raises StepError naming the step that failed; the process is gone then,
        and what the start had made is undone.
        """
        from .starting import start

        start(self, process, hold=hold, ignore_paused=ignore_paused)

    def exec(self) -> None:
        """Release the first process to execute its command, and see that it does.

        Raises StepError when the command cannot be executed, or a hook fails;
        the container has stopped then.
        """
        with self._locked():  # of two who release it, one would wait for ever
            lifecycle.require("exec", self._live_status(self._refresh()), self.id)
            said = _release(self._directory.fifo)
            self._directory.remove_fifo()
            if said:
                self._see_end()
        if said == _GO:
            raise ContainerNotRunning(
                f"cannot start container {self.id!r}: container process is already dead"
            )
        started, self._started = self._started, None
        if said:
            from .starting import exec_failure

            raise exec_failure(self._record, started, said)
        if started is not None:
            before = len(started.traces)
            started.finish()
            self.traces += started.traces[before:]
        if "poststart" in self._record.hooks:
            from .hooks import run_poststart

            run_poststart(self)  # without the lock, for they may use the container

    def _children(self) -> list[Child]:
        """Those of the container's processes that this process has to wait for."""
        return _unreaped.get(self._directory.path, [])

    def _abandon(self) -> None:
        """Forget them: they have been waited for."""
        _unreaped.pop(self._directory.path, None)

    def _adopt(self, child: Child) -> None:
        _unreaped.setdefault(self._directory.path, []).append(child)

    # --- changing ---

    def signal(self, signal: int, *, all: bool = False) -> None:  # noqa: A002  # runc's word
        """Send a signal to the first process.

        all: to every process, also when the first has ended.  SIGKILL goes to
            all in any case where there is no pid namespace to end with the first.

        Raises ContainerNotRunning when there is none.
        """
        if all:
            self._signal_all(signal)
            return
        from ..syscalls import pidfds

        status = self.status()
        lifecycle.require("signal", status, self.id)
        # Without a pid namespace the others do not end with the first.
        ends_all = signal == _signal.SIGKILL and not self._record.own_pids
        manager = self.manager if signal == _signal.SIGKILL else None
        pidfd = self._open_init()
        try:
            if ends_all and manager is not None:
                manager.kill()
            # Also then: an ordinary user's container may be in no group of its own.
            pidfds.send(pidfd, signal)
        except ProcessLookupError:
            if ends_all:
                return
            raise ContainerNotRunning(
                f"cannot signal container {self.id!r}: os: process already finished"
            ) from None
        finally:
            posix.close(pidfd)
        if manager is not None and status == PAUSED:
            manager.thaw()  # on cgroup v1 a frozen process does not die

    def _signal_all(self, signal: int) -> None:
        self._refresh()
        manager = self.manager
        pids = self.processes()
        if not pids:
            lifecycle.require("signal", STOPPED, self.id)
        if signal == _signal.SIGKILL and manager is not None and manager.exists():
            manager.kill()
            return
        for pid in pids:
            try:
                posix.kill(pid, signal)
            except ProcessLookupError:
                continue

    def pause(self) -> None:
        """Freeze all processes of the container."""
        with self._locked():
            self._refresh()
            lifecycle.require("pause", self.status(), self.id)
            self._needed_manager("pause").freeze()

    def resume(self) -> None:
        """Thaw them."""
        with self._locked():
            self._refresh()
            lifecycle.require("resume", self.status(), self.id)
            self._needed_manager("resume").thaw()

    def set(self, config: Config) -> None:
        """Change the limits to those of config.cgroups.resources; on failure the old ones stay."""
        if config.cgroups is None:
            raise Error("the configuration has no cgroups to set")
        with self._locked():
            record = self._refresh()
            lifecycle.require("set", self.status(), self.id)
            manager = self._needed_manager("update")
            assert record.config.cgroups is not None
            before: Resources = record.config.cgroups.resources
            try:
                manager.set(config.cgroups.resources)
            except BaseException:
                manager.set(before)
                raise
            changed = record.config.copy()
            assert changed.cgroups is not None
            # Left out of a change, device rules are in force all the same.
            resources = config.cgroups.resources
            changed.cgroups.resources = resources.copy(skip_devices=before.skip_devices)
            record.config = changed
            self._directory.write(record)

    def destroy(self, *, force: bool = False) -> None:
        """Remove what is left of the container; with force, end it first.

        Its poststop hooks run then; those that fail are in warnings.

        Raises ContainerRunning when it lives.  A container that is only created
        is ended without force.
        """
        from .ending import destroy

        destroy(self, force=force)

    def _see_end(self) -> None:
        """Wait a moment for the end of the first process, which has closed its files already."""
        try:
            pidfd = self._open_init()
        except ContainerNotRunning:
            return
        wait_for(pidfd, 1000)
        posix.close(pidfd)

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.destroy(force=True)

    # --- helpers ---

    def _locked(self) -> Lock:
        return self._directory.lock()

    def _refresh(self) -> Record:
        """The record as it is on disk now, where another process may have changed it."""
        record = self._directory.read(self._record)
        if record.created != self._record.created:
            raise self._directory.not_found()  # removed, and the id is another container's
        self._record = record
        return record

    def _needed_manager(self, verb: str) -> Manager:
        manager = self.manager
        if manager is None:
            raise Error(f"cannot {verb} container {self.id!r}: it has no control group")
        return manager

    def _open_init(self) -> int:
        """A pidfd of the first process, checked to be of it and no later one of its number."""
        from ..syscalls import pidfds

        record = self._record
        try:
            pidfd = pidfds.open_process(record.pid)
        except ProcessLookupError:
            pidfd = -1
        if pidfd < 0 or not _is_alive(record):
            if pidfd >= 0:
                posix.close(pidfd)
            raise ContainerNotRunning(f"container {self.id!r}: container not running")
        return pidfd


def _is_alive(record: Record) -> bool:
    """Whether the first process is there, and not a later one of the same number."""
    return record.pid > 0 and start_time(record.pid) == record.start


def _release(path: str) -> bytes:
    """Write the byte that the first process waits for into its fifo; what is in there at the end.

    The end is when the process, which has it open for writing, executes its
    command or is gone.  Then there is nothing left, or why there was no
    execve; or the byte itself: it was gone before.
    """
    import select

    reader = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    try:
        writer = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
        posix.write(writer, _GO)
        posix.close(writer)
        poll = select.poll()
        poll.register(reader, 0)  # for POLLHUP alone, which always counts
        poll.poll()
        return posix.read(reader, 65536)
    finally:
        posix.close(reader)


def reap(children: list[Child]) -> None:
    if children:
        from .process import reap_ended

        reap_ended(children)


def wait_for(pidfd: int, milliseconds: int) -> bool:
    """Whether the process ends within that time."""
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _in_pid_namespace_of(pid: int) -> list[int]:
    """All processes in the pid namespace of pid, for a container without control groups."""
    wanted = posix.stat(f"/proc/{pid}/ns/pid").st_ino
    found = []
    for name in posix.listdir("/proc"):
        if name.isdigit():
            try:
                if posix.stat(f"/proc/{name}/ns/pid").st_ino == wanted:
                    found.append(int(name))
            except OSError:
                continue  # ended meanwhile, or not ours to look at
    return sorted(found)
