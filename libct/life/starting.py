"""Making containers: create, plan, and the starts of processes in them.

The part of container.py that needs a configuration as a whole, planners and the
bootstrap server; it is loaded when a container is made or started, and not to
look at one.
"""

from __future__ import annotations

import errno
import marshal
import posix

from ..bootstrap import client
from ..bootstrap.context import Context
from ..bootstrap.failure import Failure
from ..bootstrap.servers import fill_standard_streams
from ..config.namespace import CLONE_FLAGS, PROC_NAMES
from ..config.status import CREATED, CREATING, STOPPED
from ..errors import ConfigError, ContainerNotRunning, Error, Finding, StepError
from ..plan.step import INIT, STDIO
from . import rules as lifecycle
from .container import Container
from .host import host
from .process import Child, Process, ProcessState, reap_ended
from .state import Directory, Record, check_id, default_root, start_time
from .unsupported import refuse_unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.manager import Manager
    from ..config import Config
    from ..plan.step import Plan
    from .host import Host
    from .process import HasFileno


def create(
    root: str,
    id: str,  # noqa: A002  # the runtime-spec's word
    config: Config,
    *,
    bundle: str = "",
    process: Process | None = None,
) -> Container:
    """Register a container under root; nothing is started yet.

    root: the directory of states; "" is default_root().
    bundle: the directory of its config.json, for state().
    process: the one to be started in it, if there is one already to be checked.

    Raises ConfigError with every finding, InvalidID, ContainerExists.
    """
    directory = Directory(root or default_root(), id)
    warnings = check(config, process)
    directory.make()
    record = Record(id, config, bundle)
    container = Container(directory, record)
    container.warnings += warnings
    try:
        facts = host()
        manager = _manager(config, id, facts)
        if manager is not None:
            _refuse_problems(manager)
            record.cgroup_paths = manager.paths()
            container._planned = manager, facts.layout
        directory.write(record)
    except BaseException:
        directory.remove()
        raise
    return container


def plan(
    config: Config,
    process: Process | None = None,
    *,
    id: str = "container",  # noqa: A002
) -> Plan:
    """What a start would do, step by step; nothing is done.

    Without a process the plan is for one that runs /bin/sh as root.
    """
    from ..plan.container import plan_start

    process = process or Process(["/bin/sh"], init=True)
    check_id(id)
    check(config, process)
    facts = host()
    manager = _manager(config, id, facts)
    if manager is not None:
        _refuse_problems(manager)
    return plan_start(config, process, facts, manager, id)


def check(config: Config, process: Process | None = None) -> list[str]:
    """Raise ConfigError with every finding about config, and process where given.

    Returns the warnings: what is ignored, or is not what it seems.
    """
    from ..config.validate import facts_of_host, validate, validate_process

    findings = validate(config, facts_of_host())
    if process is not None:
        findings += validate_process(process, config)
    warnings = _raise_for(findings)
    refuse_unsupported(config, process)
    return warnings


def check_process(config: Config, process: Process) -> list[str]:
    """The same about a process of the container of config."""
    from ..config.rules_process import validate_process

    warnings = _raise_for(validate_process(process, config))
    refuse_unsupported(config, process)
    return warnings


def _raise_for(findings: list[Finding]) -> list[str]:
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise ConfigError(errors)
    return [str(finding) for finding in findings]


def _manager(config: Config, container_id: str, facts: Host) -> Manager | None:
    if config.cgroups is None:
        return None
    from ..cgroups import choose

    return choose.new(config.cgroups, container_id, facts.layout)


def _refuse_problems(manager: Manager) -> None:
    problems = manager.problems()
    if problems:
        raise ConfigError([Finding(*problem) for problem in problems])


