"""Starts: of a container's first process, and of further ones in it.

The part of a container's life that needs planners and the bootstrap server; it is
loaded when something is started, and not to look at a container.
"""

from __future__ import annotations

import errno
import posix

from ..bootstrap import client
from ..bootstrap.context import Context
from ..bootstrap.servers import own_processes
from ..bootstrap.spawning import fill_standard_streams
from ..config.namespace import (
    CLONE_FLAGS,
    NEWCGROUP,
    NEWNET,
    NEWPID,
    NEWUSER,
    PROC_NAMES,
    SPEC_NAMES,
)
from ..config.rules_process import may_trace
from ..config.status import CREATED, CREATING, STOPPED
from ..errors import ContainerNotRunning, Error, StepError, note
from ..loading.clock import backoff
from ..plan.step import INIT, RUNTIME, STDIO
from ..syscalls import pidfds, procfs
from . import rules
from .checking import check_process, planned_manager, waits_for
from .host import host
from .killing import end_companions, stop
from .links import give_back_devices, remove_links, unique_name
from .mortal import own_container
from .proc import boot_id, marks_of
from .process import Child, Process, ProcessState, reap_ended
from .releasing import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.started import Started
    from ..cgroups.ledger import Ledger
    from ..cgroups.manager import Manager
    from ..resctrl.groups import Notes
    from .directory import Held
    from .holdings import Holdings
    from .process import HasFileno
    from .record import Record


_SHOWN_SECONDS = 0.5  # that a process takes at most from "created" to its wait
_LATE = (NEWNET, NEWCGROUP)


def start(holdings: Holdings, process: Process, *, hold: bool, ignore_paused: bool) -> None:
    """Container.start(), within deferred()."""
    procfs.require_own_children()
    fill_standard_streams()
    reap_ended(holdings.children())
    if process.init is None:  # the first process of a container is its first, said or not
        process.init = holdings.refresh().status == CREATING
    if process.init:
        _warn(holdings, check_process(holdings.record.config, process))
        held = hold or waits_for(holdings.hook_kinds())
        with holdings.directory.lock() as directory:
            _start_init(holdings, directory, process, hold=held)
        if held and not hold:
            _release(holdings)
    else:
        _start_further(holdings, process, ignore_paused=ignore_paused)


def end(holdings: Holdings, child: Child, *, init: bool) -> None:
    """End what start() has started, when the caller's signal handler has raised after that."""
    if init:
        stop(holdings)
        child.reap()
    else:
        child.end()


def _warn(holdings: Holdings, warnings: list[str]) -> None:
    """Add what create() has not said about the same process."""
    holdings.warnings += [text for text in warnings if text not in holdings.warnings]


