"""Namespaces and processes: what runc's nsenter does in C, as steps.

The first process is cloned by the server straight into its new namespaces.
Where others are to be joined, or time offsets set, a stage goes between: a
process that joins them and then clones.  All are cloned with CLONE_PARENT and
so are the runtime's children, which waits on them by their pidfds.
"""

from __future__ import annotations

import errno
import os

from ..config.namespace import map_text
from ..errors import StepProblem
from ..lifecycle import INIT_NAME
from ..plan.step import Step, operation
from ..syscalls.credentials import setgroups, setresgid, setresuid
from ..syscalls.flags import CLONE_NAMES, names
from ..syscalls.namespaces import (
    CLONE_INTO_CGROUP,
    CLONE_NEWCGROUP,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_PARENT,
    CLONE_PIDFD,
    NAMESPACE_FLAGS,
    clone3,
    setns,
    unshare,
)
from ..syscalls.process import pidfd_send_signal, set_dumpable, set_name, set_pdeathsig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config, IDMap
    from ..plan.host import Host
    from .context import Context


def new_flags(config: Config) -> int:
    """CLONE_NEW* of the namespaces to be made (those without a path)."""
    flags = 0
    for namespace in config.namespaces:
        if not namespace.path:
            flags |= NAMESPACE_FLAGS[namespace.type]
    return flags


def join_steps(config: Config) -> list[Step]:
    """The stage's: join the namespaces that are given by path."""
    pairs = []
    why = ""
    for index, namespace in enumerate(config.namespaces):
        if namespace.path:
            pairs.append((NAMESPACE_FLAGS[namespace.type], namespace.path))
            why = why or f"linux.namespaces[{index}]"
    paths = ", ".join(path for _, path in pairs)
    return [join(paths, tuple(pairs), why=why)] if pairs else []


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


@operation("clone the stage")
def clone_stage(context: Context, into_cgroup: bool) -> None:
    """The process that joins namespaces and clones the next; it stays in ours for pids."""
    _clone(context, 0, into_cgroup, "libct:stage")


@clone_stage.calls
def _(into_cgroup: bool) -> list[str]:
    return _clone_call(0, into_cgroup)


@operation("clone the container's process")
def clone_init(context: Context, flags: int, into_cgroup: bool) -> None:
    """flags: CLONE_NEW* of the namespaces that are made with it."""
    _clone(context, flags, into_cgroup, INIT_NAME)


@clone_init.calls
def _(flags: int, into_cgroup: bool) -> list[str]:
    return _clone_call(flags, into_cgroup)


def _clone(context: Context, flags: int, into_cgroup: bool, name: str) -> None:
    # CLONE_PARENT: a child of the runtime, as the server and the stage are.
    cgroup = context.fds.get("cgroup", -1) if into_cgroup else -1
    pid, pidfd = clone3(flags | CLONE_PARENT | CLONE_PIDFD, 0, cgroup)
    context.values["cloned"] = (pid, pidfd)
    if pid == 0:
        context.values["is clone"] = True
        requests = context.values.pop("requests", None)
        if requests is not None:
            requests.close()
        set_name(name)


def _clone_call(flags: int, into_cgroup: bool) -> list[str]:
    flags |= CLONE_PARENT | CLONE_PIDFD
    if into_cgroup:
        flags |= CLONE_INTO_CGROUP
    return [f"clone3({{flags={names(flags, CLONE_NAMES)}, exit_signal=0}})"]


@operation("join {0}")
def join(context: Context, paths: str, pairs: tuple[tuple[int, str], ...]) -> None:
    """setns(2) to each (CLONE_NEW* flag, path), all opened before the first is joined.

    The others before the user namespace, while the caller's rights are there;
    what that refuses is tried again with the rights of the user namespace.
    paths: those of pairs, for the reader.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # it might be a FIFO, which would block
    opened = [(flag, path, os.open(path, flags)) for flag, path in pairs]
    refused = []
    for flag, path, fd in opened:
        if flag == CLONE_NEWUSER:
            continue
        try:
            _join(fd, flag, path)
        except PermissionError:
            refused.append((flag, path, fd))
    for flag, path, fd in opened:
        if flag == CLONE_NEWUSER:
            _join(fd, flag, path)
            _become_root()
    for flag, path, fd in refused:
        _join(fd, flag, path)
    for _, _, fd in opened:
        os.close(fd)


@join.calls
def _(paths: str, pairs: tuple[tuple[int, str], ...]) -> list[str]:
    calls = [f'openat("{path}", O_RDONLY|O_CLOEXEC)' for _, path in pairs]
    ordered = sorted(pairs, key=lambda pair: pair[0] == CLONE_NEWUSER)
    return calls + [f"setns({names(flag, CLONE_NAMES)})" for flag, _ in ordered]


def _join(fd: int, flag: int, path: str) -> None:
    try:
        setns(fd, flag)
    except OSError as error:
        error.filename = path
        raise


@operation("join the container's namespaces")
def join_process(context: Context, flags: int) -> None:
    """setns(2) to all of them at once, by the pidfd of the container's first process."""
    setns(context.fds["target"], flags)
    if flags & CLONE_NEWUSER:
        _become_root()


@join_process.calls
def _(flags: int) -> list[str]:
    return [f"setns({names(flags, CLONE_NAMES)})"]


