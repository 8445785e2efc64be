"""Namespaces and processes: what runc's nsenter does in C, as steps.

The first process is cloned by the server straight into its new namespaces.  Where
others are to be joined, or time offsets set, a stage goes between: a process that joins
them and then clones.  For a further process in a pid namespace the stage does all that
there is to be done, and what it clones only becomes the command.
All are cloned with CLONE_PARENT and
so are the runtime's children, which waits on them by their pidfds.
"""

from __future__ import annotations

import errno
import posix

from ..config.status import INIT_NAME
from ..errors import StepProblem
from ..security.users import may_set_groups
from ..syscalls.credentials import setgroups, setresgid, setresuid
from ..syscalls.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PARENT,
    CLONE_PIDFD,
    clone,
    clone3,
    setns,
    unshare,
)
from ..syscalls.process import (
    get_no_new_privs,
    pidfd_send_signal,
    set_dumpable,
    set_name,
    set_pdeathsig,
)
from ..syscalls.sharing import SHARING
from . import clones, sharing
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


_STAGE_NAME = "libct:stage"

# In /proc/self/ns, of what setns(2) has joined.
_OWN_NAMES = {
    CLONE_NEWUSER: "user",
    CLONE_NEWIPC: "ipc",
    CLONE_NEWUTS: "uts",
    CLONE_NEWNET: "net",
    CLONE_NEWPID: "pid_for_children",
    CLONE_NEWNS: "mnt",
    CLONE_NEWCGROUP: "cgroup",
    CLONE_NEWTIME: "time",
}


def clone_stage(context: Context, flags: int, into_cgroup: bool) -> str:
    """The process that joins namespaces and clones the next; it stays in ours for pids.

    flags: SHARING, or none.
    """
    return _clone(context, flags, into_cgroup, _STAGE_NAME)


def clone_init(context: Context, flags: int, into_cgroup: bool, back: bool = False) -> str:
    """flags: CLONE_NEW* of the namespaces that are made with it, and SHARING if that is wanted.

    back: we return to our own pid namespace then, which clone_reaper() has seen to.
    """
    return _clone(context, flags, into_cgroup, INIT_NAME)


def clone_command(context: Context, filtered: bool = False) -> str:
    """The stage's last: what it clones is what it has become itself.

    It shares no memory, for it appears where others are (plan/sharing.py).
    filtered: it is under the filter of the container's system calls already.
    """
    return _clone(context, 0, False, INIT_NAME, last=True, filtered=filtered)


def _clone(
    context: Context,
    flags: int,
    into_cgroup: bool,
    name: str,
    *,
    last: bool = False,
    filtered: bool = False,
) -> str:
    """Clone, and say what was done otherwise than asked."""
    # CLONE_PARENT: a child of the runtime, as the server and the stage are.
    flags |= CLONE_PARENT
    cgroup = context.fds.get("cgroup", -1) if into_cgroup else -1
    lender = context.values.get("lender") if not last else None
    reaper = context.values.pop("reaper", None)
    number_at = context.values["clones"].address

    def settle(own: Context) -> None:
        """By the clone."""
        if reaper is not None:
            reaper.begin()
            reaper.forget()
        close_the_door()
        if not last:
            posix.umask(0)  # the modes that steps give to files are the whole of it
        requests = own.values.pop("requests", None)
        if requests is not None:
            posix.close(requests.fileno())
        set_name(name)
        if name == _STAGE_NAME:
            page, fd = own.values["clones"], own.fds["clones"]
            shared = own is not context
            own.values["clones"] = page.of_stage() if shared else clones.Page(fd, clones.STAGE)
        own.release("clones")

    asked = flags & SHARING
    shares = asked and sharing.possible()
    try:
        if shares:
            context.values["cloned"] = sharing.clone(context, flags, cgroup, number_at, settle), -1
        elif filtered:
            context.values["cloned"] = clone(flags & ~SHARING, number_at), -1
        else:
            flags = flags & ~SHARING | CLONE_PIDFD
            context.values["cloned"] = clone3(flags, cgroup=cgroup, number_at=number_at)
    except OSError:
        if lender is not None:
            lender.dismiss()
        if reaper is not None:
            reaper.leave()
        raise
    pid, pidfd = context.values["cloned"]
    if pid:
        if reaper is not None:
            reaper.leave()
        if lender is not None:
            lender.lend_to(pid, pidfd)
    else:
        context.values["is clone"] = True
        settle(context)
    return "ok, by fork" if asked and not shares else ""