def _start_init(holdings: Holdings, held: Held, process: Process, *, hold: bool) -> None:
    from ..plan.container import plan_start

    record = holdings.refresh()
    status = STOPPED if record.status == CREATING else holdings.live_status()
    rules.require("start", status, holdings.id)
    # What is about control groups, create() has found out a moment ago.
    (manager, layout), holdings.planned = holdings.planned, (None, None)
    facts = host(layout)
    manager = manager or planned_manager(record.config, holdings.id, facts)
    steps = plan_start(
        holdings.config(),
        process,
        facts,
        manager,
        holdings.id,
        hold=hold,
        bundle=record.bundle,
    )
    holdings.plan, holdings.traces = steps, []
    ops = [step.op for step in steps]
    context = Context()
    ledger = holdings.ledger(held) if manager is not None else None
    # What the process enters only after it has been cloned.
    spaces = record.config.namespaces
    late = [PROC_NAMES[one.type] for one in spaces if one.type in _LATE and not one.path]
    waits = steps.steps[ops.index("record_created")].process == RUNTIME

    # systemd makes the groups for a process that is there.
    attaches = "systemd_start_unit" in ops

    def note_groups() -> None:
        if manager is not None and ledger is not None:
            own = ledger.own()
            paths = manager.paths()
            record.cgroup_paths = {name: paths[name] for name in paths if paths[name] in own}
            _warn_of_strays(holdings)

    def cloned() -> None:
        # While the process works; "created" then takes a rename.
        record.pid = context.pid
        record.start, record.inode = marks_of(context.pid)
        record.boot = boot_id()
        record.messenger, record.reaper = [
            [pid, *marks_of(pid)] if pid else []
            for pid in (context.values.get(name, 0) for name in ("messenger", "reaper"))
        ]
        record.status, record.exit_status = CREATED, None
        found = namespaces_of(context.pid)
        record.namespaces = {name: found[name] for name in found if name not in late}
        record.process = process.defaults().to_dict()
        record.tracers = may_trace(process.capabilities)
        record.last_step = max(at for at, step in enumerate(steps, 1) if step.process == INIT)
        if not attaches:
            note_groups()
        held.prepare(record)

    def created() -> None:
        found = namespaces_of(context.pid) if waits and late else {}
        rules_of = context.values.get("found", {})
        if found:  # an ordinary user may look at it no longer
            record.namespaces = found
        if rules_of:
            record.landlock = rules_of
        if attaches:
            note_groups()
        if found or rules_of or attaches:
            held.prepare(record)
        held.publish()

    context.values["cloned"] = cloned
    context.values["created"] = created
    context.values["ledger"] = ledger
    context.values["own processes"] = own_processes
    context.values["unique"] = unique_name(record, holdings.directory.path)
    if record.config.intel_rdt is not None:
        from ..resctrl.groups import Notes

        context.values["resctrl"] = Notes(held)
    try:
        if holdings.hook_kinds():
            from .hooks import open_output

            context.values["hooks"] = holdings.hooks
            context.fds.update(open_output(record))
            context.values["directory"] = held
            context.values["warnings"] = holdings.warnings
        if hold:
            context.fds["fifo"] = held.make_fifo()
        _lend(context, process)
        if process.is_mortal:
            if not record.mortal:
                own_container(held, record, made=True)
                held.write(record)
            context.fds["runtime"] = pidfds.open_process(posix.getpid())
        # Who is in a pid namespace that it joins, and what he may do, is not known.
        joins = any(one.type == NEWPID and one.path for one in spaces)
        started = client.carry_out(
            steps,
            context,
            trace=holdings.trace,
            container=unique_name(record, holdings.directory.path),
            alone=joins and not _has_users(record),
        )
        holdings.pack_plan()  # while the process works
        if not hold:
            started.finish()
        holdings.warnings += started.warnings
    except BaseException as error:
        holdings.traces += getattr(error, "traces", ())
        _undo(held, ledger, error, context, record)
        raise
    finally:
        if ledger is not None:
            ledger.release()
        close_own(context)
    holdings.traces += started.traces
    started.close()  # who has created it listens no more: the answer goes to who starts it
    first = record.pid, record.start, record.inode
    child = _become(holdings, process, started)
    if holdings.keeps_status:
        child.on_exit = lambda state: record_exit(holdings, first, state)


def _warn_of_strays(holdings: Holdings) -> None:
    """Without both there is nothing to find all processes of the container by."""
    record = holdings.record
    spaces = record.config.namespaces
    if record.cgroup_paths or any(one.type == NEWPID and not one.path for one in spaces):
        return
    text = (
        "a container with no cgroup and no private pid namespace: what its first process starts"
        " cannot be found, and is not killed with it (give it a pid namespace, or delegate a"
        " control group to this user)"
    )
    _warn(holdings, [text])


def namespaces_of(pid: int) -> dict[str, list[int]]:
    """Device and inode number of each namespace of pid, by its name in /proc/PID/ns.

    None at all of one that has ended, or is not ours to look at.
    """
    found, directory = {}, procfs.path(pid, "ns")
    for name in PROC_NAMES.values():
        try:
            at = posix.stat(f"{directory}/{name}")
        except OSError:
            continue  # or a kernel without this kind
        found[name] = [at.st_dev, at.st_ino]
    return found


def _undo(
    held: Held, ledger: Ledger | None, error: BaseException, context: Context, record: Record
) -> None:
    """After a failed start: what it has written and the control groups that it has made go.

    What cannot be undone is told after the error itself.
    """
    failures = give_back_devices(context)
    classes: Notes | None = context.values.get("resctrl")
    for remove in (held.discard, held.remove_fifo):
        try:
            remove()
        except OSError as problem:
            failures.append(f"cannot remove files in {held.path!r}: {problem.strerror}")
    if ledger is not None:
        failures += ledger.undo()
    if classes is not None:
        failures += classes.remove()
    failures += remove_links(record, held.path)
    for failure in dict.fromkeys(failures):
        note(error, failure)


def _release(holdings: Holdings) -> None:
    try:
        release(holdings)
    except BaseException:
        stop(holdings)
        raise


