"""The plan of a container's start, and of a further process in it.

Order is the design: the lines of these functions are the steps, and their
comments give the reasons for the order.
"""

from __future__ import annotations

from ..bootstrap.context import STDIO
from ..config.namespace import NEWCGROUP, NEWNS, NEWUSER
from ..syscalls.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
)
from . import (
    capabilities,
    cgroup_mounts,
    console,
    descriptors,
    devices,
    execute,
    idmapped,
    keyring,
    limits,
    masks,
    mounts,
    namespaces as ns,
    network,
    root,
    scheduling,
    sysctl,
    users,
    uts,
)
from .step import (
    AHEAD,
    DELETER,
    INIT,
    MEANWHILE,
    RUNTIME,
    SERVER,
    STAGE,
    STARTER,
    Plan,
    Step,
    operation,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..cgroups.manager import Manager
    from ..config import Config
    from ..process import Process
    from .host import Host

DEFAULT_UMASK = 0o022


def plan_start(
    config: Config,
    process: Process,
    host: Host,
    manager: Manager | None,
    container_id: str,
    *,
    hold: bool = True,
    bundle: str = "",
) -> Plan:
    """Process 1 of a container, from its control group to execve; and the hooks after that.

    manager: of its control groups, None for a container without any.
    hold: it waits to be started, by a reader of exec.fifo.
    bundle: the directory of its config.json, for the state that hooks are told.
    """
    plan = Plan()
    flags = ns.new_flags(config)
    new_user = bool(flags & CLONE_NEWUSER)
    staged = bool(ns.join_steps(config) or config.time_offsets)
    privileged = host.euid == 0
    start = [*users.group_steps(config), *([execute.open_start()] if hold else [])]

    entry = _cgroup(plan, manager)
    into = manager is not None and manager.cgroup_directory() is not None
    # With rights over the file systems of the host, which the container lacks; in
    # a user namespace, also over directories of users that it does not have.
    lend = []
    if privileged and _joins_user(config) and flags & CLONE_NEWNS:
        lend = mounts.lend_steps(config)
    else:
        plan.add(SERVER, "sources", idmapped.idmapped_source_steps(config))
    # Whoever makes one and goes back to his own has rights over both, which root
    # of a user namespace has not: its own is mostly of the first user namespace.
    ready = bool(flags & CLONE_NEWNET) and not (new_user or staged or host.userns)
    if ready:
        flags &= ~CLONE_NEWNET
        plan.add(SERVER, "sources", [network.get_network(why="linux.namespaces")])
    maps = ns.id_map_steps(config, host) if new_user else []
    if staged:
        plan.add(SERVER, "clone", [ns.clone_stage(into, why="linux.namespaces")])
        # The host's /proc, before another mount namespace hides it.
        plan.add(STAGE, "join", [root.open_proc(), *start, *lend])
        maps, flags = _join(plan, config, host, flags, maps)
        plan.add(STAGE, "clone", [_clone_init(flags, False)])
    else:
        plan.add(SERVER, "clone", [*lend, _clone_init(flags, into)])
    plan.add(RUNTIME, "attach", maps)
    if privileged:
        # A lower score than the runtime's needs rights that a user namespace takes.
        plan.add(RUNTIME, "attach", limits.oom_score_steps(config.oom_score_adj, own=False))

    plan.add(INIT, "identity", [] if staged else [root.open_proc(), *start])
    if not privileged:
        # While /proc/self still belongs to the user that may write it.
        plan.add(INIT, "identity", [] if staged else limits.oom_score_steps(config.oom_score_adj))
    plan.add(INIT, "identity", entry)
    if host.euid != 0:
        plan.add(INIT, "identity", [ns.make_undumpable()])
    early = bool(lend or maps)
    sources = mounts.early_sources(config, lent=bool(lend)) if early else []
    plan.add(INIT, "identity", _identity(config, sources, bool(maps), flags, container_id))
    plan.add(INIT, "network", network.network_steps(config, ready=ready))
    plan.add(INIT, "rootfs", root.prepare_steps(config))
    # While the host's files can still be sources of mounts.
    plan.add(INIT, "rootfs", _mounts(config, host, manager, early=early))
    plan.add(INIT, "rootfs", devices.device_steps(config))
    plan.add(INIT, "rootfs", [root.make_directory(process.cwd, why="process.cwd")])
    hook_steps = _hook_steps(config, container_id, bundle, process)
    # All mounts are made, all limits in force, and the host's files still there.
    plan.add(RUNTIME, "hooks", [*hook_steps("prestart"), *hook_steps("createRuntime")])
    plan.add(INIT, "hooks", hook_steps("createContainer"))
    # From here on the host's files are out of reach.
    plan.add(INIT, "enter", root.enter_steps(config))
    if process.terminal:
        size = (process.console_height, process.console_width)
        # A mount on /dev/console would be the host's without a mount namespace.
        apart = any(space.type == NEWNS for space in config.namespaces)
        plan.add(INIT, "enter", [console.make_console(*size, apart, why="process.terminal")])
    # All that fills them has been made.
    plan.add(INIT, "system", mounts.read_only_steps(config.mounts))
    if config.readonlyfs:
        plan.add(INIT, "system", [root.make_root_read_only(why="root.readonly")])
    plan.add(INIT, "system", uts.uts_steps(config))
    plan.add(INIT, "system", sysctl.sysctl_steps(config))
    plan.add(INIT, "system", masks.read_only_path_steps(config.readonly_paths))
    plan.add(INIT, "system", masks.masked_path_steps(config.mask_paths))
    late = _process(plan, config, process, new_user or _joins_user(config))
    # A process that waits for its start is created when all of this has succeeded.
    # One that does not is as soon as it is there: what fails, ends it.
    late += _pidfd(process)
    # (With hooks before that, it takes long enough for others to see which it is.)
    waits = hold or late or config.hooks is not None
    plan.add(RUNTIME if waits else AHEAD, "created", [*late, record_created()])
    # The container is "created" until this returns.
    plan.add(INIT, "start", _execute(process, hook_steps("startContainer"), hold=hold))
    plan.add(STARTER, "started", hook_steps("poststart"))
    plan.add(DELETER, "deleted", hook_steps("poststop"))
    return plan


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
    plan.add(SERVER, "clone", [ns.clone_stage(into)])
    # In the groups before the container's cgroup namespace hides their files,
    # and with the rights that opened them.
    early = [root.open_proc(), *limits.oom_score_steps(config.oom_score_adj), *entry]
    plan.add(STAGE, "join", [*early, *users.group_steps(config)])
    # Whoever is in there must not get hold of what we have open (CVE-2016-9962).
    plan.add(STAGE, "join", [ns.make_undumpable()] if host.euid != 0 else [])
    plan.add(STAGE, "join", [ns.join_process(flags)] if flags else [])
    plan.add(STAGE, "clone", [ns.clone_init(0, False)])
    enter = root.open_root("/") if flags & CLONE_NEWNS else root.change_root()
    plan.add(INIT, "identity", [enter])
    plan.add(INIT, "identity", [ns.new_session()])
    if not config.no_new_keyring:
        plan.add(INIT, "identity", keyring.keyring_steps(container_id, new=False))
    if process.terminal:
        size = (process.console_height, process.console_width)
        plan.add(INIT, "enter", [console.make_console(*size, False, why="process.terminal")])
    late = _process(plan, config, process, in_user) + _pidfd(process)
    plan.add(RUNTIME if late else AHEAD, "created", [*late, let_go()])
    plan.add(INIT, "start", _execute(process))
    return plan


def _join(
    plan: Plan, config: Config, host: Host, flags: int, maps: list[Step]
) -> tuple[list[Step], int]:
    """What the stage does before it clones; the maps and CLONE_NEW* that are left for then.

    flags, maps: of all namespaces to be made.
    """
    joins, offsets = ns.join_steps(config), ns.time_offset_steps(config)
    privileged, new_user = host.euid == 0, bool(flags & CLONE_NEWUSER)
    if not privileged:
        plan.add(STAGE, "join", limits.oom_score_steps(config.oom_score_adj))
    if offsets:
        plan.add(STAGE, "join", [ns.open_time_offsets(why="linux.timeOffsets")])
    if joins and not privileged and not new_user:
        # Nobody in there may trace the stage.  (Without rights over our own
        # user namespace there is no joining but that of another one.)
        plan.add(STAGE, "join", [ns.make_undumpable()])
    plan.add(STAGE, "join", joins)
    if not offsets:
        return maps, flags
    # The time namespace is to belong to the user namespace, and takes its
    # offsets before anybody is inside.
    if new_user:
        plan.add(STAGE, "join", [ns.unshare_user(why="linux.namespaces")])
        plan.add(RUNTIME, "attach", maps)
        plan.add(STAGE, "join", [ns.become_root()])
        maps = []
        flags &= ~CLONE_NEWUSER
    plan.add(STAGE, "join", offsets)
    return maps, flags & ~CLONE_NEWTIME


def _clone_init(flags: int, into: bool) -> Step:
    """The cgroup namespace is unshared later: its root is the group that the process is in."""
    return ns.clone_init(flags & ~CLONE_NEWCGROUP, into, why="linux.namespaces")


def _hook_steps(
    config: Config, container_id: str, bundle: str, process: Process
) -> Callable[[str], list[Step]]:
    """What gives the steps of a kind of hook; few configurations have any."""
    if config.hooks is None:
        return lambda kind: []
    from .hooks import hook_steps

    return lambda kind: hook_steps(kind, config, container_id, bundle, process.env)


def _cgroup(plan: Plan, manager: Manager | None) -> list[Step]:
    """Make the groups before there is a process to limit; return how the process enters them."""
    if manager is None:
        return []
    steps = manager.create_steps()
    # Loading the program takes as long as a clone, and is in time before the
    # command is executed; all other limits hold from the first instant on.
    program = [step for step in steps if step.op == "cgroup_devices_v2"]
    plan.add(RUNTIME, "cgroup", [step for step in steps if step not in program])
    before, entry, _ = manager.entry_steps()
    plan.add(RUNTIME, "cgroup", before)
    plan.add(RUNTIME, "cgroup", manager.directory_steps())
    plan.add(MEANWHILE, "cgroup", program)
    return entry


def _identity(
    config: Config, sources: list[Step], mapped: bool, flags: int, container_id: str
) -> list[Step]:
    """Session, sources of mounts, ids, cgroup namespace and keyring."""
    steps = [ns.new_session()]
    if config.parent_death_signal:
        steps.append(ns.set_death_signal(config.parent_death_signal))
    # As the caller for files still, so that his directories can be mounted.
    steps += sources
    if mapped:
        steps.append(ns.become_root(why="linux.uidMappings"))
    if any(space.type == NEWCGROUP and not space.path for space in config.namespaces):
        steps.append(ns.unshare_cgroup(why="linux.namespaces"))
    if not config.no_new_keyring:
        steps += keyring.keyring_steps(
            container_id, new=True, user_namespace=bool(flags & CLONE_NEWUSER) or mapped
        )
    return steps


def _mounts(config: Config, host: Host, manager: Manager | None, *, early: bool) -> list[Step]:
    steps: list[Step] = []
    for index, mount in enumerate(config.mounts):
        if mount.device in ("cgroup", "cgroup2"):
            steps += cgroup_mounts.cgroup_mount_steps(config, mount, index, host, manager)
        else:
            opened = early or mount.id_mapping is not None
            steps += mounts.mount_steps(mount, index, opened=opened)
    return steps


def _joins_user(config: Config) -> bool:
    return any(space.type == NEWUSER for space in config.namespaces)


def _process(plan: Plan, config: Config, process: Process, in_user: bool) -> list[Step]:
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
    plan.add(
        INIT,
        "process",
        scheduling.scheduling_steps(
            process.scheduler or config.scheduler,
            process.io_priority or config.io_priority,
            config.memory_policy,
            config.personality,
        ),
    )
    plan.add(INIT, "process", [] if in_user else limits.rlimit_steps(rlimits, own=True))
    if privileges:
        plan.add(INIT, "process", [capabilities.no_new_privileges(why="process.noNewPrivileges")])
    masks_ = process.capabilities or config.capabilities
    plan.add(INIT, "process", capabilities.bounding_steps(masks_))
    plan.add(INIT, "process", [execute.change_directory(process.cwd, why="process.cwd")])
    plan.add(INIT, "process", [users.own_stdio(why="process.user")])
    plan.add(INIT, "process", [users.become_user(why="process.user")])
    plan.add(INIT, "process", [execute.verify_directory(process.cwd, why="process.cwd")])
    # What setresuid has taken away, given back as far as it is configured.
    plan.add(INIT, "process", capabilities.capability_steps(masks_))
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


def _execute(process: Process, hooks: Sequence[Step] = (), *, hold: bool = False) -> list[Step]:
    kept = len(STDIO) + len(process.extra_files)
    return [
        *([execute.await_start(bool(hooks))] if hold else []),
        # A directory left open is a way out.
        descriptors.close_descriptors(kept),
        *hooks,
        execute.execute(tuple(process.args), execute.last_of_each(process.env), why="process.args"),
    ]


def _pidfd(process: Process) -> list[Step]:
    """For who has asked to watch the process, before it can end by itself."""
    if process.pidfd_socket is None:
        return []
    # runc's words: of the first process, and of one that enters by setns(2).
    return [send_pidfd("standard" if process.init else "setns", why="pidfd_socket")]


@operation("bootstrap.created", "send a pidfd of the process to the pidfd socket")
def send_pidfd(name: str) -> list[str]:
    return ["pidfd_open()", f'sendmsg("{name}", SCM_RIGHTS)']


@operation("bootstrap.created", "record that the container is created")
def record_created() -> list[str]:
    return []


@operation("bootstrap.created", "let the process go on")
def let_go() -> list[str]:
    return []