def join(context: Context, paths: str, pairs: tuple[tuple[int, str], ...]) -> None:
    """setns(2) to each (CLONE_NEW* flag, path), all opened before the first is joined.

    The others before the user namespace, while the caller's rights are there;
    what that refuses is tried again with the rights of the user namespace.
    paths: those of pairs, for the reader.
    """
    # It might be a FIFO, which would block.
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
    opened = [(flag, path, posix.open(path, flags)) for flag, path in pairs]
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
            _leave_groups(context)
            _join(fd, flag, path)
            become_root(context)
    for flag, path, fd in refused:
        _join(fd, flag, path)
    for _, _, fd in opened:
        posix.close(fd)


def _join(fd: int, flag: int, path: str) -> None:
    try:
        setns(fd, flag)
    except OSError as error:
        error.filename = path
        raise


def hold_pids(context: Context, path: str) -> None:
    """Held under "pids"; it is entered last, and its /proc mounted before."""
    # It might be a FIFO, which would block.
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
    context.keep("pids", posix.open(path, flags))


def enter_pids(context: Context) -> None:
    """setns(2) to a pid namespace is for the children of the caller.

    So from here on the caller clones the command and nobody else.
    """
    setns(context.fds["pids"], CLONE_NEWPID)
    context.release("pids")  # a procfs of it is no more to be had either (rootfs/pidfs.py)


def unshare_others(context: Context, flags: int) -> None:
    """Of what is cloned elsewhere, by who has one process for all of it."""
    unshare(flags)


def join_process(context: Context, flags: int, inodes: tuple[tuple[int, int], ...]) -> None:
    """setns(2) to all of them at once, by the pidfd of the container's first process.

    inodes: CLONE_NEW* flags, and the numbers that the namespaces have in the host's /proc.
    The process may have gone on to others since they were looked at.
    """
    if flags & CLONE_NEWUSER:
        _leave_groups(context)
    setns(context.fds["target"], flags)
    for flag, inode in inodes:
        _require_joined(context, flag, inode)
    if flags & CLONE_NEWUSER:
        become_root(context)


def _require_joined(context: Context, flag: int, inode: int) -> None:
    name = _OWN_NAMES[flag]
    if posix.stat(f"self/ns/{name}", dir_fd=context.fds["proc"]).st_ino != inode:
        raise StepProblem(f"the first process has left the container's namespace ({name})")


def copy_mounts(context: Context, user: int) -> None:
    """The stage's: a mount namespace of its own, with the mounts that it has.

    user: the inode of the user namespace of "target" that it is to belong to, which is
        joined first; 0 for none.  The ids are the caller's still, for files.
    """
    if user:
        _leave_groups(context)
        setns(context.fds["target"], CLONE_NEWUSER)
        _require_joined(context, CLONE_NEWUSER, user)
    unshare(CLONE_NEWNS)


def open_root_of(context: Context, pid: int) -> None:
    """The runtime's: hold under "root" that of a container without a mount namespace.

    The process, which "target" is the pidfd of, is looked for after the link
    has been followed: so it was not that of a later one of the same number.
    """
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
    context.keep("root", posix.open(f"/proc/{pid}/root", flags))
    pidfd_send_signal(context.fds["target"], 0)


def unshare_user(context: Context) -> None:
    """Before a time namespace that is to belong to it; the runtime's turn is next, to map it."""
    unshare(CLONE_NEWUSER)


def unshare_time(context: Context) -> None:
    unshare(CLONE_NEWTIME)


def open_time_offsets(context: Context) -> None:
    """The stage's own, held under "time offsets".

    It is root's where the stage is not dumpable, as it has to be once it is in
    the container's user namespace; and who has opened it has the right to it.
    """
    flags = posix.O_WRONLY | posix.O_CLOEXEC
    fd = posix.open("self/timens_offsets", flags, dir_fd=context.fds["proc"])
    context.keep("time offsets", fd)


def write_time_offsets(context: Context, text: str) -> None:
    """text: lines of clock, seconds and nanoseconds, as time_namespaces(7) has them."""
    posix.write(context.fds["time offsets"], text.encode())
    context.release("time offsets")