def _start_further(holdings: Holdings, process: Process, *, ignore_paused: bool = False) -> None:
    from ..plan.further import plan_exec

    record = holdings.refresh()
    rules.require("enter paused" if ignore_paused else "enter", holdings.status(), holdings.id)
    _warn(holdings, check_process(holdings.record.config, process))
    context = Context()
    try:
        context.fds["target"] = holdings.open_init()
        joined = namespaces_to_join(holdings)
        _lend(context, process)
        tracers = _has_tracers(holdings, process)

        def carry_out(manager: Manager | None) -> Started:
            if manager is not None and not ignore_paused:
                _refuse_frozen(holdings, manager)
            steps = plan_exec(
                holdings.record.config,
                process,
                host(),
                manager,
                holdings.id,
                joined,
                record.pid,
                record.landlock,
                shares=not tracers and not ignore_paused,
                bare=not holdings.trace,
            )
            holdings.plan, holdings.traces = steps, []
            return client.carry_out(
                steps,
                context,
                trace=holdings.trace,
                container=unique_name(record, holdings.directory.path),
                alone=tracers and CLONE_FLAGS[NEWPID] in joined,
            )

        manager = _asked_groups(holdings, process)
        try:
            started = carry_out(manager)
        except StepError as error:
            other = _other_groups(holdings, process, manager, error)
            if other is None:
                raise
            started = carry_out(other)
        holdings.pack_plan()
        started.finish()
    except StepError as error:
        holdings.traces += error.traces
        raise
    finally:
        close_own(context)
    holdings.traces += started.traces
    holdings.warnings += started.warnings
    _become(holdings, process, started)


def _refuse_frozen(holdings: Holdings, manager: Manager) -> None:
    """Who enters would wait, perhaps for ever: the container is not paused, but its groups are."""
    from ..cgroups.freezer import frozen_above, stopping

    group = stopping(manager.paths())
    if group:
        above = frozen_above(group)
        why = f", with the control group {above!r} above it" if above else ""
        raise Error(
            f"cannot exec in container {holdings.id!r}: the control group {group!r} is frozen{why}"
            " (resume what is in that one first; use --ignore-paused to override)"
        )


def _has_tracers(holdings: Holdings, process: Process) -> bool:
    """Whether somebody inside may trace what enters; also this process what enters after it.

    What he would see is the memory that it has before it executes its command: its server's.
    """
    record = holdings.record
    if _has_users(record):
        return False  # the rights are over what is in that user namespace alone
    if record.tracers or may_trace(record.config.capabilities):
        return True
    if not may_trace(process.capabilities):
        return False
    if record.reaper:
        raise Error(
            f"container {holdings.id!r} has a reaper and no user namespace: a further process"
            " cannot have CAP_SYS_PTRACE there"
        )
    with holdings.directory.lock() as held:
        record = holdings.refresh()
        record.tracers = True
        held.write(record)
    return True


def _has_users(record: Record) -> bool:
    return any(space.type == NEWUSER for space in record.config.namespaces)


def _asked_groups(holdings: Holdings, process: Process) -> Manager | None:
    """The control groups that a further process is to be in."""
    manager = holdings.manager
    if not process.sub_cgroup_paths:
        made = holdings.record.cgroup_paths
        if made and (manager is None or manager.paths() != made):
            return _groups_of_first(holdings)  # some of its own are gone
        return manager
    if manager is None:
        what = f"cannot execute a process below the control group of container {holdings.id!r}"
        raise Error(f"{what}: {holdings.no_group()}")
    return manager.below(process.sub_cgroup_paths)


def _groups_of_first(holdings: Holdings) -> Manager:
    """The control groups that the first process has gone to."""
    from ..cgroups.choose import load

    record = holdings.record
    assert record.config.cgroups is not None
    return load(record.config.cgroups, record.cgroup_paths or {}).around(record.pid)


def _other_groups(
    holdings: Holdings, process: Process, manager: Manager | None, error: StepError
) -> Manager | None:
    """How else a further process gets into groups, where it could not; None if it does not."""
    if manager is not None and _enters(error) and error.errno in (errno.EACCES, errno.EPERM):
        return manager.attached()
    if not holdings.record.cgroup_paths or process.sub_cgroup_paths or not _group_is_closed(error):
        return None
    return _groups_of_first(holdings)


def _enters(error: StepError) -> bool:
    return error.op.startswith(("cgroup_open", "cgroup_join", "clone_"))


def _group_is_closed(error: StepError) -> bool:
    """Whether a process cannot be started in the container's own group, or that is gone.

    EBUSY says that the group has controllers enabled for groups below it, which
    is why v2 lets no process into it; the first process has gone below then.
    """
    return _enters(error) and error.errno in (errno.ENOENT, errno.ENODEV, errno.EBUSY)


