"""Ending all that runs in control groups, of either version and both at once.

One write to cgroup.kill does it with v2 since Linux 5.14.  Elsewhere the
processes are frozen, so that none forks away from the list, killed, and thawed:
a process that v1 has frozen does not die, and a container may have frozen groups
below its own by itself.

Sources: the kernel's admin-guide/cgroup-v2, cgroup.kill, and
admin-guide/cgroup-v1/freezer-subsystem.
"""

from __future__ import annotations

import errno
import posix
import time
from _signal import SIGKILL

from ..errors import CgroupError
from ..loading.clock import backoff
from ..loading.paths import split
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SECONDS = 10.0  # that processes may take to end by SIGKILL
_FORKS_SECONDS = 0.01  # after which it is assumed that they fork away from being killed
_FREEZE_SECONDS = 0.1  # that they may take to freeze, before they are killed all the same
_V1, _V2 = "freezer.state", "cgroup.freeze"


def kill(
    directories: Collection[str], *, spare: Collection[int] = (), reused: bool = False
) -> None:
    """Send SIGKILL to every process in these groups and those below, and wait until all have ended.

    spare: processes that live on.
    reused: the groups are to take other processes, which Linux 6.18 may kill as well after
        cgroup.kill (ledger.py, discard).
    CgroupError if others live on for ten seconds.
    """
    spared = {0, posix.getpid(), *spare}  # 0 is one that this pid namespace does not see
    if not reused and not spared.intersection(running(directories)):
        for directory in directories:
            _write(f"{directory}/cgroup.kill", "1")
    start, waiting = time.monotonic(), backoff(_SECONDS)
    while found := [pid for pid in running(directories) if pid not in spared]:
        forks = time.monotonic() - start > _FORKS_SECONDS
        if forks:
            _freeze(directories)
        for pid in running(directories) if forks else found:
            if pid not in spared:
                _kill(pid)
        thaw(directories)
        if forks:
            _thaw_v2(directories)
        if not next(waiting):
            raise CgroupError(f"processes {found} do not end by SIGKILL")


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


def _thaw_v2(directories: Collection[str]) -> None:
    for directory in directories:
        _write(f"{directory}/{_V2}", "0")


def _freeze(directories: Collection[str]) -> None:
    """Stop them, as far as that can be done at once."""
    for directory in directories:
        if _write(f"{directory}/{_V2}", "1"):
            waits_for, file = "frozen 1", f"{directory}/cgroup.events"
        elif _write(f"{directory}/{_V1}", "FROZEN"):
            waits_for, file = "FROZEN", f"{directory}/{_V1}"
        else:
            continue
        waiting = backoff(_FREEZE_SECONDS)
        try:
            while waits_for not in files.read(file).splitlines() and next(waiting):
                pass
        except OSError:
            continue  # the group went


def _write(path: str, text: str) -> bool:
    """Whether it could be written: there is no such file, or group, for want of which it is not."""
    try:
        files.write(path, text)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, *files.REFUSALS):
            return False
        raise files.failure("kill what is in the control group", error) from error
    return True


def _kill(pid: int) -> None:
    try:
        posix.kill(pid, SIGKILL)
    except ProcessLookupError:
        pass  # it has ended
    except PermissionError:
        raise CgroupError(f"cannot kill process {pid}: it is another user's") from None