def start(container: Container, process: Process, *, hold: bool, ignore_paused: bool) -> None:
    """Container.start()."""
    if process._child is not None:
        raise Error("a Process can be started once")
    fill_standard_streams()
    reap_ended(container._children())
    if process.init:
        _warn(container, check_process(container.config, process))
        # With something to be done between the start and the command, or after that.
        held = hold or not {"start_container", "poststart"}.isdisjoint(container._record.hooks)
        with container._locked():
            _start_init(container, process, hold=held)
        if held and not hold:
            _release(container)
    else:
        _start_further(container, process, ignore_paused=ignore_paused)


def _warn(container: Container, warnings: list[str]) -> None:
    """Add what create() has not said about the same process."""
    container.warnings += [text for text in warnings if text not in container.warnings]


def _start_init(container: Container, process: Process, *, hold: bool) -> None:
    from ..plan.container import plan_start

    record = container._refresh()
    status = STOPPED if record.status == CREATING else container._live_status(record)
    lifecycle.require("start", status, container.id)
    # What is about control groups, create() has found out a moment ago.
    (manager, layout), container._planned = container._planned, (None, None)
    facts = host(layout)
    manager = manager or _manager(container.config, container.id, facts)
    steps = plan_start(
        container.config,
        process,
        facts,
        manager,
        container.id,
        hold=hold,
        bundle=record.bundle,
    )
    container.plan, container.traces = steps, []
    context = Context()

    def cloned() -> None:
        # While the process works; "created" then takes a rename.
        record.pid, record.start = context.pid, start_time(context.pid)
        record.status, record.exit_status = CREATED, None
        record.last_step = max(
            number for number, step in enumerate(steps, 1) if step.process == INIT
        )
        container._directory.prepare(record)

    context.values["cloned"] = cloned
    context.values["created"] = container._directory.publish
    try:
        if record.hooks:
            from .hooks import open_output

            context.fds.update(open_output(record))
            context.values["directory"] = container._directory
            context.values["warnings"] = container.warnings
        if hold:
            context.fds["fifo"] = container._directory.make_fifo()
        _lend(context, process)
        started = client.carry_out(steps, context, trace=container.trace)
        if not hold:
            started.finish()
    except BaseException as error:
        container.traces += getattr(error, "traces", ())
        _undo(container, context)
        raise
    finally:
        _close_own(context)
    container.traces += started.traces
    container._started = started if hold else None
    container._manager = manager
    pid, start = record.pid, record.start
    child = _become(container, process, started)
    if container.keeps_status:
        child.on_exit = lambda state: _record_exit(container, pid, start, state)


def _release(container: Container) -> None:
    try:
        container.exec()
    except BaseException:
        from .ending import stop

        stop(container)
        raise


def _start_further(container: Container, process: Process, *, ignore_paused: bool = False) -> None:
    from ..plan.further import plan_exec

    record = container._refresh()
    lifecycle.require(
        "enter paused" if ignore_paused else "enter", container.status(), container.id
    )
    _warn(container, check_process(container.config, process))
    context = Context()
    try:
        context.fds["target"] = container._open_init()
        flags = _namespaces(container)
        _lend(context, process)

        def carry_out(manager: Manager | None) -> client.Started:
            steps = plan_exec(
                container.config, process, host(), manager, container.id, flags, record.pid
            )
            container.plan, container.traces = steps, []
            return client.carry_out(steps, context, trace=container.trace)

        manager = container.manager
        try:
            started = carry_out(_asked_groups(container, process))
        except StepError as error:
            if manager is None or process.sub_cgroup_paths or not _group_is_closed(error):
                raise
            started = carry_out(manager.around(record.pid))
        started.finish()
    except StepError as error:
        container.traces += error.traces
        raise
    finally:
        _close_own(context)
    container.traces += started.traces
    _become(container, process, started)


def _asked_groups(container: Container, process: Process) -> Manager | None:
    """The control groups that a further process is to be in."""
    manager = container.manager
    if not process.sub_cgroup_paths:
        return manager
    if manager is None:
        raise Error(f"container {container.id!r} has no control group for one to be below")
    return manager.below(process.sub_cgroup_paths)


