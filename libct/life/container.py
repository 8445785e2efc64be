"""Containers: looked at, run, changed and removed.  What is done, the other modules of the room do.

What is on disk of them is in directory.py and record.py, what is allowed when in
rules.py.  What is not needed to look at a container is imported where it is
used: a command that asks for a state takes little longer than the interpreter
itself.
"""

from __future__ import annotations

import _signal
import posix

from ..config.status import CREATED, CREATING, STOPPED
from ..errors import ContainerDamaged, ContainerNotRunning, Error, note
from ..syscalls import procfs
from ..syscalls.interrupts import deferred
from ..syscalls.procfs import require_own_proc
from . import rules
from .directory import MARK, Directory, default_root
from .holdings import Holdings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..cgroups.manager import Manager
    from ..cgroups.statistics.records import NetworkInterface, Stats
    from ..checkpoint.progress import Progress
    from ..config import Config, ProcessDefaults
    from ..config.cgroup import Resources
    from ..config.mount import Mount
    from ..plan.step import Plan
    from ..resctrl.statistics import IntelRdtStats
    from .classes import ClassChange
    from .directory import Held
    from .events import Events
    from .process import Process
    from .record import Record
    from .state import State

_NAMED_SECONDS = 1.0  # that the name of a user is taken to stay
_named = -1, "", 0.0  # the latest: uid, name, until when
EXIT_STATUS = "libct.exit-status"  # the annotation that state() has once it is known
_SPEC_VERSION = "1.3.0"
_NO_FREEZER = "cannot toggle freezer: cgroups not configured for container"  # runc's words
# signal(7): those that do not end a process that leaves them alone.
_SPARING = (
    0,
    _signal.SIGCHLD,
    _signal.SIGCONT,
    _signal.SIGSTOP,
    _signal.SIGTSTP,
    _signal.SIGTTIN,
    _signal.SIGTTOU,
    _signal.SIGURG,
    _signal.SIGWINCH,
)


def load(root: str, id: str) -> Container:  # noqa: A002
    """The container of this id; ContainerNotFound when there is none."""
    directory = Directory(root or default_root(), id)
    return Container(Holdings(directory, directory.read()))


def list_containers(
    root: str = "", *, damaged: list[ContainerDamaged] | None = None
) -> list[Container]:
    """All containers under root whose state can be read, by id; none that its owner has left.

    damaged: gets what is wrong with the others.
    """
    found = []
    for name in container_ids(root):
        try:
            container = load(root, name)
            if not _is_left(container._has.record):
                found.append(container)
        except ContainerDamaged as error:
            if damaged is not None:
                damaged.append(error)
        except Error:
            continue  # being made or removed just now, or no container's
    return found


def _is_left(record: Record) -> bool:
    """Whether it was to end with its maker, who has ended: what there is of it is to go."""
    if not record.mortal:
        return False
    from .mortal import is_left

    return is_left(record)


def container_ids(root: str = "") -> list[str]:
    """What may be containers under root; load() tells which are."""
    root = root or default_root()
    require_own_proc()
    try:
        return sorted(name for name in posix.listdir(root) if not name.startswith(MARK))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Error(f"cannot list the containers in {root!r}: {error.strerror}") from error


