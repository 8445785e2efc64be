"""The plan of a container's start.

Order is the design: the lines of plan_start() are the steps, and their
comments give the reasons for the order.
"""

from __future__ import annotations

from ..config.mount import destination_inside
from ..config.mount_flags import EXT_LINKS
from ..config.namespace import NEWCGROUP, NEWNS, NEWUSER
from ..config.status import CREATING
from ..syscalls.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
)
from . import (
    cgroup_mounts,
    devices,
    execute,
    held,
    idmapped,
    limits,
    masks,
    mounts,
    namespaces as ns,
    network,
    root,
    users,
    uts,
)
from .process import (
    add_filter,
    check_filter,
    close_steps,
    console_steps,
    control_steps,
    death_signal_steps,
    execute_steps,
    filters_early,
    keyring_steps,
    pidfd_steps,
    process_steps,
    session_steps,
)
from .procfs import open_proc
from .reaper import check_reaper, reaper_steps
from .sharing import share_memory
from .step import (
    AHEAD,
    DELETER,
    INIT,
    MEANWHILE,
    RUNTIME,
    SERVER,
    STAGE,
    STARTER,
    Performers,
    Plan,
    Step,
    operation,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..bootstrap import created
    from ..cgroups.manager import Manager
    from ..config import Config
    from ..life.host import Host
    from ..life.process import Process
else:
    created = Performers("bootstrap.created")


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
    config = _with_destinations(config)
    if config.mount_label:
        from .labels import with_mount_labels

        config = with_mount_labels(config)
    plan.mounts = [(mount.source, mount.destination) for mount in config.mounts]
    flags = ns.new_flags(config)
    new_user = bool(flags & CLONE_NEWUSER)
    # Where a pid namespace is joined there are others in it, and one of them may have
    # CAP_SYS_PTRACE: the stage does all then, and clones what becomes the command at the end.
    shared = ns.joined_pids(config)
    who = STAGE if shared else INIT
    staged = bool(shared or ns.join_steps(config) or config.time_offsets)
    # Process 1 of the pid namespace is another one then, and cloned before.  The namespace is
    # to belong to the container's user namespace, so that is made before, too.
    reaped = process.reaper
    # Root of a user namespace may not go back to the host's pid namespace.
    staged |= reaped and (new_user or host.userns)
    reaper = reaper_steps(back=not staged) if reaped else []
    privileged = host.euid == 0
    start = users.group_steps(config)

    entry = _cgroup(plan, manager)
    # systemd makes the groups for a process that is there, and waits.
    attach = manager.attach_steps() if manager is not None else []
    classed: list[Step] = []
    if config.intel_rdt is not None:
        from .resctrl import resctrl_steps

        made, classed = resctrl_steps(config.intel_rdt, container_id, host.resctrl)
        plan.add(RUNTIME, "cgroup", made)
    into = manager is not None and manager.cgroup_directory() is not None
    # With rights over the file systems of the host, which the container lacks; in
    # a user namespace, also over directories of users that it does not have.
    lent = {}
    if privileged and flags & CLONE_NEWNS:
        lent = mounts.lent_sources(config, everything=_joins_user(config))
    lend = mounts.lend_steps(lent)
    plan.add(SERVER, "sources", idmapped.idmapped_source_steps(config, lent))
    if any(mount.id_mapping is not None for mount in config.mounts):
        from .mapped_filesystems import make_steps

        plan.add(SERVER, "sources", make_steps(config))
    # Whoever makes one and goes back to his own has rights over both, which root
    # of a user namespace has not: its own is mostly of the first user namespace.
    ready = bool(flags & CLONE_NEWNET) and not (new_user or staged or host.userns)
    if ready:
        flags &= ~CLONE_NEWNET
        plan.add(SERVER, "sources", [network.get_network(why="linux.namespaces")])
    maps = ns.id_map_steps(config, host) if new_user else []
    # By the fifo of the state directory, which nobody inside is to have.
    plan.add(SERVER, "clone", [execute.clone_messenger()] if hold else [])
    if staged:
        plan.add(SERVER, "clone", [ns.clone_stage(0, into, why="linux.namespaces")])
        plan.add(RUNTIME, "attach", attach)
        # The host's /proc, before another mount namespace hides it.
        plan.add(STAGE, "join", [open_proc(), *start, *shared, *lend])
        maps, flags = _join(plan, config, host, flags, maps, apart=bool(shared), reaped=reaped)
        if not shared:
            plan.add(STAGE, "clone", [*reaper, _clone_init(flags, False, reaped=reaped)])
        elif flags & ~CLONE_NEWCGROUP:
            why = "linux.namespaces"
            plan.add(STAGE, "join", [ns.unshare_others(flags & ~CLONE_NEWCGROUP, why=why)])
        plan.add(STAGE, "join", [mounts.lend_here()] if shared and lend else [])
    else:
        init = _clone_init(flags, into, reaped=reaped, back=reaped)
        plan.add(SERVER, "clone", [*lend, *reaper, init])
        plan.add(RUNTIME, "attach", attach)
    plan.add(RUNTIME, "attach", [*maps, *classed])
    if privileged:
        # A lower score than the runtime's needs rights that a user namespace takes.
        plan.add(RUNTIME, "attach", limits.oom_score_steps(config.oom_score_adj, own=False))

    plan.add(who, "identity", [] if staged else [open_proc(), *start])
    if not privileged:
        # While /proc/self still belongs to the user that may write it.
        plan.add(who, "identity", [] if staged else limits.oom_score_steps(config.oom_score_adj))
    plan.add(who, "identity", entry)
    if host.euid != 0:
        plan.add(who, "identity", [ns.make_undumpable()])
    sources = mounts.early_sources(config, lent) if lent or maps or config.rootfs_view else []
    own = _identity(config, sources if lent or maps else [], bool(maps))
    # What appears in a shared pid namespace must not be in the caller's, with his terminal.
    plan.add(who, "identity", [ns.new_session(), *own])
    plan.add(RUNTIME, "identity", manager.delegate_steps() if manager is not None else [])
    keys = keyring_steps(config, process, container_id, new=True, user=new_user or bool(maps))
    plan.add(who, "identity", keys)
    plan.add(who, "identity", [limits.reset_affinity()] if process.reset_affinity else [])
    plan.add(who, "network", network.network_steps(config, ready=ready))
    plan.add(RUNTIME, "network", network.device_steps(config, container_id))
    plan.add(who, "network", network.route_steps(config))
    plan.add(who, "rootfs", root.prepare_steps(config, [] if lent or maps else sources))
    # What protects, and what fills /dev, goes on the mounts themselves: so they are held.
    read_only = mounts.read_only_steps(config.mounts)
    plan.add(who, "rootfs", held.hold_steps(config, [step.args[0] for step in read_only]))
    # While the host's files can still be sources of mounts.
    plan.add(who, "rootfs", _mounts(config, host, manager, lent, own=bool(sources)))
    plan.add(who, "rootfs", devices.device_steps(config))
    if config.entries:
        from .entries import entry_steps

        plan.add(who, "rootfs", entry_steps(config))
    plan.add(who, "rootfs", [root.make_directory(process.cwd, why="process.cwd")])
    hook_steps = _hook_steps(config, container_id, bundle, process)
    # All mounts are made, all limits in force, and the host's files still there.
    plan.add(RUNTIME, "hooks", [*hook_steps("prestart"), *hook_steps("createRuntime")])
    plan.add(who, "hooks", hook_steps("createContainer"))
    # From here on the host's files are out of reach.
    plan.add(who, "enter", root.enter_steps(config))
    if process.terminal:
        # A mount on /dev/console would be the host's without a mount namespace.
        apart = any(space.type == NEWNS for space in config.namespaces)
        plan.add(who, "enter", console_steps(process, mounted=apart))
        plan.add(who, "enter", [] if shared else control_steps(process))
    # All that fills them has been made.
    plan.add(who, "system", read_only)
    if config.readonlyfs:
        plan.add(who, "system", [root.make_root_read_only(why="root.readonly")])
    plan.add(who, "system", uts.uts_steps(config))
    if config.sysctl:
        from .sysctl import sysctl_steps

        plan.add(who, "system", sysctl_steps(config))
    plan.add(who, "system", masks.read_only_path_steps(config))
    plan.add(who, "system", masks.masked_path_steps(config))
    # From here on nothing is forked but the command.  A new user namespace has had it earlier.
    enter = [ns.enter_pids(why="linux.namespaces")] if shared and not new_user else []
    plan.add(STAGE, "process", enter)
    in_user = new_user or _joins_user(config)
    late = process_steps(plan, config, process, host, in_user, who)
    start_hooks = hook_steps("startContainer")
    # An ordinary user may look at what waits, unless its filter refuses that.
    wait = [execute.prepare_wait(bool(start_hooks), host.euid != 0)] if hold else []
    # Before it waits, for hours perhaps; others can be in its pid namespace then.
    close = close_steps(process, start_hooks)
    filtered = config, process, host, in_user, (container_id, bundle, CREATING)
    under_filter = bool(shared) and filters_early(config, process)
    if shared:
        plan.add(STAGE, "clone", wait)
        if under_filter:
            add_filter(plan, STAGE, *filtered)
        plan.add(STAGE, "clone", [*close, ns.clone_command(under_filter)])
        plan.add(INIT, "identity", session_steps(config, process, in_user))
        if not under_filter:
            add_filter(plan, INIT, *filtered)
    else:
        # Before the filter, which need not allow the calls that this takes.
        plan.add(INIT, "process", [*death_signal_steps(config), *wait])
        add_filter(plan, INIT, *filtered)
        plan.add(INIT, "process", close)
    # A process that waits for its start is created when all of this has succeeded.
    # One that does not is as soon as it is there: what fails, ends it.
    late += pidfd_steps(process)
    # (With hooks before that, it takes long enough for others to see which it is.)
    # (With Landlock rules, what their paths lead to is known by then, and recorded.)
    waits = hold or late or config.hooks is not None or config.landlock is not None
    checks = [check_reaper(bool(step.args[0]), why="reaper") for step in reaper[:1]]
    plan.add(RUNTIME if waits else AHEAD, "created", [*checks, *late, record_created()])
    # The container is "created" until this returns.
    plan.add(INIT, "start", execute_steps(process, start_hooks, hold=hold))
    check_filter(plan, config)
    # Who is in a pid namespace that it joins, and may trace what appears there, is not known; a
    # user namespace is no help against somebody outside of it.
    if host.shares and not shared:
        share_memory(plan)
    plan.add(STARTER, "started", hook_steps("poststart"))
    plan.add(DELETER, "deleted", hook_steps("poststop"))
    return plan


def _with_destinations(config: Config) -> Config:
    """With all mounts on paths of the container, and as private as its root is to be."""
    config = root.with_private_binds(config)
    inside = [destination_inside(config.rootfs, mount.destination) for mount in config.mounts]
    if inside == [mount.destination for mount in config.mounts]:
        return config
    changed = config.copy()
    for mount, destination in zip(changed.mounts, inside):
        mount.destination = destination
    return changed


def _join(
    plan: Plan,
    config: Config,
    host: Host,
    flags: int,
    maps: list[Step],
    *,
    apart: bool,
    reaped: bool,
) -> tuple[list[Step], int]:
    """What the stage does before it clones; the maps and CLONE_NEW* that are left for then.

    flags, maps: of all namespaces to be made.
    apart: nothing more is cloned with new namespaces.  Then, or where there is a reaper, a
        user namespace is to be made now, and not with what is cloned.
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
    plan.add(RUNTIME, "attach", ns.joined_map_steps(config))
    if not offsets and not apart and not (reaped and new_user):
        return maps, flags
    # The time namespace is to belong to the user namespace, and takes its
    # offsets before anybody is inside.
    if new_user:
        # With the rights over a pid namespace of another user namespace, which go then.
        plan.add(STAGE, "join", [ns.enter_pids(why="linux.namespaces")] if apart else [])
        plan.add(STAGE, "join", [ns.unshare_user(why="linux.namespaces")])
        plan.add(RUNTIME, "attach", maps)
        plan.add(STAGE, "join", [ns.become_root()])
        maps = []
        flags &= ~CLONE_NEWUSER
    plan.add(STAGE, "join", offsets)
    return maps, flags & ~CLONE_NEWTIME if offsets else flags


def _clone_init(flags: int, into: bool, *, reaped: bool, back: bool = False) -> Step:
    """The cgroup namespace is unshared later: its root is the group that the process is in.

    reaped: it is cloned into the pid namespace that the reaper is in; back: as for that.
    """
    later = CLONE_NEWCGROUP | (CLONE_NEWPID if reaped else 0)
    more = (True,) if back else ()
    return ns.clone_init(flags & ~later, into, *more, why="linux.namespaces")


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


def _identity(config: Config, sources: list[Step], mapped: bool) -> list[Step]:
    """Sources of mounts, ids and cgroup namespace."""
    steps = []
    if config.parent_death_signal:
        steps.append(ns.set_death_signal(config.parent_death_signal))
    # As the caller for files still, so that his directories can be mounted.
    steps += sources
    if mapped:
        steps.append(ns.become_root(why="linux.uidMappings"))
    if any(space.type == NEWCGROUP and not space.path for space in config.namespaces):
        steps.append(ns.unshare_cgroup(why="linux.namespaces"))
    return steps


def _mounts(
    config: Config, host: Host, manager: Manager | None, lent: dict[int, mounts.Lent], *, own: bool
) -> list[Step]:
    """own: the process has opened sources itself by then, where nobody lends them."""
    steps: list[Step] = []
    for index, mount in enumerate(config.mounts):
        if mount.device in ("cgroup", "cgroup2"):
            steps += cgroup_mounts.cgroup_mount_steps(config, mount, index, host, manager)
        elif mount.extensions & EXT_LINKS:
            from .links import link_steps

            steps += link_steps(mount, index)
        elif mount.device == "sysfs" and (host.userns or _joins_user(config)):
            from .sysfs import sysfs_steps

            steps += sysfs_steps(config, mount, index)
        elif mount.id_mapping is not None and not mounts.is_bind(mount):
            from .mapped_filesystems import attach_steps

            steps += attach_steps(mount, index)
        else:
            steps += mounts.take_steps(index, lent, late=True)
            opened = index in lent or mount.id_mapping is not None
            opened = opened or (own and not mounts.is_late(config, mount))
            made = mounts.mount_steps(mount, index, opened=opened)
            if config.mount_label:
                from .labels import with_file_labels

                made = with_file_labels(config, mount, index, made, opened=opened)
            steps += made
    return steps


def _joins_user(config: Config) -> bool:
    return any(space.type == NEWUSER for space in config.namespaces)


@operation(created.record_created, "record that the container is created")
def record_created() -> list[str]:
    return []
