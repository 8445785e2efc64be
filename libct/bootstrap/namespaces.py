"""Namespaces and processes: what runc's nsenter does in C, as steps.

The first process is cloned by the server straight into its new namespaces.  Where
others are to be joined, or time offsets set, a stage goes between: a process that joins
them and then clones.  For a further process in a pid namespace the stage does all that
there is to be done, and what it clones only becomes the command.
All are cloned with CLONE_PARENT and
so are the runtime's children, which waits on them by their pidfds.
"""

from __future__ import annotations

import posix

from ..config.status import INIT_NAME
from ..syscalls.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_PARENT,
    CLONE_PIDFD,
    clone,
    clone3,
    unshare,
)
from ..syscalls.process import set_dumpable, set_name, set_pdeathsig
from ..syscalls.sharing import SHARING
from . import clones, sharing
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


_STAGE_NAME = "libct:stage"


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


def unshare_cgroup(context: Context) -> None:
    """Its root is the cgroup that the process is in, so this waits until it is there."""
    unshare(CLONE_NEWCGROUP)


def new_session(context: Context) -> None:
    posix.setsid()


def make_undumpable(context: Context) -> None:
    """Nobody in a joined namespace may trace it, or reach the host through its /proc links."""
    set_dumpable(False)


def set_death_signal(context: Context, signal: int) -> None:
    set_pdeathsig(signal)