class Container:
    """A container.  As a context manager it is removed at the end, by force.

    id, config, bundle: as created.  Every method may be called by any thread;
    those that change the container take its lock on disk.  Signal handlers of the
    program that raise do so where nothing is lost (syscalls/interrupts.py).

    keeps_status: whether the exit status is kept for a later state(): not by who
        removes the container at the end of its process.
    trace: set to True, traces are the steps performed by the latest start: (number,
        start in ns since the epoch, ns, result); the numbers are those of plan.
    warnings: what kept nothing from being done: what is ignored of a configuration or
        a process, poststop hooks that failed, a bundle that hooks should have run in.
    """

    __slots__ = ("_has",)

    def __init__(self, has: Holdings) -> None:
        self._has = has

    def __repr__(self) -> str:
        return f"<Container {self.id!r} in {self._has.directory.root!r}>"

    @property
    def id(self) -> str:
        return self._has.id

    @property
    def config(self) -> Config:
        return self._has.record.config

    @property
    def bundle(self) -> str:
        return self._has.record.bundle

    @property
    def defaults(self) -> ProcessDefaults | None:
        """What further processes of the command line have of the first one; None if unknown."""
        return self._has.record.defaults

    @property
    def keeps_status(self) -> bool:
        return self._has.keeps_status

    @keeps_status.setter
    def keeps_status(self, keeps: bool) -> None:
        self._has.keeps_status = keeps

    @property
    def trace(self) -> bool:
        return self._has.trace

    @trace.setter
    def trace(self, on: bool) -> None:
        self._has.trace = on

    @property
    def traces(self) -> list[tuple[int, int, int, str]]:
        return self._has.traces

    @property
    def plan(self) -> Plan | None:
        return self._has.plan

    @property
    def warnings(self) -> list[str]:
        return self._has.warnings

    # --- looking ---

    def status(self) -> str:
        """ "creating", "created", "running", "paused" or "stopped"."""
        return self._has.status()

    def state(self) -> dict[str, Any]:
        """The state of the runtime-spec (runtime.md, State), with rootfs, created and owner."""
        status = self.status()
        record = self._has.record
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

    def current_state(self) -> State:
        """What there is of it on this host, as libcontainer's State (life/state.py)."""
        from .state import current

        self._has.refresh()
        return current(self._has)

    def processes(self) -> list[int]:
        """The processes in the container, by their numbers in the caller's pid namespace.

        A reaper (Process) is none of them.
        """
        manager = self.manager
        if manager is not None and manager.exists():
            found = sorted(manager.all_pids())
        else:
            self._has.refresh()
            found = self._has.seen_processes()
        return [pid for pid in found if [pid] != self._has.record.reaper[:1]]

    def stats(self) -> Stats:
        """What the container has used (cgroups/statistics/records.py).

        Also after its end, until it is destroyed.
        Raises ContainerNotRunning when it has no control groups yet.
        """
        from ..cgroups.statistics import group

        self._has.refresh()
        manager = self._has.needed_manager("show the statistics of")
        if not manager.exists():
            raise ContainerNotRunning(
                f"cannot show the statistics of container {self.id!r}: container not running"
            )
        found = group.stats(manager)
        if self._has.record.config.intel_rdt is not None:
            found.intel_rdt_stats = self._rdt_stats()
        found.interfaces = self._interfaces()
        return found

    def _interfaces(self) -> list[NetworkInterface]:
        """Those of a network namespace that is not ours; none of a container that has ended."""
        from ..cgroups.statistics.network import interfaces

        record = self._has.record
        if not record.alive:
            return []
        try:
            ours = posix.stat("/proc/thread-self/ns/net")
            theirs = posix.stat(procfs.path(record.pid, "ns/net"))
            if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
                return []
            with open(procfs.path(record.pid, "net/dev"), encoding="utf-8") as file:
                return interfaces(file.read())
        except OSError:
            return []  # it ends just now, or is not ours to look at

    def _rdt_stats(self) -> IntelRdtStats | None:
        from ..plan.resctrl import resctrl_directories
        from ..resctrl.statistics import statistics
        from .host import host

        rdt, mount = self._has.record.config.intel_rdt, host().resctrl
        if rdt is None or not mount:
            return None
        return statistics(mount, *resctrl_directories(rdt, self.id, mount))

    def oom_events(self, *, optional: bool = False) -> Events:
        """Tells when the container runs out of memory (events.py); to be closed.

        cgroup v1 counts how often a process asked for memory and there was none,
        which may be several times for one that is killed; v2 counts the killed,
        and a group that is killed as a whole (memory.oom.group) once.
        optional: where there is no memory controller, tell of the end alone
            and raise no CgroupError.
        """
        from . import watching

        return watching.oom_events(self._watched(), self._has.open_init, optional=optional)

    def memory_pressure_events(self, level: str) -> Events:
        """Tells when memory gets scarce (events.py); to be closed.

        level, with cgroup v1: "low", memory is being reclaimed; "medium", also by
            swapping; "critical", the container is about to run out of memory.
        level, with cgroup v2: "low", some process has waited for memory for 150 ms
            of 2 s; "medium", for 500 ms; "critical", all have at the same time, for 500 ms.
            An event is told at most once in 2 s.

        Raises CgroupError where memory is not watched: with v1 without the memory
        controller, with v2 where the kernel measures no pressure.
        """
        from . import watching

        return watching.memory_pressure_events(self._watched(), self._has.open_init, level)

    def _watched(self) -> Manager:
        self._has.refresh()
        rules.require("watch", self.status(), self.id)
        return self._has.needed_manager("watch")

    @property
    def manager(self) -> Manager | None:
        """The manager of the container's own control groups; None where it has none."""
        return self._has.manager

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
        if process._child is not None:
            raise Error("a Process can be started once")
        if process.executor is None:
            self._start(process, hold=hold, ignore_paused=ignore_paused)
            return
        from .calling import Executing

        with Executing(process):
            self._start(process, hold=hold, ignore_paused=ignore_paused)

    def _start(self, process: Process, *, hold: bool, ignore_paused: bool) -> None:
        try:
            with deferred():
                from .starting import start

                start(self._has, process, hold=hold, ignore_paused=ignore_paused)
        except BaseException:
            # It has failed and is undone; or a signal has come that is to keep it from going on.
            if process._child is not None:
                with deferred():
                    from .starting import end

                    end(self._has, process._child, init=bool(process.init))
            raise

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        python: str = "python3",
        timeout: float | None = None,
        max_result: int | str = 4 << 20,
    ) -> Any:
        """Call a function of Python in a further process of the container; returns its result.

        function: one that the interpreter there finds by the names of its module and its own;
            no lambda, and none that is defined in a function.
        args: what pickle can send.  The result is None, bool, int, float, str, bytes, or a
            list, tuple or dict of these.
        python: the interpreter, looked up in PATH.
        timeout: seconds; then it is killed.
        max_result: bytes, or a text like "1M".

        Raises CallError for what was raised inside, TimeoutError, ConfigError for a function or
        an argument that cannot be sent.
        """
        from .calling import Call
        from .process import Process

        with Call(function, args, {}, python, timeout=timeout, largest=max_result) as call:
            defaults = self.defaults
            process = Process(
                call.args,
                env=defaults.env if defaults is not None else (),
                cwd=defaults.cwd if defaults is not None else "/",
                user=defaults.user if defaults is not None else "",
                extra_files=call.extra_files,
                init=False,
            )
            self.start(process)
            return call.result(process, lambda: process.signal(_signal.SIGKILL))

    def exec(self) -> None:
        """Release the first process to execute its command, and see that it does.

        Raises StepError when the command cannot be executed, or a hook fails;
        the container has stopped then.
        """
        with deferred():
            from .releasing import release

            release(self._has)

    # --- changing ---

    def signal(self, signal: int, *, all: bool = False) -> None:  # noqa: A002  # runc's word
        """Send a signal to the first process.

        all: to every process, also when the first has ended.  SIGKILL goes to
            all in any case where there is no pid namespace to end with the first.

        Raises ContainerNotRunning when there is none.
        """
        with deferred():
            if all:
                self._signal_all(signal)
            elif signal == _signal.SIGKILL:
                self._kill()
            elif not self._end_created(signal):
                self._signal_init(signal)

    def _signal_init(self, signal: int) -> None:
        from ..syscalls import pidfds

        rules.require("signal", self.status(), self.id)
        pidfd = self._has.open_init()
        try:
            pidfds.send(pidfd, signal)
        except ProcessLookupError:
            raise ContainerNotRunning(
                f"cannot signal container {self.id!r}: os: process already finished"
            ) from None
        finally:
            posix.close(pidfd)

    def _kill(self) -> None:
        status = self.status()
        # Without a pid namespace the others do not end with the first.
        manager = None if self._has.record.own_pids else self._has.manager
        if manager is not None and (status != STOPPED or manager.all_pids()):
            self._has.ledger().kill()
            if status == STOPPED:
                return
        try:
            # Also then: an ordinary user's container may be in no group of its own.
            self._signal_init(_signal.SIGKILL)
        except ContainerNotRunning:
            if manager is None or status == STOPPED:
                raise
        from .killing import thaw

        thaw(self._has)  # on cgroup v1 a frozen process does not die

    def _end_created(self, signal: int) -> bool:
        """Whether a signal has ended a container that waits for its start.

        Process 1 of a pid namespace is spared by the kernel what it does not handle.
        What waits for the start handles nothing, but is to end like any other process.
        """
        if signal in _SPARING or not self._has.record.own_pids:
            return False
        held = self._has.directory.try_lock()
        if held is None:
            return False  # somebody starts it just now
        with held:
            if self.status() != CREATED:
                return False
            self._signal_init(_signal.SIGKILL)
        return True

    def _signal_all(self, signal: int) -> None:
        self._has.refresh()
        manager = self.manager
        pids = self.processes()
        if not pids:
            rules.require("signal", STOPPED, self.id)
        if signal == _signal.SIGKILL and manager is not None and manager.exists():
            self._has.ledger().kill()
            return
        for pid in pids:
            try:
                posix.kill(pid, signal)
            except ProcessLookupError:
                continue

    def pause(self) -> None:
        """Freeze all processes of the container."""
        with deferred(), self._locked("pause"):
            self._has.needed_manager("pause", _NO_FREEZER).freeze()

    def resume(self) -> None:
        """Thaw them."""
        with deferred(), self._locked("resume"):
            self._has.needed_manager("resume").thaw()

    def add_mount(self, mount: Mount) -> None:
        """Mount something in the container that runs, or waits for its start.

        A source is opened as the caller sees the host; the destination is looked up in the
        container.  It is there until remove_mount(), or the end of the container.

        Raises ConfigError for a mount that cannot be made so (proc, sysfs, control groups,
        a remount), StepError.
        """
        with deferred(), self._locked("mount") as held:
            from .mounting import add

            add(self._has, held, mount)

    def remove_mount(self, destination: str) -> None:
        """Remove what add_mount() has mounted there last.  What is open in there stays usable.

        Raises StepError where the container has moved, unmounted or covered it.
        """
        with deferred(), self._locked("mount") as held:
            from .mounting import remove

            remove(self._has, held, destination)

    def checkpoint(self, images: str, *, progress: Progress | None = None, **options: Any) -> None:
        """Have CRIU write the processes to files, from which libct.restore() makes them again.

        images, options: CheckpointOptions (checkpoint/options.py).  Without leave_running or
            pre_dump the container has stopped then, and can be destroyed.
        progress: called with a line about how far it is, about every second that it takes
            longer than two.

        Raises Unsupported without CRIU or where it or the kernel cannot do it, and Error with
        what CRIU's log says; the container runs on then.
        """
        from ..checkpoint.options import CheckpointOptions
        from .checkpointing import checkpoint

        with deferred():
            checkpoint(self._has, CheckpointOptions(images, **options), progress)

    def set(self, config: Config) -> None:
        """Change the limits to those of config.cgroups.resources, all of them or none.

        And the schemata to those of config.intel_rdt, where it has others than there are; a
        container that is in no class of its own gets one then.  Where something is refused,
        what was written is written back.
        """
        if getattr(config, "cgroups", None) is None:
            raise Error("the configuration has no cgroups to set")
        assert config.cgroups is not None
        from .checking import check_limits

        check_limits(config.cgroups.resources)
        with deferred(), self._locked("set") as held:
            record = self._has.record
            manager = self._has.needed_manager("update", _no_group(config.cgroups.resources))
            assert record.config.cgroups is not None
            before: Resources = record.config.cgroups.resources
            changed = record.config.copy()
            assert changed.cgroups is not None
            # Left out of a change, device rules are in force all the same; to freeze or
            # thaw is done once.
            resources = config.cgroups.resources
            changed.cgroups.resources = resources.copy(
                skip_devices=before.skip_devices and resources.skip_devices,
                devices=before.devices if resources.skip_devices else resources.devices,
                freezer="",
            )
            classes = self._class_change(held, config)
            if classes is not None:
                changed.intel_rdt = config.intel_rdt

            def keep() -> None:
                old, record.config = record.config, changed
                try:
                    if classes is not None:
                        classes.make()
                    held.write(record)
                except BaseException as error:
                    if classes is not None:
                        classes.take_back(error)
                    record.config = old
                    raise

            manager.set(config.cgroups.resources, before, keep)

    def _class_change(self, held: Held, config: Config) -> ClassChange | None:
        """What is to be done about resctrl; None for nothing."""
        if config.intel_rdt in (None, self._has.record.config.intel_rdt):
            return None
        assert config.intel_rdt is not None
        from .classes import ClassChange

        return ClassChange(self._has, held, config.intel_rdt, self.processes)

    def _locked(self, operation: str) -> Held:
        """The container's lock, in a status in which the operation is allowed."""
        if self.status() == CREATING:
            rules.require(operation, CREATING, self.id)  # and do not wait for the end of that
        held = self._has.directory.lock()
        try:
            rules.require(operation, self.status(), self.id)
        except BaseException:
            held.release()
            raise
        return held

    def destroy(self, *, force: bool = False) -> None:
        """Remove what is left of the container; with force, end it first.

        Its poststop hooks run then; those that fail are in warnings.

        Raises ContainerRunning when it lives.  A container that is only created
        is ended without force.
        """
        with deferred():
            from .ending import destroy

            destroy(self._has, force=force)

    def __enter__(self) -> Container:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        begun: list[bool] = []
        try:
            self._leave(error, begun)
        except BaseException:
            if not begun:  # a handler has raised before it was deferred, and nobody calls us again
                self._leave(error, begun)
            raise

    def _leave(self, error: BaseException | None, begun: list[bool]) -> None:
        with deferred():
            begun.append(True)
            try:
                self.destroy(force=True)
            except Error as failure:
                if error is None:
                    raise
                note(error, str(failure))


def _no_group(resources: Resources) -> str:
    """What runc says of these limits where a container has no group; of the first of them."""
    from ..bootstrap.phrases import no_group_for
    from ..cgroups.limits import v1, v2
    from ..cgroups.limits.setting import asked

    controllers = [*asked(v2.settings(resources)), *asked(v1.settings(resources))]
    return no_group_for(controllers[0]) if controllers else ""


def _user_name(uid: int) -> str:
    """Asked once for a list of containers: it may be a directory service that answers."""
    global _named
    import pwd
    import time

    known, now = _named, time.monotonic()
    if known[0] == uid and now < known[2]:
        return known[1]
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    _named = uid, name, now + _NAMED_SECONDS
    return name
