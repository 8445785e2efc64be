"""What every process of a container is given, the first one and further ones, up to execve."""

from __future__ import annotations

from . import capabilities, descriptors, execute, limits, namespaces as ns, users
from .step import INIT, STDIO, Plan, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config import Config
    from ..life.host import Host
    from ..life.process import Process

DEFAULT_UMASK = 0o022


def process_steps(
    plan: Plan, config: Config, process: Process, host: Host, in_user: bool
) -> list[Step]:
    """What the command is given; returns the rlimits that are left to the runtime.

    in_user: the process is in a user namespace of the container's.  Raising a
    hard limit needs rights outside of it, so the runtime sets the limits then;
    it may, for it owns the namespace.  Otherwise the process does, before it
    becomes another user, which would forbid it.
    """
    rlimits = process.rlimits or config.rlimits
    privileges = process.no_new_privileges
    if privileges is None:
        privileges = config.no_new_privileges
    plan.add(INIT, "process", [descriptors.install_descriptors(len(process.extra_files))])
    plan.add(INIT, "process", [descriptors.reopen_null()])
    groups = tuple(process.additional_groups)
    plan.add(INIT, "process", [users.resolve_user(process.user, groups, why="process.user")])
    scheduling = (
        process.scheduler or config.scheduler,
        process.io_priority or config.io_priority,
        config.memory_policy,
        config.personality,
    )
    if any(scheduling):
        from .scheduling import scheduling_steps

        plan.add(INIT, "process", scheduling_steps(*scheduling))
    plan.add(INIT, "process", [] if in_user else limits.rlimit_steps(rlimits, own=True))
    if privileges:
        plan.add(INIT, "process", [capabilities.no_new_privileges(why="process.noNewPrivileges")])
    asked = process.capabilities or config.capabilities
    own = host.capabilities if asked is not None and not in_user else None
    granted = capabilities.capability_masks(asked, own)
    plan.add(INIT, "process", capabilities.bounding_steps(granted))
    plan.add(INIT, "process", [execute.change_directory(process.cwd, why="process.cwd")])
    plan.add(INIT, "process", [users.own_stdio(why="process.user")])
    plan.add(INIT, "process", [users.become_user(why="process.user")])
    plan.add(INIT, "process", [execute.verify_directory(process.cwd, why="process.cwd")])
    # What setresuid has taken away, given back as far as it is configured.
    plan.add(INIT, "process", capabilities.capability_steps(granted))
    if config.parent_death_signal:
        # A change of ids resets it: prctl(2), PR_SET_PDEATHSIG.
        plan.add(INIT, "process", [ns.set_death_signal(config.parent_death_signal)])
    umask = process.umask if process.umask is not None else config.umask
    umask = DEFAULT_UMASK if umask is None else umask
    plan.add(INIT, "process", [execute.set_umask(umask, why="process.user.umask")])
    search = ""
    for one in process.env:
        if one.startswith("PATH="):
            search = one[5:]
    plan.add(INIT, "process", [execute.find_command(process.args[0], search, why="process.args")])
    return limits.rlimit_steps(rlimits, own=False) if in_user else []


def console_steps(process: Process, *, mounted: bool) -> list[Step]:
    """mounted: also on /dev/console."""
    from .console import make_console

    size = (process.console_height, process.console_width)
    return [make_console(*size, mounted, why="process.terminal")]


def execute_steps(
    process: Process, hooks: Sequence[Step] = (), *, hold: bool = False
) -> list[Step]:
    kept = len(STDIO) + len(process.extra_files)
    return [
        *([execute.await_start(bool(hooks))] if hold else []),
        # A directory left open is a way out.
        descriptors.close_descriptors(kept),
        *hooks,
        execute.execute(tuple(process.args), execute.last_of_each(process.env), why="process.args"),
    ]


def pidfd_steps(process: Process) -> list[Step]:
    """For who has asked to watch the process, before it can end by itself."""
    if process.pidfd_socket is None:
        return []
    # runc's words: of the first process, and of one that enters by setns(2).
    return [send_pidfd("standard" if process.init else "setns", why="pidfd_socket")]


@operation("bootstrap.created", "send a pidfd of the process to the pidfd socket")
def send_pidfd(name: str) -> list[str]:
    return ["pidfd_open()", f'sendmsg("{name}", SCM_RIGHTS)']
