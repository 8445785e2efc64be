"""What the steps of one process share while they are performed."""

from __future__ import annotations

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Context:
    """Descriptors by name, and what earlier steps have found out.

    fds: descriptors by the name that the plan gives them ("root", "proc",
        "source 3", ...); close-on-exec, and the context's to close.
    values: findings of a step that a later one needs ("uid", "program", ...).
    step: the number of the one being performed.
    pid: on the runtime's side, the host's number of the process cloned last.
    """

    __slots__ = ("fds", "pid", "step", "values")

    def __init__(self, fds: dict[str, int] | None = None) -> None:
        self.fds: dict[str, int] = fds if fds is not None else {}
        self.values: dict[str, Any] = {}
        self.pid = self.step = 0

    def warn(self, text: str) -> None:
        """Tell the runtime of something that the step does otherwise than asked."""
        self.values["talk"].tell(("warned", self.step, text))

    def own_pidfd(self) -> int:
        """The runtime's pidfd of the process context.pid, borrowed.

        ProcessLookupError where its number may be another process's: it is our child's, but a
        host program may wait for all children that it has.
        """
        pidfd: int = self.values["pidfd"]
        if pidfd < 0:
            raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))
        return pidfd

    def keep(self, name: str, fd: int) -> None:
        """Hold fd under name; what had the name before is closed."""
        if name in self.fds:
            posix.close(self.fds[name])
        self.fds[name] = fd

    def release(self, name: str) -> None:
        """Close the descriptor of this name, if there is one."""
        if name in self.fds:
            posix.close(self.fds.pop(name))


class Trace:
    """Records of performed steps: (number, start, duration, result).

    start is in ns since the epoch, the duration in ns of the same clock: a time
    namespace has another monotonic one.  The step that goes on is current: its
    number and start.
    """

    __slots__ = ("current", "on", "records")

    def __init__(self, on: bool) -> None:
        self.on = on
        self.current = (0, 0)
        self.records: list[tuple[int, int, int, str]] = []

    def take(self) -> list[tuple[int, int, int, str]]:
        records, self.records = self.records, []
        return records
