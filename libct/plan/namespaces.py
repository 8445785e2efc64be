"""Namespaces and processes: what runc's nsenter does in C, as steps.

The first process is cloned by the server straight into its new namespaces.  Where
others are to be joined, or time offsets set, a stage goes between: a process that joins
them and then clones.  For a further process in a pid namespace the stage does all that
there is to be done, and what it clones only becomes the command.
"""

from __future__ import annotations

from ..config.namespace import CLONE_FLAGS, NEWPID, NEWUSER, map_text
from ..syscalls.constants import (
    CLONE_INTO_CGROUP,
    CLONE_NEWUSER,
    CLONE_PARENT,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CLONE_VFORK,
    CLONE_VM,
)
from .calls import clone_names, open_proc_call
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap import bare, joining, mapping, namespaces
    from ..config import Config, IDMap
    from ..life.host import Host
else:
    bare = Performers("bootstrap.bare")
    joining = Performers("bootstrap.joining")
    mapping = Performers("bootstrap.mapping")
    namespaces = Performers("bootstrap.namespaces")


SHARING = CLONE_VM | CLONE_VFORK  # what is cloned shares memory until it executes (sharing.py)


def new_flags(config: Config) -> int:
    """CLONE_NEW* of the namespaces to be made (those without a path)."""
    flags = 0
    for namespace in config.namespaces:
        if not namespace.path:
            flags |= CLONE_FLAGS[namespace.type]
    return flags


def join_steps(config: Config) -> list[Step]:
    """The stage's: join the namespaces that are given by path, but for that of pids."""
    pairs = []
    why = ""
    for index, namespace in enumerate(config.namespaces):
        if namespace.path and namespace.type != NEWPID:
            pairs.append((CLONE_FLAGS[namespace.type], namespace.path))
            why = why or f"linux.namespaces[{index}]"
    paths = ", ".join(path for _, path in pairs)
    return [join(paths, tuple(pairs), why=why)] if pairs else []


def joined_map_steps(config: Config) -> list[Step]:
    """The runtime's, once the stage has joined: what is said of a user namespace's maps is true.

    Whoever reads the path for it before may find another namespace there.
    """
    joins = any(space.type == NEWUSER and space.path for space in config.namespaces)
    return [
        check_id_map(name, map_text(mappings), why=place)
        for name, mappings, place in (
            ("uid_map", config.uid_mappings, "linux.uidMappings"),
            ("gid_map", config.gid_mappings, "linux.gidMappings"),
        )
        if joins and mappings
    ]


def joined_pids(config: Config) -> list[Step]:
    """The stage's: hold a pid namespace that is given by path, to be entered in the end."""
    return [
        hold_pids(namespace.path, why=f"linux.namespaces[{index}]")
        for index, namespace in enumerate(config.namespaces)
        if namespace.path and namespace.type == NEWPID
    ]


def time_offset_steps(config: Config) -> list[Step]:
    """The stage's: a time namespace takes offsets only before a process is in it."""
    lines = [f"{clock} {at.secs} {at.nanosecs}\n" for clock, at in config.time_offsets.items()]
    if not lines:
        return []
    place = "linux.timeOffsets"
    return [unshare_time(why=place), write_time_offsets("".join(lines), why=place)]


def id_map_steps(config: Config, host: Host) -> list[Step]:
    """The runtime's: the maps of a new user namespace, whose process waits for them.

    Root writes them; an ordinary user may write a map of his own id alone
    (user_namespaces(7)), all others newuidmap(1) and newgidmap(1) write.
    """
    uids, gids = map_text(config.uid_mappings), map_text(config.gid_mappings)
    privileged = host.euid == 0
    own = _is_own(config.uid_mappings, host.euid) and _is_own(config.gid_mappings, host.egid)
    if privileged or own:
        return [
            write_id_map("uid_map", uids, why="linux.uidMappings"),
            *([] if privileged else [deny_setgroups(why="linux.gidMappings")]),
            write_id_map("gid_map", gids, why="linux.gidMappings"),
        ]
    return [
        run_id_mapper(host.newuidmap or "newuidmap", _map_words(uids), why="linux.uidMappings"),
        run_id_mapper(host.newgidmap or "newgidmap", _map_words(gids), why="linux.gidMappings"),
    ]


def _map_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _is_own(mappings: list[IDMap], own: int) -> bool:
    return len(mappings) == 1 and mappings[0].host_id == own and mappings[0].size == 1


@operation(namespaces.clone_stage, "clone the stage")
def clone_stage(flags: int, into_cgroup: bool) -> list[str]:
    return _clone_call(flags, into_cgroup)


@operation(namespaces.clone_init, "clone the container's process")
def clone_init(flags: int, into_cgroup: bool, back: bool = False) -> list[str]:
    """back: the cloner returns to its own pid namespace, which it has left for that (reaper.py)."""
    return _clone_call(flags, into_cgroup) + ["setns(CLONE_NEWPID)"] * back


@operation(namespaces.clone_command, "clone the process that becomes the command")
def clone_command(filtered: bool = False) -> list[str]:
    return _clone_call(0, False, filtered)


