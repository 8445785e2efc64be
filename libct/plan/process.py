"""What every process of a container is given, the first one and further ones, up to execve."""

from __future__ import annotations

from . import capabilities, descriptors, execute, limits, namespaces as ns, users
from .step import INIT, STAGE, STDIO, Plan, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config import Config
    from ..life.host import Host
    from ..life.process import Process

DEFAULT_UMASK = 0o022


def process_steps(
    plan: Plan, config: Config, process: Process, host: Host, in_user: bool, who: str = INIT
) -> list[Step]:
    """What the command is given; returns what is left to the runtime.

    in_user: the process is in a user namespace of the container's.  Raising a
    hard limit needs rights outside of it, so the runtime sets the limits then;
    it may, for it owns the namespace.  Otherwise the process does, before it
    becomes another user, which would forbid it.
    who: STAGE where that prepares all of it for the process that it clones at the end.
    """
    rlimits = process.rlimits or config.rlimits
    late: list[Step] = limits.rlimit_steps(rlimits, own=False) if in_user else []
    scheduler = process.scheduler or config.scheduler
    cpus = config.cgroups.resources.cpuset_cpus if config.cgroups is not None else ""
    if who == STAGE and scheduler is not None:
        from .scheduling import is_inherited, scheduler_of_steps

        if not is_inherited(scheduler):
            late = [*scheduler_of_steps(scheduler, cpus), *late]
            scheduler = None
    privileges = process.no_new_privileges
    if privileges is None:
        privileges = config.no_new_privileges
    plan.add(who, "process", [descriptors.install_descriptors(len(process.extra_files))])
    plan.add(who, "process", [descriptors.reopen_null()])
    groups = tuple(process.additional_groups)
    plan.add(who, "process", [users.resolve_user(process.user, groups, why="process.user")])
    scheduling = (
        scheduler,
        process.io_priority or config.io_priority,
        config.memory_policy,
        config.personality,
    )
    if any(scheduling):
        from .scheduling import scheduling_steps

        plan.add(who, "process", scheduling_steps(*scheduling, cpus))
    own_limits = limits.rlimit_steps if who == INIT else limits.room_steps
    plan.add(who, "process", [] if in_user else own_limits(rlimits))
    if privileges:
        plan.add(who, "process", [capabilities.no_new_privileges(why="process.noNewPrivileges")])
    asked = process.capabilities or config.capabilities
    own = host.capabilities if asked is not None and not in_user else None
    granted = capabilities.capability_masks(asked, own)
    plan.add(who, "process", capabilities.bounding_steps(granted))
    plan.add(who, "process", [execute.change_directory(process.cwd, why="process.cwd")])
    plan.add(who, "process", [users.own_stdio(why="process.user")])
    plan.add(who, "process", [users.become_user(why="process.user")])
    plan.add(who, "process", [execute.verify_directory(process.cwd, why="process.cwd")])
    # What setresuid has taken away, given back as far as it is configured.
    plan.add(who, "process", capabilities.capability_steps(granted))
    umask = process.umask if process.umask is not None else config.umask
    umask = DEFAULT_UMASK if umask is None else umask
    plan.add(who, "process", [execute.set_umask(umask, why="process.user.umask")])
    search = ""
    for one in process.env:
        if one.startswith("PATH="):
            search = one[5:]
    plan.add(who, "process", [execute.find_command(process.args[0], search, why="process.args")])
    return late


def console_steps(process: Process, *, mounted: bool) -> list[Step]:
    """mounted: also on /dev/console."""
    from .console import make_console

    size = (process.console_height, process.console_width)
    return [make_console(*size, mounted, process.console_onlcr, why="process.terminal")]


def session_steps(config: Config, process: Process, in_user: bool) -> list[Step]:
    """What a process has to do itself: a stage could not do it for the one that it clones.

    Limits of processes or open files, say, might keep it from cloning.
    """
    rlimits = [] if in_user else process.rlimits or config.rlimits
    return [
        ns.new_session(),
        *control_steps(process),
        *death_signal_steps(config),
        *limits.rlimit_steps(rlimits),
    ]


def control_steps(process: Process) -> list[Step]:
    if not process.terminal:
        return []
    from .console import control_terminal

    return [control_terminal(why="process.terminal")]


def death_signal_steps(config: Config) -> list[Step]:
    """A change of ids resets it, and so does a clone: prctl(2), PR_SET_PDEATHSIG."""
    if not config.parent_death_signal:
        return []
    return [ns.set_death_signal(config.parent_death_signal)]


def seccomp_steps(config: Config) -> list[Step]:
    """The filter, by the process that becomes the command: a clone would be subject to it.

    no_new_privs is set by then; without it the filter would need CAP_SYS_ADMIN.
    """
    if config.seccomp is None:
        return []
    from .seccomp import filter_steps

    return filter_steps(config.seccomp)


def last_steps(
    process: Process, hooks: Sequence[Step] = (), *, hold: bool = False, shown: bool = False
) -> list[Step]:
    """The wait is prepared, and a directory left open would be a way out: also while it waits.

    hooks: those that this process is yet to run.  hold, shown: as of wait_steps().
    """
    prepared = [execute.prepare_wait(shown)] if hold and not hooks else []
    extra = len(process.extra_files)
    return [*prepared, descriptors.close_descriptors(len(STDIO) + extra, bool(hooks))]


def wait_steps(hooks: Sequence[Step], *, hold: bool, shown: bool) -> list[Step]:
    """hold: for a start.  shown: to the user who makes it, while it waits."""
    return [execute.await_start(shown and not hooks)] if hold else []


def execute_step(process: Process) -> Step:
    env = execute.last_of_each(process.env)
    return execute.execute(tuple(process.args), env, why="process.args")


def pidfd_steps(process: Process) -> list[Step]:
    """For who has asked to watch the process, before it can end by itself."""
    if process.pidfd_socket is None:
        return []
    # runc's words: of the first process, and of one that enters by setns(2).
    return [send_pidfd("standard" if process.init else "setns", why="pidfd_socket")]


@operation("bootstrap.created", "send a pidfd of the process to the pidfd socket")
def send_pidfd(name: str) -> list[str]:
    return ["pidfd_open()", f'sendmsg("{name}", SCM_RIGHTS)']