def _become(holdings: Holdings, process: Process, started: Started) -> Child:
    """The process runs, or waits for its start; its pidfd is the Child's now."""
    process._child = child = Child(started.pid, started.pidfd)
    companions = [Child(*one) for one in started.companions.values() if one[1] >= 0]
    started.pidfd, started.companions = -1, {}
    for one in (*companions, child):
        holdings.adopt(one)
    if companions:
        child.on_end = lambda: end_companions(holdings, companions)
    return child


def namespaces_to_join(holdings: Holdings) -> dict[int, int]:
    """CLONE_NEW* of the namespaces that a further process has to join, and their inodes."""
    waiting = backoff(_SHOWN_SECONDS)
    try:
        while True:
            try:
                return _other_namespaces(holdings)
            except PermissionError:
                if not next(waiting):
                    raise
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        if holdings.record.alive:
            # It has not executed its command yet, and needs the interpreter until it does, which
            # it hides (bootstrap/waiting.py), or its filter did not let it show itself.
            raise Error(
                f"cannot enter container {holdings.id!r} as an ordinary user before it is started:"
                " it has startContainer hooks, its seccomp profile refuses prctl(2), its steps are"
                " timed, or Python's C library is musl"
            ) from None
        raise ContainerNotRunning(f"container {holdings.id!r}: container not running") from None


def record_exit(holdings: Holdings, first: tuple[int, int, int], state: ProcessState) -> None:
    """Keep the exit status for a later state(), if the container is still there."""
    try:
        with holdings.directory.lock() as held:
            record = holdings.refresh()
            if (record.pid, record.start, record.inode) == first:
                record.status, record.exit_status = STOPPED, state.status
                held.write(record)
    except Error:
        pass  # removed, or the disk is full: who waits has the status all the same


def _lend(context: Context, process: Process) -> None:
    """Put the process's descriptors into the context, by the names that the plan uses."""
    lent = context.values.setdefault("lent", set())
    given = dict(zip(STDIO, (process.stdin, process.stdout, process.stderr)))
    if process.terminal:
        if process.console_socket is None:
            raise Error(
                "a process with a terminal needs a console_socket to send it to"
                " (without one: terminal = False)"
            )
        given = {"console socket": process.console_socket}
    for number, name in enumerate(STDIO):
        if name in given and given[name] is None:
            given[name] = number
    given.update((f"extra {n}", file) for n, file in enumerate(process.extra_files))
    if process.notify is not None:
        context.values["notify"] = process.notify
    if process.pidfd_socket is not None:  # the runtime's alone: a value, and not passed on
        context.values["pidfd socket"] = _fileno(process.pidfd_socket)
    for name, file in given.items():
        if file is not None:
            context.fds[name] = _fileno(file)
            lent.add(name)


def _fileno(file: HasFileno | int) -> int:
    found = file if isinstance(file, int) else file.fileno()
    if found < 0:  # subprocess.PIPE and DEVNULL, say
        raise Error(f"not a descriptor for the process: {found}: open a file or a pipe for it")
    return found


def close_own(context: Context) -> None:
    """Close what the context holds, but for what it was lent."""
    lent = context.values.get("lent", ())
    for name, fd in context.fds.items():
        if name not in lent:
            posix.close(fd)
    context.fds.clear()
    context.values.clear()  # what is called back refers to the context


def _other_namespaces(holdings: Holdings) -> dict[int, int]:
    """Those of the container that this thread is not in.

    The first process may have gone on to others, which are not the container's: of whoever
    is its user, who would see what root executes in there.
    """
    known = holdings.record.namespaces
    directory = procfs.path(holdings.record.pid, "ns")
    found, left = {}, []
    for kind, name in PROC_NAMES.items():
        try:
            at = posix.stat(f"/proc/thread-self/ns/{name}")
        except FileNotFoundError:
            continue  # a kernel without this kind
        ours, at = at.st_ino, posix.stat(f"{directory}/{name}")
        wanted = known.get(name, [at.st_dev, at.st_ino])
        if wanted != [at.st_dev, at.st_ino]:
            left.append(name)
        if wanted[1] != ours:
            found[CLONE_FLAGS[kind]] = wanted[1]
    # Some are not known of a process that did not wait to be started.  Without rights over
    # the container it leaves those by a user namespace only.
    unknown = any(
        CLONE_FLAGS[kind] in found for kind, name in PROC_NAMES.items() if name not in known
    )
    for kind, name in PROC_NAMES.items():
        if name in left and (CLONE_FLAGS[kind] in found or unknown):
            raise Error(
                f"cannot enter container {holdings.id!r}: its first process has left the"
                f" container's {SPEC_NAMES[kind]} namespace"
            )
    return found
