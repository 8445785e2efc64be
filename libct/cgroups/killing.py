"""Ending all that runs in control groups, of either version and both at once.

One write to cgroup.kill does it with v2 since Linux 5.14, but for threaded groups.  Elsewhere
the processes are killed one by one, and frozen before that where they are many or fork away
from the list.  From when a group is to be frozen each process in it can fork once more at the
most, for what is born in there never gets to run, and none forks that SIGKILL has been sent
to.  So all have got it when a look finds none that has not, and nobody waits until the group
says that it is frozen.  Then it is thawed: what v1 has frozen does not die, and a container
may have frozen groups below its own by itself.

Sources: the kernel's admin-guide/cgroup-v2, cgroup.kill, and
admin-guide/cgroup-v1/freezer-subsystem; copy_process() in kernel/fork.c.
"""

from __future__ import annotations

import errno
import posix
import time
from _signal import SIGKILL

from ..errors import CgroupError
from ..loading.clock import backoff
from ..loading.paths import split
from ..syscalls import pidfds
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SECONDS = 10.0  # within which one more of the processes has to end by SIGKILL
_FORKS_SECONDS = 0.01  # after which it is assumed that they fork away from being killed
_ABOVE_SECONDS = 0.1  # after which they may be frozen by a group above
_MANY = 50  # processes, which are frozen at once: killing them takes time in which they fork
_LOOKS = 20  # for what has been forked, which two are enough for, if nobody thaws the group
_AT_ONCE = 50  # processes that are opened
_V1, _V2 = "freezer.state", "cgroup.freeze"


def kill(
    directories: Collection[str], *, spare: Collection[int] = (), reused: bool = False
) -> None:
    """Send SIGKILL to every process in these groups and those below, and wait until all have ended.

    spare: processes that live on.
    reused: the groups are to take other processes, which Linux 6.18 may kill as well after
        cgroup.kill (ledger.py, discard).
    CgroupError if others live on, and none of them has ended for ten seconds.
    """
    own = posix.getpid()
    spared = {0, own, *spare}  # 0 is one that this pid namespace does not see
    present = running(directories)
    if not reused and not spared.intersection(present):
        for directory in directories:
            _write(f"{directory}/cgroup.kill", "1")
    start = progress = time.monotonic()
    waiting, fewest = backoff(_SECONDS), len(present)
    killed: set[int] = set()
    while found := [pid for pid in present if pid not in spared]:
        now = time.monotonic()
        many = len(found) > _MANY or now - start > _FORKS_SECONDS
        # Who is in there himself would never thaw it.
        if many and not killed.issuperset(found) and own not in present:
            _kill_frozen(directories, found, spared)
        else:
            _kill(directories, found)
        killed.update(found)
        thaw(directories)
        if len(found) < fewest:
            fewest, progress = len(found), now
        if now - progress > _ABOVE_SECONDS:
            _refuse_frozen(directories, found)
        if now - progress > _SECONDS:
            raise CgroupError(f"processes {_listed(found)} did not end after SIGKILL")
        if not next(waiting):
            waiting = backoff(_SECONDS)
        present = running(directories)


def _kill_frozen(directories: Collection[str], found: list[int], spared: set[int]) -> None:
    """Kill what has been found, and what it has forked until it was frozen."""
    _freeze(directories, "1", "FROZEN")
    try:
        killed: set[int] = set()
        for _ in range(_LOOKS):
            _kill(directories, found)
            killed.update(found)
            found = [pid for pid in running(directories) if pid not in killed | spared]
            if not found:
                break
    finally:
        _freeze(directories, "0", "THAWED")


def _refuse_frozen(directories: Collection[str], found: list[int]) -> None:
    above = frozen_above(directories)
    if above:
        raise CgroupError(
            f"processes {_listed(found)} cannot end, as the control group {above!r} above their own"
            " is frozen; resume what is in that one first"
        )


def _listed(pids: list[int]) -> str:
    return " ".join(map(str, pids[:5])) + (" ..." if pids[5:] else "")


def running(directories: Collection[str]) -> list[int]:
    """The processes in the first of these groups, with those below it, that has any.

    With v1 those of the others are the same, as a rule.
    """
    for directory in directories:
        try:
            found = files.tree_pids(directory)
        except OSError as error:
            raise files.failure("list processes", error) from error
        if found:
            return found
    return []


def thaw(directories: Collection[str]) -> None:
    """Let all run on that v1 has frozen in these groups and below: the highest first."""
    for directory in directories:
        for path in reversed(list(files.tree(directory))):
            if not _write(f"{path}/{_V1}", "THAWED"):
                break  # of another controller


def frozen_above(directories: Collection[str]) -> str:
    """The group above one of these that v1 has frozen, and these with it; "" where none is.

    What is in them dies only when that one runs on, which is for its own container to decide.
    """
    for directory in directories:
        path = directory
        while _reads(f"{path}/freezer.parent_freezing", "1"):
            path = split(path)[0]
            if _reads(f"{path}/freezer.self_freezing", "1"):
                return path
    return ""


def _reads(path: str, text: str) -> bool:
    try:
        return files.read(path).strip() == text
    except OSError:
        return False  # of another controller, or gone


def _freeze(directories: Collection[str], v2: str, v1: str) -> None:
    """Have them stop, or run on, as far as that is for us to say; it is not waited for."""
    for directory in directories:
        if not _write(f"{directory}/{_V2}", v2):
            _write(f"{directory}/{_V1}", v1)


def _write(path: str, text: str) -> bool:
    """Whether it could be written: there is no such file, or group, for want of which it is not."""
    try:
        files.write(path, text)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, *files.REFUSALS):
            return False
        raise files.failure("kill what is in the control group", error) from error
    return True


def _kill(directories: Collection[str], pids: list[int]) -> None:
    """Signal those that still are in the groups.

    What forks makes the numbers go round, and one that has been read may be that of somebody
    else's process by now.  A process that was opened first and is listed after that is meant.
    """
    for start in range(0, len(pids), _AT_ONCE):
        opened: list[tuple[int, int]] = []
        try:
            for pid in pids[start : start + _AT_ONCE]:
                opened.append((pid, pidfds.find(pid)))
            present = set(running(directories))
            for pid, pidfd in opened:
                if pid in present:
                    _send(pid, pidfd)
        except OSError as error:
            raise CgroupError(f"cannot kill process {pid}: {error.strerror}") from error
        finally:
            for _, pidfd in opened:
                if pidfd >= 0:
                    posix.close(pidfd)


def _send(pid: int, pidfd: int) -> None:
    try:
        if pidfd >= 0:
            pidfds.send(pidfd, SIGKILL)
        else:  # the number of a thread, in a group of threads
            posix.kill(pid, SIGKILL)
    except ProcessLookupError:
        pass  # it has ended
    except PermissionError:
        raise CgroupError(f"cannot kill process {pid}: it is another user's") from None
