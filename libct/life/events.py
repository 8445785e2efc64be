"""To be told when a container runs out of memory, or when memory gets scarce in it.

v1: an eventfd, which the kernel counts up.  It has been told which one by a
    line in cgroup.event_control; "memory pressure" by level works the same way.
v2: inotify of memory.events, which counts what the OOM killer has killed, and
    of cgroup.events, which says when there is no process left.

Sources: the kernel's admin-guide/cgroup-v1/memory, 9 to 11, and
admin-guide/cgroup-v2, Memory Interface Files; eventfd(2); inotify(7).
"""

from __future__ import annotations

import errno
import os
import select
import sys

from ..cgroups import files
from ..cgroups.files import failure, read_count
from ..errors import CgroupError, Error
from ..syscalls.notify import (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    IN_CLOEXEC,
    IN_MODIFY,
    IN_NONBLOCK,
    eventfd,
    inotify_add_watch,
    inotify_init,
)
from .process import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cgroups.manager import Manager

LEVELS = ("low", "medium", "critical")


class Events:
    """Events of one kind, of one container, as they come.

        with container.oom_events() as events:
            for count in events:
                ...

    Iterating, also with `async for`, waits for the next and gives how many
    there were since the last; it ends when the container has stopped.  Or poll
    fileno() for reading, and then take().  No thread is used; one task at a
    time may wait.  To be closed: a context manager.

    ended: nothing more will come.
    """

    def __init__(self, *fds: int) -> None:
        """fds: readable when there is something to take(); they are closed with the Events."""
        self.ended = False
        try:
            self._epoll = select.epoll()
            for fd in fds:
                self._epoll.register(fd, select.EPOLLIN)
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        self._fds = fds

    def fileno(self) -> int:
        """A descriptor that polls readable when take() has something to say; the Events' own."""
        return self._epoll.fileno()

    def take(self) -> int:
        """How many events there were since the last call, 0 for none; does not wait."""
        if self.ended:
            return 0
        count, self.ended = self._look()
        return count

    def _look(self) -> tuple[int, bool]:
        """How many there were, and whether it was the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        self.ended = True
        fds, self._fds = self._fds, ()
        for fd in fds:
            os.close(fd)
        self._epoll.close()

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> int:
        while not self.ended:
            count = self.take()
            if count:
                return count
            if not self.ended:
                self._epoll.poll()
        raise StopIteration

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> int:
        while not self.ended:
            count = self.take()
            if count:
                return count
            if not self.ended:
                await readable(self.fileno())
        raise StopAsyncIteration

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fds", ()):
            self.close()


def oom_events(manager: Manager, open_init: Callable[[], int], *, optional: bool = False) -> Events:
    """What Container.oom_events() gives.  open_init: opens a pidfd of the first process."""
    if manager.version == 2:
        return V2Events(manager.directories()[0], optional=optional)
    return _v1_events(manager, open_init, "memory.oom_control", optional=optional)


def memory_pressure_events(manager: Manager, open_init: Callable[[], int], level: str) -> Events:
    """What Container.memory_pressure_events() gives."""
    if level not in LEVELS:
        raise Error(f"no such level of memory pressure: {level!r}: {', '.join(LEVELS)}")
    if manager.version == 2:
        raise CgroupError(
            "cannot watch memory pressure: cgroup v2 has no levels of it"
            " (look at memory_stats.psi of the container's stats)"
        )
    return _v1_events(manager, open_init, "memory.pressure_level", level)


# --- v1 ---


class V1Events(Events):
    """Counted by an eventfd, until the first process ends.

    group: the directory; counter: -1 where there is nothing to count.
    """

    def __init__(self, group: str, counter: int, pidfd: int) -> None:
        """The descriptors are the Events' from here on."""
        super().__init__(*(fd for fd in (counter, pidfd) if fd >= 0))
        self._group, self._counter, self._pidfd = group, counter, pidfd

    def _look(self) -> tuple[int, bool]:
        over = any(fd == self._pidfd for fd, _ in self._epoll.poll(0))
        count = self._count()
        if over and count and not os.path.isdir(self._group):
            # The removal of the group counts as well.  One event too few is
            # possible if we come too late for the very last.
            count -= 1
        return count, over

    def _count(self) -> int:
        if self._counter < 0:
            return 0
        try:
            return int.from_bytes(os.read(self._counter, 8), sys.byteorder)
        except BlockingIOError:
            return 0


def _v1_events(
    manager: Manager,
    open_init: Callable[[], int],
    file: str,
    argument: str = "",
    *,
    optional: bool = False,
) -> Events:
    group = manager.paths().get("memory", "")
    counted = os.path.isdir(group)  # an ordinary user may have to do without
    if not counted and not optional:
        raise CgroupError("cannot watch the memory: there is no group of the memory controller")
    pidfd = open_init()
    try:
        counter = _registered(group, file, argument) if counted else -1
    except BaseException:
        os.close(pidfd)
        raise
    return V1Events(group, counter, pidfd)


def _registered(group: str, file: str, argument: str) -> int:
    """An eventfd that counts what a file of the memory controller tells of."""
    counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    try:
        told = files.open_file(f"{group}/{file}", os.O_RDONLY)
        try:
            # The kernel looks at both descriptors during the write alone.
            line = f"{counter} {told} {argument}".rstrip()
            files.write(f"{group}/cgroup.event_control", line)
        finally:
            os.close(told)
    except OSError as error:
        os.close(counter)
        raise failure("watch the memory", error) from error
    return counter


# --- v2 ---


class V2Events(Events):
    """Processes that the OOM killer has killed, until there are none left to be."""

    def __init__(self, group: str, *, optional: bool = False) -> None:
        """optional: no error where memory is not counted; only the end is told then."""
        queue = inotify_init(IN_CLOEXEC | IN_NONBLOCK)
        super().__init__(queue)
        self._queue = queue
        self._memory, self._group = f"{group}/memory.events", f"{group}/cgroup.events"
        for path in (self._memory, self._group):
            try:
                inotify_add_watch(queue, path, IN_MODIFY)
            except OSError as error:
                if path == self._memory and error.errno == errno.ENOENT:
                    if optional:
                        continue
                    self.close()
                    raise CgroupError(
                        "cannot watch the memory: the memory controller is not enabled"
                        f" for the control group {group!r}"
                    ) from error
                self.close()
                raise failure("watch the control group", error) from error
        self._killed = self._kills()

    def _look(self) -> tuple[int, bool]:
        # Which of the files has changed is not worth reading: both are small.
        try:
            while os.read(self._queue, 4096):
                pass
        except BlockingIOError:
            pass
        before = self._killed
        self._killed = max(before, self._kills())
        over = not read_count(self._group, "populated")
        if over:  # and what was killed in between?
            self._killed = max(self._killed, self._kills())
        return self._killed - before, over

    def _kills(self) -> int:
        return read_count(self._memory, "oom_kill")