def unshare_cgroup(context: Context) -> None:
    """Its root is the cgroup that the process is in, so this waits until it is there."""
    unshare(CLONE_NEWCGROUP)


def write_id_map(context: Context, name: str, text: str) -> None:
    """uid_map or gid_map of the process just cloned (user_namespaces(7))."""
    _write_proc(context, name, text)


def check_id_map(context: Context, name: str, text: str) -> None:
    """Of the process just cloned, as it looks from here.  text: lines as for write_id_map()."""
    with open(f"/proc/{context.pid}/{name}", encoding="ascii") as file:
        rows = [line.split() for line in file]
    if rows != [line.split() for line in text.splitlines()]:
        found = ", ".join(" ".join(row) for row in rows) or "nothing"
        raise StepProblem(
            f"the user namespace maps {found}",
            "leave the mappings out, or give those of the namespace that is joined",
        )


def deny_setgroups(context: Context) -> None:
    """Without CAP_SETGID the kernel takes a gid map only then (CVE-2014-8989)."""
    _write_proc(context, "setgroups", "deny")


def _write_proc(context: Context, name: str, text: str) -> None:
    path = f"/proc/{context.pid}/{name}"
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        _require_its_number(context)  # now that it is open: what it is of stays the same
        posix.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        posix.close(fd)


def _require_its_number(context: Context) -> None:
    """ProcessLookupError where context.pid is a number that another process may have."""
    pidfd_send_signal(context.own_pidfd(), 0)


def run_id_mapper(context: Context, program: str, words: tuple[str, ...]) -> None:
    """newuidmap(1) or newgidmap(1), which check /etc/subuid and /etc/subgid.

    words: container id, host id, size, and so on for each line of the map.
    """
    if "/" not in program:
        raise StepProblem(
            f"{program} is not installed",
            "an ordinary user needs it to map more than his own id: install the"
            " package uidmap (shadow-utils)",
        )
    _require_its_number(context)  # all that can be told to a program that takes a number
    read, write = posix.pipe()
    with open(read, "rb") as output:
        try:
            pid = posix.posix_spawn(
                program,
                [program, str(context.pid), *words],
                {"PATH": "/usr/bin:/bin"},
                file_actions=[
                    (posix.POSIX_SPAWN_DUP2, write, 2),
                    (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDWR, 0),
                    (posix.POSIX_SPAWN_DUP2, 0, 1),
                ],
            )
        finally:
            posix.close(write)
        said = output.read()
    try:
        failed = posix.waitpid(pid, 0)[1] != 0
    except ChildProcessError:  # the host program has reaped it
        failed = bool(said)
    if failed:
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
        hint = "see subuid(5): the ranges that this user may map"
        if get_no_new_privs():
            hint = "no_new_privs is set, so that program gains no privilege: map one id alone"
        raise StepProblem(lines[-1], hint)


def become_root(context: Context) -> None:
    """Ids 0 of the new map, and no supplementary groups.

    An ordinary user keeps his own where he has to (user_namespaces(7), setgroups).
    """
    if not _leave_groups(context) and may_set_groups(context.fds["proc"]):
        raise StepProblem(
            "the user namespace has no gid map", "write /proc/PID/gid_map of a process in it first"
        )
    try:
        setresgid(0, 0, 0)
        setresuid(0, 0, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # The map has no 0, which the kernel allows: the ids stay as mapped.
    set_dumpable(False)  # it may be again: fs.suid_dumpable is what a change of rights sets


def _leave_groups(context: Context) -> bool:
    """Give the supplementary groups up, unless they are to be kept; False if that is not allowed.

    They are the host's in a user namespace too, and so is what they have access to.
    A namespace may deny setgroups(2), so root gives them up before it joins one.
    """
    if "keep groups" not in context.values:
        try:
            setgroups([])
        except PermissionError:
            return False
    return True


def new_session(context: Context) -> None:
    posix.setsid()


def make_undumpable(context: Context) -> None:
    """Nobody in a joined namespace may trace it, or reach the host through its /proc links."""
    set_dumpable(False)


def set_death_signal(context: Context, signal: int) -> None:
    set_pdeathsig(signal)
