"""User namespaces: their maps of ids, and becoming root of one (user_namespaces(7))."""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem
from ..security.users import may_set_groups
from ..syscalls.credentials import setgroups, setresgid, setresuid
from ..syscalls.process import pidfd_send_signal, set_dumpable
from ..syscalls.settings import get_no_new_privs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


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
