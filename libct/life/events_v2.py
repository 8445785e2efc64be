"""Memory events of cgroup v2.

Both kinds end with the last process, which cgroup.events tells by inotify.

KilledEvents: memory.events counts what the OOM killer does; by inotify as well.
PressureEvents: a trigger, which is a line that is written to memory.pressure, has
    the kernel tell when processes have waited too long for memory.  That is
    measured in every group, whether or not the memory controller is enabled.

Sources: the kernel's admin-guide/cgroup-v2, Memory Interface Files, and
accounting/psi, Monitoring for pressure thresholds; inotify(7); epoll(7).
"""

from __future__ import annotations

import errno
import math
import os
import select
import time

from ..cgroups import files, freezer
from ..cgroups.files import failure, read_count
from ..cgroups.statistics.parse import keyed
from ..errors import CgroupError
from ..syscalls.notify import (
    IN_CLOEXEC,
    IN_MODIFY,
    IN_NONBLOCK,
    inotify_add_watch,
    inotify_init,
)
from .events import Events

# What is killed within so many seconds of a group that is killed as a whole is of that group.
_TOGETHER = 1.0

# In each window of 2 s, for how long some process, or all at the same time, have waited:
# microseconds.  From Linux 6.5 on, and where that was taken over, an ordinary user may
# ask for this as well, in windows of whole multiples of 2 s.
_TRIGGERS = {
    "low": "some 150000 2000000",
    "medium": "some 500000 2000000",
    "critical": "full 500000 2000000",
}


class GroupEvents(Events):
    """Events of one kind, of a group, until there is no process left in it."""

    def __init__(self, group: str) -> None:
        super().__init__()
        try:
            self._group = f"{group}/cgroup.events"
            self._queue = self.watch(inotify_init(IN_CLOEXEC | IN_NONBLOCK))
            try:
                self._modified(self._group)
            except OSError as error:
                raise failure("watch the control group", error) from error
            self._prepare(group)
        except BaseException:
            self.close()
            raise

    def _prepare(self, group: str) -> None:
        """Watch what the events are of."""
        raise NotImplementedError

    def _modified(self, path: str) -> None:
        """Wake up when the kernel has changed a file."""
        inotify_add_watch(self._queue, path, IN_MODIFY)

    def _look(self) -> tuple[int, bool]:
        # Which of the files has changed is not worth reading: all are small.
        try:
            while os.read(self._queue, 4096):
                pass
        except BlockingIOError:
            pass
        count = self._count()
        over = not read_count(self._group, "populated")
        if over:  # and what was there in between?
            count += self._count()
        return count, over

    def _count(self) -> int:
        """How many events there were since the last call."""
        raise NotImplementedError


class KilledEvents(GroupEvents):
    """What the OOM killer has killed: processes, and groups as a whole (memory.oom.group).

    Of such a group the kernel counts the first process, then that it is one
    (oom_group_kill, Linux 5.17), then the others, some of them twice, and those that
    end by themselves with process 1 not at all.  So it is one event here, whether we
    look before, meanwhile or after.
    """

    def __init__(self, group: str, *, optional: bool = False) -> None:
        """optional: no error where memory is not counted; only the end is told then."""
        self._optional = optional
        self._killed = self._groups = 0
        super().__init__(group)

    def _prepare(self, group: str) -> None:
        self._memory = f"{group}/memory.events"
        try:
            self._modified(self._memory)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise failure("watch the memory", error) from error
            if not self._optional:
                above = os.path.dirname(group)
                raise CgroupError(
                    "cannot watch the memory: the memory controller is not enabled"
                    f" for the control group {group!r} (if {above}/cgroup.controllers has it:"
                    f" write +memory to {above}/cgroup.subtree_control)"
                ) from error
        self._killed, self._groups = self._read()
        self._one_told = self._group_told = -math.inf

    def _count(self) -> int:
        killed, groups = self._read()
        more, more_groups = killed - self._killed, groups - self._groups
        self._killed, self._groups = killed, groups
        now = time.monotonic()
        if more_groups > 0:
            self._group_told = now
            # The first process may have been told of already.
            return more_groups - (now - self._one_told < _TOGETHER)
        if more <= 0 or now - self._group_told < _TOGETHER:
            return 0
        self._one_told = now
        return more

    def _read(self) -> tuple[int, int]:
        """How many processes were killed, and groups; what it was before if the file is gone."""
        try:
            found = keyed(files.read(self._memory))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise failure("read memory.events", error) from error
            return self._killed, self._groups
        return found.get("oom_kill", 0), found.get("oom_group_kill", 0)


class PressureEvents(GroupEvents):
    """Windows in which processes have waited too long for memory."""

    def __init__(self, group: str, level: str) -> None:
        self._trigger = _TRIGGERS[level]
        super().__init__(group)

    def _prepare(self, group: str) -> None:
        # Two triggers, for a trigger tells of an event once, to whoever polls it first.
        # That is who polls fileno(), and with it all that is in there.  So the
        # first one wakes, and only take() asks the second.  The first is not
        # believed: Linux 6.5 and newer wakes up for all triggers of a file.
        self.watch(_triggered(group, self._trigger), select.EPOLLIN | select.EPOLLET)
        # The kernel looks at this one before the first: the later one comes first.
        self._asked = _triggered(group, self._trigger)
        self._fds.append(self._asked)
        self._epoll.poll(0)  # the first wakes once for nothing

    def _count(self) -> int:
        self._epoll.poll(0)  # it wakes by edges, which this takes
        poll = select.poll()
        poll.register(self._asked, select.POLLPRI)
        # POLLERR: the group has been removed.
        return sum(not found & select.POLLERR for _, found in poll.poll(0))


def _triggered(group: str, trigger: str) -> int:
    """A descriptor that polls POLLPRI for events of a trigger, until it is closed."""
    path = f"{group}/memory.pressure"
    try:
        fd = files.open_file(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(fd, trigger.encode())
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise _explained(error, group) from error
    return fd


def _explained(error: OSError, group: str) -> CgroupError:
    """Why there is no trigger, in words."""
    if error.errno in (errno.ENOENT, errno.EOPNOTSUPP) and os.path.isdir(group):
        if freezer.read(f"{group}/cgroup.pressure") == "0":
            why = f"measuring it is turned off ({group}/cgroup.pressure is 0; 1 turns it on)"
        else:
            why = "the kernel does not measure it (CONFIG_PSI; boot it with psi=1)"
    elif error.errno in (errno.EPERM, errno.EINVAL):
        why = "this kernel gives that to root alone (CAP_SYS_RESOURCE; to all from Linux 6.5 on)"
    elif error.errno == errno.EACCES:
        why = f"you may not write to {group}/memory.pressure"
    elif error.errno == errno.ENOMEM:
        why = "the kernel has no memory for it"
    else:
        why = f"{error.strerror}: {group!r}"
    return CgroupError(f"cannot watch the memory pressure: {why}")
