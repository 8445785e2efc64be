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
from .files import REFUSALS, hinted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .ledger import Ledger

_LEVELS_SECONDS = 1.0  # to make a group whose upper levels go away again
_START_SECONDS = 1.0  # that another start in the same group may take to enter it
_DELEGATE = "delegate a group to this user: systemd-run --user --scope -p Delegate=yes ..."


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


def cgroup_enable_controllers(
    context: Context, mount: str, below: str, needed: tuple[str, ...]
) -> None:
    """Let the groups on the way to this v2 group distribute all controllers there are.

    needed: the controllers that limits were asked of; only without these it fails.
    """
    if not is_directory(f"{mount}/{below}"):  # it was refused, and optional
        return
    offered = files.read(f"{mount}/cgroup.controllers").split()
    level, refused_by, problem = mount, mount, None
    for name in below.split("/"):
        error = _enable(level, offered) if offered else None
        if error is not None:
            refused_by, problem = level, error
            offered = files.read(f"{level}/cgroup.subtree_control").split()
        level += f"/{name}"
    _make_threaded(f"{mount}/{below}", needed)
    missing = [controller for controller in needed if controller not in offered]
    if missing:
        raise _not_enabled(refused_by, missing, problem) from problem


def _enable(level: str, controllers: list[str]) -> OSError | None:
    """Enable all of them, or each that can be; the last error."""
    file = f"{level}/cgroup.subtree_control"
    wanted = [f"+{controller}" for controller in controllers]
    try:
        files.write(file, " ".join(wanted))
        return None
    except PermissionError as error:
        return error
    except OSError as error:
        problem = error
    for controller in wanted:
        try:
            files.write(file, controller)
        except OSError as error:
            problem = error
    return problem


def _make_threaded(directory: str, needed: tuple[str, ...]) -> None:
    """A group below one of threads must be one too (cgroup-v2, Threads)."""
    if files.read(f"{directory}/cgroup.type").strip() != "domain invalid":
        return
    whole = [name for name in needed if name not in ("cpu", "cpuset", "pids")]
    if whole:
        raise StepProblem(
            f"{directory!r} is in a threaded control group, where {' and '.join(whole)} cannot be"
            " limited",
            "choose another linux.cgroupsPath",
        )
    files.write(f"{directory}/cgroup.type", "threaded")


def _not_enabled(level: str, missing: list[str], problem: OSError | None) -> OSError | StepProblem:
    what = " and ".join(missing)
    if problem is None:
        return StepProblem(
            f"{what} cannot be enabled", f"{level}/cgroup.controllers does not offer it"
        )
    if problem.errno == errno.EBUSY:
        why = "there are processes in that group itself; choose another linux.cgroupsPath"
        return hinted(problem, why)
    return refused(problem) if problem.errno in REFUSALS else problem


def cgroup_chown(context: Context, directory: str, uid: int) -> None:
    """Delegate a v2 group: the directory, and the files that the kernel lists for it."""
    try:
        with open("/sys/kernel/cgroup/delegate", encoding="ascii") as listed:
            names = listed.read().split()
    except FileNotFoundError:  # Linux 4.15
        names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
    fd = files.open_file(directory, posix.O_RDONLY | posix.O_DIRECTORY)
    try:
        posix.fchown(fd, uid, -1)
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
    return hinted(error, f"an ordinary user can only limit groups of their own; {_DELEGATE}")
