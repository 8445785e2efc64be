"""Ending what runs of a container: its first process, its other ones, its hooks."""

from __future__ import annotations

import _signal
import posix

from ..errors import ContainerNotRunning, Error
from ..loading.clock import backoff
from ..syscalls import pidfds, procfs
from .holdings import reap
from .proc import is_same, of_this_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .directory import Directory
    from .holdings import Holdings
    from .process import Child

_SECONDS = 10.0  # that a process may take to end by SIGKILL
_SOON = 5  # milliseconds that it takes as a rule


def stop(holdings: Holdings) -> None:
    """End it, after a start that was not to be.

    Without the lock, which recording its exit status takes.
    """
    kill_init(holdings)
    if not holdings.record.own_pids and holdings.record.cgroup_paths:
        holdings.ledger().kill()


def kill_init(holdings: Holdings) -> None:
    """End the first process, and with it all in its pid namespace, and wait until it is gone."""
    try:
        pidfd = holdings.open_init()
    except ContainerNotRunning:
        return  # it has ended by itself just now
    try:
        try:
            pidfds.send(pidfd, _signal.SIGKILL)
        except ProcessLookupError:
            return
        waiting = backoff(_SECONDS)
        while not wait_for(pidfd, 0):
            groups = thaw(holdings)
            # Process 1 of a pid namespace ends when all others in it have
            # been waited for.
            holdings.reap_further()
            _refuse_frozen(holdings, groups)
            if not wait_for(pidfd, 1) and not next(waiting):
                raise Error(f"container {holdings.id!r}: its process did not end after SIGKILL")
    finally:
        posix.close(pidfd)


def end_messenger(holdings: Holdings) -> None:
    """It ends with the first process, or the start, unless somebody inside keeps its pipes open."""
    _end_companion(holdings, holdings.record.messenger)


def end_reaper(holdings: Holdings) -> None:
    """End it, and with it all in its pid namespace; to be called when our own have been ended."""
    _end_companion(holdings, holdings.record.reaper)


def _end_companion(holdings: Holdings, marks: list[int]) -> None:
    pid, *marks = marks or (0, 0, 0)
    for child in holdings.children():
        if child.pid == pid:
            kill_children(holdings, [child])  # its end is told; the list is others' to change
            return
    pidfd = pidfds.find(pid) if pid else -1
    if pidfd < 0:
        return
    try:
        if is_same(pid, *marks) and of_this_boot(holdings.record.boot):
            pidfds.send(pidfd, _signal.SIGKILL)
            waiting = backoff(_SECONDS)
            while not wait_for(pidfd, 1) and next(waiting):
                thaw(holdings)
    except ProcessLookupError:
        pass  # it has ended just now
    finally:
        posix.close(pidfd)


def end_companions(holdings: Holdings, companions: list[Child]) -> None:
    """Of a process that has ended.  They are ours.

    The reaper ends when all in its pid namespace have been waited for.  What takes long,
    destroy() finds again.
    """
    for one in companions:
        try:
            one.signal(_signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has been waited for
    waiting = backoff(_SECONDS)
    left = list(companions)
    while left:
        holdings.reap_further()
        reap(left)
        if left:
            watched = left[0].watch()
            if watched >= 0:
                ended = wait_for(watched, _SOON)
                posix.close(watched)
                if not ended and not next(waiting):
                    return


def thaw(holdings: Holdings) -> list[str]:
    """Let those run on that are frozen, in groups below the container's, too: to die.

    Returns the container's own groups.
    """
    if not holdings.record.cgroup_paths:
        return []
    from ..cgroups import killing

    own = holdings.ledger(by_force=True).own()
    killing.thaw(own)
    return own


def _refuse_frozen(holdings: Holdings, groups: list[str]) -> None:
    if groups:
        from ..cgroups import killing

        frozen = killing.frozen_above(groups)
        if frozen:
            raise Error(
                f"container {holdings.id!r}: its process cannot end, as the control group"
                f" {frozen!r} above its own is frozen; resume what is in that one first"
            )


def kill_children(holdings: Holdings, children: list[Child]) -> None:
    """End those that are ours, and wait for them; how they end, their Processes still tell."""
    for child in children:
        try:
            child.signal(_signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has ended
    waiting = backoff(_SECONDS)
    while children:
        reap(children)
        if children and not next(waiting):
            raise Error(f"container {holdings.id!r}: its processes did not end after SIGKILL")


def end_hook(directory: Directory, *, spare: Collection[int] = ()) -> None:
    """End a hook that goes on, with what it has started; unless it is what calls us.

    Its runtime may have been killed, perhaps before it knew the hook's number.  So it
    is also looked for by its standard input.
    spare: processes whose groups are not to be ended.
    """
    noted = directory.hook()
    if noted is None:
        return
    stdin, pid, marks = noted
    found = {pid} if is_same(pid, *marks) else set()
    for number in procfs.numbers():
        try:
            at = posix.stat(procfs.path(number, "fd/0"))
            if (at.st_dev, at.st_ino) == stdin:
                found.add(posix.getpgid(number))
        except OSError:
            continue  # it has ended, or is not ours to look at
    for group in found - _groups({posix.getpid(), *spare}):
        try:
            posix.killpg(group, _signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended just now


def _groups(pids: Collection[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            found.add(posix.getpgid(pid))
        except ProcessLookupError:
            continue
    return found


def wait_for(pidfd: int, milliseconds: int) -> bool:
    """Whether the process ends within that time."""
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))
