"""What every process of a container is given, the first one and further ones, up to execve."""

from __future__ import annotations

from ..errors import ConfigError, Finding
from ..syscalls.constants import CAPABILITIES
from . import capabilities, descriptors, execute, keyring, limits, namespaces as ns, users
from .step import INIT, RUNTIME, STAGE, STDIO, Performers, Plan, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bootstrap import created
    from ..config import Config
    from ..life.host import Host
    from ..life.process import Process
else:
    created = Performers("bootstrap.created")

DEFAULT_UMASK = 0o022
SYS_ADMIN = 1 << CAPABILITIES["CAP_SYS_ADMIN"]


def process_steps(
    plan: Plan,
    config: Config,
    process: Process,
    host: Host,
    in_user: bool,
    who: str = INIT,
    known: dict[str, str] | None = None,
) -> list[Step]:
    """What the command is given; returns what is left to the runtime.

    in_user: the process is in a user namespace of the container's.  Raising a
    hard limit needs rights outside of it, so the runtime sets the limits then;
    it may, for it owns the namespace.  Otherwise the process does, before it
    becomes another user, which would forbid it.
    who: STAGE where that prepares all of it for the process that it clones at the end.
    known: as of landlock.rule_steps.
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
    privileges = has_no_new_privileges(config, process)
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
    granted = granted_capabilities(config, process, host, in_user)
    more = 0 if privileges or config.seccomp is None else SYS_ADMIN
    plan.add(who, "process", capabilities.bounding_steps(granted))
    plan.add(who, "process", label_steps(config, process, host))
    plan.add(who, "process", [execute.change_directory(process.cwd, why="process.cwd")])
    rules: list[Step] = []
    if config.landlock is not None:
        from .landlock import rule_steps

        rules = rule_steps(config.landlock, host.landlock_abi, known)
        plan.add(who, "process", rules)
    plan.add(who, "process", [users.own_stdio(why="process.user")])
    plan.add(who, "process", [users.become_user(why="process.user")])
    plan.add(who, "process", [execute.verify_directory(process.cwd, why="process.cwd")])
    if rules:
        from .landlock import enter_steps

        plan.add(who, "process", enter_steps(privileged=not privileges))
    # What setresuid has taken away, given back as far as it is configured.
    plan.add(who, "process", capabilities.capability_steps(granted, more))
    umask = process.umask if process.umask is not None else config.umask
    umask = DEFAULT_UMASK if umask is None else umask
    plan.add(who, "process", [execute.set_umask(umask, why="process.user.umask")])
    search = ""
    for one in process.env:
        if one.startswith("PATH="):
            search = one[5:]
    plan.add(who, "process", [execute.find_command(process.args[0], search, why="process.args")])
    return late


def has_no_new_privileges(config: Config, process: Process) -> bool:
    asked = process.no_new_privileges
    return bool(config.no_new_privileges if asked is None else asked)


def granted_capabilities(
    config: Config, process: Process, host: Host, in_user: bool
) -> capabilities.Masks:
    asked = process.capabilities or config.capabilities
    own = host.capabilities if asked is not None and not in_user else None
    return capabilities.capability_masks(asked, own)


def label_steps(config: Config, process: Process, host: Host) -> list[Step]:
    """AppArmor's profile and SELinux' label, where there are to be any."""
    profile = process.apparmor_profile or config.apparmor_profile
    if not profile and not process.label and not config.process_label:
        return []
    from . import labels

    return labels.label_steps(config, process, host)


def keyring_steps(
    config: Config, process: Process, container_id: str, *, new: bool, user: bool = False
) -> list[Step]:
    """The session keyring, unless the caller's is to stay.

    new: it is made, and not joined.  user: the container has a user namespace.
    """
    if config.no_new_keyring:
        return []
    steps = keyring.keyring_steps(container_id, new=new, user_namespace=user)
    if not process.label and not config.process_label:
        return steps
    from . import labels

    return labels.with_key_label(labels.process_label(config, process), steps)


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


def filters_early(config: Config, process: Process) -> bool:
    """Whether who clones a process into a pid namespace with others loads its filter.

    Without no_new_privs that takes a right which nobody may have who others may trace.
    """
    return config.seccomp is not None and not has_no_new_privileges(config, process)


def add_filter(
    plan: Plan,
    who: str,
    config: Config,
    process: Process,
    host: Host,
    in_user: bool,
    told: tuple[str, str, str],
) -> None:
    """Have who load the container's filter of system calls (seccomp.py says where in a start).

    told: id, bundle and status of the container, for who gets the notifications.
    """
    if config.seccomp is None:
        return
    from ..config.rules_seccomp import has_listener
    from .seccomp import PLACE, close_listener, filter_steps, listener_step

    privileges = has_no_new_privileges(config, process)
    if not privileges and not in_user and not host.capabilities.permitted & SYS_ADMIN:
        message = "libct needs CAP_SYS_ADMIN for it, or the process noNewPrivileges"
        raise ConfigError([Finding(PLACE, message)])
    shown = host.euid != 0
    plan.add(who, "process", filter_steps(config.seccomp, shown=shown))
    if has_listener(config.seccomp):
        from .hooks import SPEC_VERSION, labelled_bundle, state_text

        name, bundle, status = told
        state = state_text(config, name, bundle or labelled_bundle(config), status)
        plan.add(
            RUNTIME,
            "process",
            [listener_step(config.seccomp, config.version or SPEC_VERSION, state)],
        )
        # The last copy inside: of one that waits, others might take it, and answer themselves.
        plan.add(who, "process", [close_listener(shown, why=PLACE)])
    if not privileges:
        granted = granted_capabilities(config, process, host, in_user)
        plan.add(who, "process", capabilities.last_steps(granted, SYS_ADMIN))


def check_filter(plan: Plan, config: Config) -> None:
    """Of a plan that is complete: which calls come after the filter follows from its steps."""
    if config.seccomp is not None:
        from .seccomp import check_answers

        check_answers(plan)


def close_steps(process: Process, hooks: Sequence[Step] = ()) -> list[Step]:
    """A directory left open is a way out.

    hooks: those that this process is yet to run.
    """
    return [descriptors.close_descriptors(len(STDIO) + len(process.extra_files), bool(hooks))]


def execute_steps(
    process: Process,
    hooks: Sequence[Step] = (),
    *,
    hold: bool = False,
) -> list[Step]:
    return [
        *([execute.await_start()] if hold else []),
        *hooks,
        execute_step(process),
    ]


def execute_step(process: Process) -> Step:
    env = execute.last_of_each(process.env)
    return execute.execute(tuple(process.args), env, why="process.args")


def pidfd_steps(process: Process) -> list[Step]:
    """For who has asked to watch the process, before it can end by itself."""
    if process.pidfd_socket is None:
        return []
    # runc's words: of the first process, and of one that enters by setns(2).
    return [send_pidfd("standard" if process.init else "setns", why="pidfd_socket")]


@operation(created.send_pidfd, "send a pidfd of the process to the pidfd socket")
def send_pidfd(name: str) -> list[str]:
    return ["pidfd_open()", f'sendmsg("{name}", SCM_RIGHTS)']
