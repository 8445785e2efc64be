"""The steps that make control groups, on the runtime's side; limiting.py limits them.

Where an argument says optional, a refusal for want of permission, or of the
file, is no error: without privilege a container has the groups it can get.
"""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem
from ..loading.clock import backoff
from ..loading.paths import is_directory, split
from . import files, freezer
from .files import DELEGATE, REFUSALS, hinted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .ledger import Ledger

_LEVELS_SECONDS = 1.0  # to make a group whose upper levels go away again
_START_SECONDS = 1.0  # that another start in the same group may take to enter it


def cgroup_mkdir(context: Context, mount: str, below: str, optional: int) -> None:
    """Make a group and the levels above it that are missing, in context.values["ledger"].

    One that is there is taken if nothing runs in it and it is not frozen; what a
    container has left there is removed first.
    """
    directory = f"{mount}/{below}"
    ledger: Ledger = context.values["ledger"]
    try:
        _make_or_take(ledger, mount, directory)
    except OSError as error:
        if optional and error.errno in REFUSALS:
            return
        raise (refused(error) if error.errno in REFUSALS else error) from None
    _refuse_frozen(directory)


def _make_or_take(ledger: Ledger, mount: str, directory: str) -> None:
    waiting = backoff(_START_SECONDS)
    while not _make(ledger, mount, directory):
        try:
            # What is another user's, or read-only, can neither be entered nor removed.
            posix.close(files.open_file(f"{directory}/cgroup.procs", posix.O_WRONLY))
            _refuse_used(directory)
            if ledger.hold(directory):
                _refuse_used(directory)  # by a start that has let go of it
                _refuse_frozen(directory)
                if not ledger.discard(directory):
                    return ledger.take(directory)
            elif not next(waiting):
                raise StepProblem(
                    f"another container is being started in {directory!r}, or somebody holds a"
                    " lock (flock) on it",
                    "choose another linux.cgroupsPath",
                )
        except OSError as error:
            # The end of another container has removed it.
            if error.errno not in (errno.ENOENT, errno.ENODEV) or not next(waiting):
                raise
    return None


def _make(ledger: Ledger, mount: str, directory: str) -> bool:
    """Make the group, and the levels above it; False where it is there already."""
    waiting = backoff(_LEVELS_SECONDS)
    while True:
        level = mount
        for name in split(directory)[0][len(mount) + 1 :].split("/"):
            if name:
                level += f"/{name}"
                ledger.make_above(level)
        try:
            return ledger.make(directory)
        except FileNotFoundError:
            # The end of another container has removed a level that was empty.
            if not next(waiting):
                raise


def _refuse_used(directory: str) -> None:
    used = files.tree_pids(directory)
    if used:
        listed = " ".join(map(str, used[:5])) + (" ..." if used[5:] else "")
        raise StepProblem(
            f"container's cgroup is not empty: processes {listed} are in {directory!r}",
            "choose another linux.cgroupsPath, or end them",
        )


def _refuse_frozen(directory: str) -> None:
    """A process that is cloned into it would not run; a new group is as the one above it."""
    if not freezer.stops(directory):
        return
    level = freezer.frozen_above(directory)
    what = f"container's cgroup unexpectedly frozen: {directory!r}"  # runc's words
    if level:
        raise StepProblem(
            f"{what}, with the control group {level!r} above it",
            "resume what is in that one first, or choose another linux.cgroupsPath",
        )
    raise StepProblem(what, "choose another linux.cgroupsPath, or remove that group")


def cgroup_chown(context: Context, directory: str, uid: int, optional: int) -> None:
    """Delegate a v2 group: the directory, and the files that the kernel lists for it.

    An ordinary user can give nothing to another of the container's ids: the group stays
    as it is then, and who is this id in there manages no groups.
    """
    try:
        with open("/sys/kernel/cgroup/delegate", encoding="ascii") as listed:
            names = listed.read().split()
    except FileNotFoundError:  # Linux 4.15, or without sysfs
        names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
    if optional and not is_directory(directory):  # it was refused
        return
    fd = files.open_file(directory, posix.O_RDONLY | posix.O_DIRECTORY)
    try:
        try:
            posix.fchown(fd, uid, -1)
        except PermissionError:
            if optional:
                return
            raise
        for name in names:
            try:
                posix.chown(name, uid, -1, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:  # of a controller that is not enabled
                continue
    finally:
        posix.close(fd)


def refused(error: OSError) -> OSError:
    if error.errno == errno.EROFS:
        return hinted(error, "the control groups are mounted read-only here")
    remedy = f"have one delegated, with libct as its only process: {DELEGATE}"
    return hinted(error, f"an ordinary user can only limit groups of their own; {remedy}")