@operation(bare.note_memory, "note which memory is the interpreter's")
def note_memory() -> list[str]:
    return [open_proc_call("self/maps", "O_RDONLY"), "read()"]


@operation(bare.clone_bare, "clone the process that becomes the command, without an interpreter")
def clone_bare() -> list[str]:
    return _clone_call(0, False, True)


def _clone_call(flags: int, into_cgroup: bool, filtered: bool = False) -> list[str]:
    flags |= CLONE_PARENT | CLONE_PARENT_SETTID
    if filtered or (flags & SHARING and not into_cgroup):
        return [f"clone({clone_names(flags)})"]
    if not flags & SHARING:
        flags |= CLONE_PIDFD
    if into_cgroup:
        flags |= CLONE_INTO_CGROUP
    return [f"clone3({{flags={clone_names(flags)}, exit_signal=0}})"]


@operation(joining.join, "join {0}")
def join(paths: str, pairs: tuple[tuple[int, str], ...]) -> list[str]:
    calls = [f'openat("{path}", O_RDONLY|O_CLOEXEC)' for _, path in pairs]
    ordered = sorted(pairs, key=lambda pair: pair[0] == CLONE_NEWUSER)
    return calls + [f"setns({clone_names(flag)})" for flag, _ in ordered]


@operation(joining.hold_pids, "open the pid namespace {0}")
def hold_pids(path: str) -> list[str]:
    return [f'openat("{path}", O_RDONLY|O_CLOEXEC)']


@operation(joining.enter_pids, "have children start in the pid namespace")
def enter_pids() -> list[str]:
    return ["setns(CLONE_NEWPID)"]


@operation(joining.unshare_others, "make the other namespaces")
def unshare_others(flags: int) -> list[str]:
    return [f"unshare({clone_names(flags)})"]


@operation(joining.join_process, "join the container's namespaces")
def join_process(flags: int, inodes: tuple[tuple[int, int], ...]) -> list[str]:
    return [f"setns({clone_names(flags)})"]


@operation(joining.copy_mounts, "copy the mounts that the host's files are opened in")
def copy_mounts(user: int) -> list[str]:
    return ["setns(CLONE_NEWUSER)"] * bool(user) + ["unshare(CLONE_NEWNS)"]


@operation(joining.open_root_of, "open the root directory of process {0}")
def open_root_of(pid: int) -> list[str]:
    flags = "O_PATH|O_DIRECTORY|O_CLOEXEC"
    return [f'openat("/proc/{pid}/root", {flags})', "pidfd_send_signal()"]


@operation(joining.unshare_user, "make the user namespace")
def unshare_user() -> list[str]:
    return ["unshare(CLONE_NEWUSER)"]


@operation(joining.unshare_time, "make the time namespace")
def unshare_time() -> list[str]:
    return ["unshare(CLONE_NEWTIME)"]


@operation(joining.open_time_offsets, "open the file for the clock offsets")
def open_time_offsets() -> list[str]:
    return ['openat("self/timens_offsets", O_WRONLY|O_CLOEXEC)']


@operation(joining.write_time_offsets, "set the clock offsets")
def write_time_offsets(text: str) -> list[str]:
    return [f'write("{text}")'.replace("\n", "\\n")]


@operation(namespaces.unshare_cgroup, "move into a new cgroup namespace")
def unshare_cgroup() -> list[str]:
    return ["unshare(CLONE_NEWCGROUP)"]


@operation(mapping.write_id_map, "write the container's {0}")
def write_id_map(name: str, text: str) -> list[str]:
    return [f'openat("/{name}", O_WRONLY|O_CLOEXEC)', f'write("{text}")'.replace("\n", "\\n")]


@operation(mapping.check_id_map, "check the {0} of the joined user namespace")
def check_id_map(name: str, text: str) -> list[str]:
    return [f'openat("/{name}", O_RDONLY|O_CLOEXEC)', "read()"]


@operation(mapping.deny_setgroups, "forbid setgroups in the user namespace")
def deny_setgroups() -> list[str]:
    return ['openat("/setgroups", O_WRONLY|O_CLOEXEC)', 'write("deny")']


@operation(mapping.run_id_mapper, "map ids by {0}")
def run_id_mapper(program: str, words: tuple[str, ...]) -> list[str]:
    return []


@operation(mapping.become_root, "become the root of the user namespace")
def become_root() -> list[str]:
    return ["setgroups()", "setresgid(0, 0, 0)", "setresuid(0, 0, 0)", "prctl(PR_SET_DUMPABLE)"]


@operation(namespaces.new_session, "start a new session")
def new_session() -> list[str]:
    return ["setsid()"]


@operation(namespaces.make_undumpable, "hide the process from debuggers")
def make_undumpable() -> list[str]:
    return ["prctl(PR_SET_DUMPABLE)"]


@operation(namespaces.set_death_signal, "ask for signal {0} when the runtime ends")
def set_death_signal(signal: int) -> list[str]:
    return ["prctl(PR_SET_PDEATHSIG)"]
