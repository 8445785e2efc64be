"""The plan of a further process in a container: what exec does."""

from __future__ import annotations

from ..syscalls.constants import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER
from . import keyring, limits, namespaces as ns, users
from .chroot import change_root, open_root
from .process import console_steps, execute_steps, pidfd_steps, process_steps
from .procfs import open_proc
from .step import AHEAD, INIT, RUNTIME, SERVER, STAGE, Plan, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.manager import Manager
    from ..config import Config
    from ..life.host import Host
    from ..life.process import Process


def plan_exec(
    config: Config,
    process: Process,
    host: Host,
    manager: Manager | None,
    container_id: str,
    flags: int,
    pid: int,
) -> Plan:
    """A further process in a running container.

    flags: CLONE_NEW* of the namespaces that its first process, pid, is in and
        the runtime is not.
    """
    plan = Plan()
    entry: list[Step] = []
    into = False
    if manager is not None:
        before, entry, _ = manager.entry_steps()
        plan.add(RUNTIME, "cgroup", before)
        plan.add(RUNTIME, "cgroup", manager.directory_steps())
        into = manager.cgroup_directory() is not None
    in_user = bool(flags & CLONE_NEWUSER)
    if not flags & CLONE_NEWNS:
        plan.add(RUNTIME, "join", [ns.open_root_of(pid)])
    # Only a process that is made afterwards can be in a pid namespace.  Root makes
    # one there and goes back.  Others may not: an ordinary user has the right to
    # join after the user namespace alone, and root of a user namespace none to
    # its own, which is mostly of the first.  They send a stage ahead.
    staged = bool(flags & CLONE_NEWPID) and (host.euid != 0 or host.userns)
    joining = STAGE if staged else INIT
    if staged:
        plan.add(SERVER, "clone", [ns.clone_stage(into)])
    elif flags & CLONE_NEWPID:
        plan.add(SERVER, "clone", [ns.clone_inside(into)])
        flags &= ~CLONE_NEWPID
    else:
        plan.add(SERVER, "clone", [ns.clone_init(0, into)])
    # In the groups before the container's cgroup namespace hides their files,
    # and with the rights that opened them.
    early = [open_proc(), *limits.oom_score_steps(config.oom_score_adj), *entry]
    plan.add(joining, "join", [*early, *users.group_steps(config)])
    # Whoever is in there must not get hold of what we have open (CVE-2016-9962).
    plan.add(joining, "join", [ns.make_undumpable()] if host.euid != 0 else [])
    plan.add(joining, "join", [ns.join_process(flags)] if flags else [])
    if staged:
        plan.add(STAGE, "clone", [ns.clone_init(0, False)])
    enter = open_root("/") if flags & CLONE_NEWNS else change_root()
    plan.add(INIT, "identity", [enter])
    plan.add(INIT, "identity", [ns.new_session()])
    if not config.no_new_keyring:
        plan.add(INIT, "identity", keyring.keyring_steps(container_id, new=False))
    if process.terminal:
        plan.add(INIT, "enter", console_steps(process, mounted=False))
    late = process_steps(plan, config, process, host, in_user) + pidfd_steps(process)
    plan.add(RUNTIME if late else AHEAD, "created", [*late, let_go()])
    plan.add(INIT, "start", execute_steps(process))
    return plan


@operation("bootstrap.created", "let the process go on")
def let_go() -> list[str]:
    return []