def _group_is_closed(error: StepError) -> bool:
    """Whether a process cannot be started in the container's own group, or that is gone.

    EBUSY says that the group has controllers enabled for groups below it, which
    is why v2 lets no process into it; the first process has gone below then.
    """
    enters = error.op.startswith(("cgroup_open", "clone_"))
    return enters and error.errno in (errno.ENOENT, errno.ENODEV, errno.EBUSY)


def _become(container: Container, process: Process, started: client.Started) -> Child:
    """The process runs; its pidfd is the Child's now."""
    process._child = child = Child(started.pid, started.pidfd)
    started.pidfd = -1
    container._adopt(child)
    return child


def exec_failure(record: Record, started: client.Started | None, said: bytes) -> StepError:
    """Why a process that has been released did not become its command, as it has said."""
    failure = Failure(*marshal.loads(said))
    if started is not None:
        started.close()
        return client.step_error(started.plan, failure, [])
    from .hooks import rest_of_plan

    return client.step_error(rest_of_plan(record), failure, [])


def _namespaces(container: Container) -> int:
    """CLONE_NEW* of the namespaces that a further process has to join."""
    try:
        return _other_namespaces(container._record.pid)
    except PermissionError:
        # It has not executed its command yet, and hides what it has open.
        raise Error(
            f"cannot enter container {container.id!r} as an ordinary user before it is started"
        ) from None
    except (FileNotFoundError, ProcessLookupError):
        raise ContainerNotRunning(f"container {container.id!r}: container not running") from None


def _record_exit(container: Container, pid: int, start: int, state: ProcessState) -> None:
    """Keep the exit status for a later state(), if the container is still there."""
    try:
        with container._locked():
            record = container._refresh()
            if (record.pid, record.start) == (pid, start):
                record.status, record.exit_status = STOPPED, state.status
                container._directory.write(record)
    except Error:
        pass  # removed, or the disk is full: who waits has the status all the same


def _undo(container: Container, context: Context) -> None:
    """After a failed start: the fifo and the control groups that it has made go."""
    container._directory.remove_fifo()
    if container.config.cgroups is not None:
        from ..cgroups import steps

        steps.remove_made(context)


def _lend(context: Context, process: Process) -> None:
    """Put the process's descriptors into the context, by the names that the plan uses."""
    lent = context.values.setdefault("lent", set())
    given = dict(zip(STDIO, (process.stdin, process.stdout, process.stderr)))
    if process.terminal:
        if process.console_socket is None:
            raise Error("a process with a terminal needs a console_socket to send it to")
        given = {"console socket": process.console_socket}
    for number, name in enumerate(STDIO):
        if name in given and given[name] is None:
            given[name] = number
    given.update((f"extra {n}", file) for n, file in enumerate(process.extra_files))
    if process.pidfd_socket is not None:  # the runtime's alone: a value, and not passed on
        context.values["pidfd socket"] = _fileno(process.pidfd_socket)
    for name, file in given.items():
        if file is not None:
            context.fds[name] = _fileno(file)
            lent.add(name)


def _fileno(file: HasFileno | int) -> int:
    return file if isinstance(file, int) else file.fileno()


def _close_own(context: Context) -> None:
    """Close what the context holds, but for what it was lent."""
    lent = context.values.get("lent", ())
    for name, fd in context.fds.items():
        if name not in lent:
            posix.close(fd)
    context.fds.clear()
    context.values.clear()  # what is called back refers to the context


def _other_namespaces(pid: int) -> int:
    """CLONE_NEW* of the namespaces that pid is in and this thread is not."""
    flags = 0
    for kind, name in PROC_NAMES.items():
        try:
            ours = posix.stat(f"/proc/thread-self/ns/{name}").st_ino
        except FileNotFoundError:
            continue  # a kernel without this kind
        if posix.stat(f"/proc/{pid}/ns/{name}").st_ino != ours:
            flags |= CLONE_FLAGS[kind]
    return flags