@operation("open the root directory of process {0}")
def open_root_of(context: Context, pid: int) -> None:
    """The runtime's: hold under "root" that of a container without a mount namespace.

    The process, which "target" is the pidfd of, is looked for after the link
    has been followed: so it was not that of a later one of the same number.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    context.keep("root", os.open(f"/proc/{pid}/root", flags))
    pidfd_send_signal(context.fds["target"], 0)


@open_root_of.calls
def _(pid: int) -> list[str]:
    flags = "O_PATH|O_DIRECTORY|O_CLOEXEC"
    return [f'openat("/proc/{pid}/root", {flags})', "pidfd_send_signal()"]


@operation("make the user namespace")
def unshare_user(context: Context) -> None:
    """Before a time namespace that is to belong to it; the runtime's turn is next, to map it."""
    unshare(CLONE_NEWUSER)


@unshare_user.calls
def _() -> list[str]:
    return ["unshare(CLONE_NEWUSER)"]


@operation("make the time namespace")
def unshare_time(context: Context) -> None:
    unshare(CLONE_NEWTIME)


@unshare_time.calls
def _() -> list[str]:
    return ["unshare(CLONE_NEWTIME)"]


@operation("open the file of the clocks' offsets")
def open_time_offsets(context: Context) -> None:
    """The stage's own, held under "time offsets".

    It is root's where the stage is not dumpable, as it has to be once it is in
    the container's user namespace; and who has opened it has the right to it.
    """
    flags = os.O_WRONLY | os.O_CLOEXEC
    fd = os.open("self/timens_offsets", flags, dir_fd=context.fds["proc"])
    context.keep("time offsets", fd)


@open_time_offsets.calls
def _() -> list[str]:
    return ['openat("self/timens_offsets", O_WRONLY|O_CLOEXEC)']


@operation("set the clocks' offsets")
def write_time_offsets(context: Context, text: str) -> None:
    """text: lines of clock, seconds and nanoseconds, as time_namespaces(7) has them."""
    os.write(context.fds["time offsets"], text.encode())
    context.release("time offsets")


@write_time_offsets.calls
def _(text: str) -> list[str]:
    return [f'write("{text}")'.replace("\n", "\\n")]


@operation("move into a new cgroup namespace")
def unshare_cgroup(context: Context) -> None:
    """Its root is the cgroup that the process is in, so this waits until it is there."""
    unshare(CLONE_NEWCGROUP)


@unshare_cgroup.calls
def _() -> list[str]:
    return ["unshare(CLONE_NEWCGROUP)"]


@operation("write the container's {0}")
def write_id_map(context: Context, name: str, text: str) -> None:
    """uid_map or gid_map of the process just cloned (user_namespaces(7))."""
    _write_proc(context, name, text)


@write_id_map.calls
def _(name: str, text: str) -> list[str]:
    return [f'openat("/{name}", O_WRONLY|O_CLOEXEC)', f'write("{text}")'.replace("\n", "\\n")]


@operation("forbid setgroups in the user namespace")
def deny_setgroups(context: Context) -> None:
    """Without CAP_SETGID the kernel takes a gid map only then (CVE-2014-8989)."""
    _write_proc(context, "setgroups", "deny")


@deny_setgroups.calls
def _() -> list[str]:
    return ['openat("/setgroups", O_WRONLY|O_CLOEXEC)', 'write("deny")']


def _write_proc(context: Context, name: str, text: str) -> None:
    # context.pid is our child and not yet waited for, so nobody else's number.
    path = f"/proc/{context.pid}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


@operation("map ids by {0}")
def run_id_mapper(context: Context, program: str, words: tuple[str, ...]) -> None:
    """newuidmap(1) or newgidmap(1), which check /etc/subuid and /etc/subgid.

    words: container id, host id, size, and so on for each line of the map.
    """
    if "/" not in program:
        raise StepProblem(
            f"{program} is not installed",
            "an ordinary user can map more than his own id only with it: install the"
            " package uidmap (shadow-utils)",
        )
    read, write = os.pipe()
    with open(read, "rb") as output:
        try:
            pid = os.posix_spawn(
                program,
                [program, str(context.pid), *words],
                {"PATH": "/usr/bin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, write, 2),
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                ],
            )
        finally:
            os.close(write)
        said = output.read()
    try:
        failed = os.waitpid(pid, 0)[1] != 0
    except ChildProcessError:  # the host program has reaped it
        failed = bool(said)
    if failed:
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
        raise StepProblem(lines[-1], "see subuid(5): the ranges that this user may map")


@run_id_mapper.calls
def _(program: str, words: tuple[str, ...]) -> list[str]:
    return []


@operation("become the root of the user namespace")
def become_root(context: Context) -> None:
    """Ids 0 of the new map; supplementary groups go where the kernel lets them."""
    _become_root()


@become_root.calls
def _() -> list[str]:
    return ["setgroups()", "setresgid(0, 0, 0)", "setresuid(0, 0, 0)"]


def _become_root() -> None:
    try:
        setgroups([])
    except PermissionError:
        pass  # setgroups is denied in this namespace, so the groups are unmapped and powerless
    try:
        setresgid(0, 0, 0)
        setresuid(0, 0, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # The map has no 0, which the kernel allows: the ids stay as mapped.


@operation("start a new session")
def new_session(context: Context) -> None:
    os.setsid()


@new_session.calls
def _() -> list[str]:
    return ["setsid()"]


@operation("hide the process from debuggers")
def make_undumpable(context: Context) -> None:
    """Nobody in a joined namespace may trace it, or reach the host through its /proc links."""
    set_dumpable(False)


@make_undumpable.calls
def _() -> list[str]:
    return ["prctl(PR_SET_DUMPABLE)"]


@operation("have signal {0} sent when the runtime ends")
def set_death_signal(context: Context, signal: int) -> None:
    set_pdeathsig(signal)


@set_death_signal.calls
def _(signal: int) -> list[str]:
    return ["prctl(PR_SET_PDEATHSIG)"]
