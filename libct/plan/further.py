"""The plan of a further process in a container: what exec does."""

from __future__ import annotations

from ..config.status import RUNNING
from ..syscalls.constants import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER
from . import limits, namespaces as ns, users
from .chroot import change_root, open_root
from .process import (
    add_filter,
    check_filter,
    close_steps,
    console_steps,
    control_steps,
    death_signal_steps,
    execute_step,
    filters_early,
    keyring_steps,
    pidfd_steps,
    process_steps,
    session_steps,
)
from .procfs import open_proc
from .sharing import share_memory
from .step import AHEAD, INIT, RUNTIME, SERVER, STAGE, Performers, Plan, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap import created
    from ..cgroups.manager import Manager
    from ..config import Config
    from ..life.host import Host
    from ..life.process import Process
else:
    created = Performers("bootstrap.created")


def plan_exec(
    config: Config,
    process: Process,
    host: Host,
    manager: Manager | None,
    container_id: str,
    joined: dict[int, int],
    pid: int,
    known: dict[str, str] | None = None,
    *,
    shares: bool = False,
    bare: bool = False,
) -> Plan:
    """A further process in a running container.

    joined: CLONE_NEW* of the namespaces of the container, and of its first process, pid,
        that the runtime is not in: and their inode numbers.
    known: what the paths of Landlock rules led the first process to (landlock.py).
    bare: the command may be cloned without an interpreter: its steps are not timed.
    shares: it may share the server's memory: nobody inside can trace it, and it waits for nobody.
    """
    flags = 0
    for flag in joined:
        flags |= flag
    plan = Plan()
    initial, final = _affinity_steps(config, process)
    entry: list[Step] = []
    moved: list[Step] = []
    into = False
    if manager is not None and initial and manager.version == 2:
        # Cloned into the group, it would run in there before it is on the first CPUs.
        moved = manager.join_steps()
    elif manager is not None:
        before, entry, _ = manager.entry_steps()
        plan.add(RUNTIME, "cgroup", before)
        plan.add(RUNTIME, "cgroup", manager.directory_steps())
        into = manager.cgroup_directory() is not None
    in_user = bool(flags & CLONE_NEWUSER)
    if not flags & CLONE_NEWNS:
        plan.add(RUNTIME, "join", [ns.open_root_of(pid)])
    # In a pid namespace are others, and one of them may have CAP_SYS_PTRACE there: what it
    # gets to see is to be the command in all but its memory.  So a stage, which it cannot
    # see, joins, closes and drops all, and clones at the end.
    staged = bool(flags & CLONE_NEWPID)
    who = STAGE if staged else INIT
    plan.add(SERVER, "clone", [ns.clone_stage(0, into) if staged else ns.clone_init(0, into)])
    # In the groups before the container's cgroup namespace hides their files,
    # and with the rights that opened them.
    if manager is not None:
        moved += manager.attach_steps()
    early = [open_proc(), *limits.oom_score_steps(config.oom_score_adj), *initial, *entry]
    plan.add(who, "join", early)
    plan.add(RUNTIME, "attach", moved)
    plan.add(who, "join", [*final, *users.group_steps(config)])
    # What appears in there must not be in the caller's session, with his terminal.
    plan.add(who, "join", [ns.new_session()] if staged else [])
    # Whoever is in there must not get hold of what we have open (CVE-2016-9962).
    plan.add(who, "join", [ns.make_undumpable()] if host.euid != 0 else [])
    plan.add(who, "join", [ns.join_process(flags, tuple(joined.items()))] if flags else [])
    enter = open_root("/") if flags & CLONE_NEWNS else change_root()
    plan.add(who, "identity", [enter])
    plan.add(who, "identity", keyring_steps(config, process, container_id, new=False))
    if process.terminal:
        plan.add(who, "enter", console_steps(process, mounted=False))
    late = process_steps(plan, config, process, host, in_user, who, known or {})
    late += pidfd_steps(process)
    filtered = config, process, host, in_user, (container_id, "", RUNNING)
    under_filter = staged and filters_early(config, process)
    if under_filter:
        add_filter(plan, STAGE, *filtered)
    if staged:
        plan.add(STAGE, "clone", [*close_steps(process), ns.clone_command(under_filter)])
    if staged:
        plan.add(INIT, "identity", session_steps(config, process, in_user))
    else:
        own = [ns.new_session(), *control_steps(process), *death_signal_steps(config)]
        plan.add(INIT, "identity", own)
    if not under_filter:
        add_filter(plan, INIT, *filtered)
    plan.add(RUNTIME if late else AHEAD, "created", [*late, let_go()])
    plan.add(INIT, "start", [] if staged else close_steps(process))
    plan.add(INIT, "start", [execute_step(process)])
    check_filter(plan, config)
    # (Whose pid namespace it is, and who may trace in there, is not known where it was joined.)
    if shares and host.shares and not ns.joined_pids(config):
        share_memory(plan, bare=bare)
    return plan


def _affinity_steps(config: Config, process: Process) -> tuple[list[Step], list[Step]]:
    """On which CPUs it runs before it enters its groups, and after that.

    Without any of the latter the kernel says it (config.md, execCPUAffinity).
    """
    affinity = process.cpu_affinity or config.exec_cpu_affinity
    if affinity is None or not (affinity.initial or affinity.final):
        return [], [limits.reset_affinity()] if process.reset_affinity else []
    from .scheduling import affinity_steps

    return affinity_steps(affinity.initial, "initial"), affinity_steps(affinity.final, "final")


@operation(created.let_go, "let the process go on")
def let_go() -> list[str]:
    return []
