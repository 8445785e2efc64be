"""Memory events of cgroup v1: an eventfd, which the kernel counts up.

It has been told which one by a line in cgroup.event_control, with a descriptor of the
file that the events are of, and for memory.pressure_level the level.

Source: the kernel's admin-guide/cgroup-v1/memory, 9 to 11.
"""

from __future__ import annotations

import os
import select
import sys

from ..cgroups import files
from ..cgroups.files import failure
from ..errors import CgroupError
from ..syscalls.notify import EFD_CLOEXEC, EFD_NONBLOCK, eventfd
from .events import Events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cgroups.manager import Manager


class MemoryEvents(Events):
    """Counted by an eventfd, until the first process ends."""

    def __init__(
        self,
        manager: Manager,
        open_init: Callable[[], int],
        file: str,
        argument: str = "",
        *,
        optional: bool = False,
    ) -> None:
        """file, argument: what of.  optional: where nothing is counted, tell of the end alone."""
        self._group = manager.paths().get("memory", "")
        counted = os.path.isdir(self._group)  # an ordinary user may have to do without
        if not counted and not optional:
            raise CgroupError("cannot watch the memory: there is no group of the memory controller")
        super().__init__()
        try:
            self._pidfd = self.watch(open_init())
            self._counter = self.watch(_registered(self._group, file, argument)) if counted else -1
        except BaseException:
            self.close()
            raise

    def _look(self) -> tuple[int, bool]:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        over = bool(poll.poll(0))
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
