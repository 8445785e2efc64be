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
from . import clones
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


_STAGE_NAME = "libct:stage"


def clone_stage(context: Context, into_cgroup: bool) -> None:
    """The process that joins namespaces and clones the next; it stays in ours for pids."""
    _clone(context, 0, into_cgroup, _STAGE_NAME)


def clone_init(context: Context, flags: int, into_cgroup: bool, back: bool = False) -> None:
    """flags: CLONE_NEW* of the namespaces that are made with it.

    back: we return to our own pid namespace then, which clone_reaper() has seen to.
    """
    _clone(context, flags, into_cgroup, INIT_NAME)


def clone_command(context: Context, filtered: bool = False) -> None:
    """The stage's last: what it clones is what it has become itself.

    filtered: it is under the filter of the container's system calls already.
    """
    _clone(context, 0, False, INIT_NAME, last=True, filtered=filtered)


def _clone(
    context: Context,
    flags: int,
    into_cgroup: bool,
    name: str,
    *,
    last: bool = False,
    filtered: bool = False,
) -> None:
    # CLONE_PARENT: a child of the runtime, as the server and the stage are.
    cgroup = context.fds.get("cgroup", -1) if into_cgroup else -1
    lender = context.values.get("lender") if not last else None
    reaper = context.values.pop("reaper", None)
    number_at = context.values["clones"].address
    try:
        if filtered:
            pid, pidfd = clone(flags | CLONE_PARENT, number_at), -1
        else:
            pid, pidfd = clone3(
                flags | CLONE_PARENT | CLONE_PIDFD, cgroup=cgroup, number_at=number_at
            )
    except OSError:
        if lender is not None:
            lender.dismiss()
        if reaper is not None:
            reaper.leave()
        raise
    context.values["cloned"] = (pid, pidfd)
    if reaper is not None:
        if pid:
            reaper.begin()
            reaper.leave()
        else:
            reaper.forget()
    if pid and lender is not None:
        lender.lend_to(pid, pidfd)
    if pid == 0:
        close_the_door()
        if not last:
            posix.umask(0)  # the modes that steps give to files are the whole of it
        context.values["is clone"] = True
        requests = context.values.pop("requests", None)
        if requests is not None:
            requests.close()
        set_name(name)
        if name == _STAGE_NAME:
            context.values["clones"] = clones.Page(context.fds["clones"], clones.STAGE)
        context.release("clones")


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
