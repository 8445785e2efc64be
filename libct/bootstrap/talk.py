"""The talk of a start: between the runtime and who performs a plan.

Two pipes, made for one plan: one up to the runtime, one down from it.  The server, the
stage and the first process have the other ends, one after the other.  They are pipes,
and no socket, for somebody inside may trace the process that appears there, and take copies
of what it has (pidfd_getfd(2)).  A socket would lead him to whoever has made it
(unix(7), SO_PEERPIDFD), and with CAP_SYS_PTRACE to all that this one has open.  A pipe
says nothing about its other end, and carries nothing but bytes.

Up, by tell() and hear(), each a length (8 bytes) and a message of our own format (message.py):
    ("turn", traces)             the steps up to a runtime's turn are done
    ("cloned", number)           by step `number`: the first word of what it has made
    ("found", number, text)      what the path of Landlock rule `number` leads to
    ("warned", number, text)     step `number` goes on, but not as it was asked to
    ("listens", number)          the descriptor of a filter's listener (seccomp/load.py)
    ("traced", traces, number, start)  before execve, which is step `number`; 0 if not timed
    ("failed", number, errno, call, problem, path, hint, traces)
Down, one byte each: the runtime's turn is over; or it has given up.
The end of a pipe says that the other side has ended, or has become the command.
"""

from __future__ import annotations

import errno
import posix

from ..syscalls.descriptors import move_above
from .message import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LENGTH = 8  # bytes, little-endian
# The first is that of an absolute path, and used as that (bare.py).
GO, STOP = b"/", b"\0"


class Speaker:
    """The ends of who performs: the server, the stage, and the process that becomes the command."""

    __slots__ = ("_down", "_up")

    def __init__(self, up: int, down: int) -> None:
        self._up, self._down = up, down

    def descriptors(self) -> tuple[int, int]:
        """To be left open until execve(2); the second hangs up when the runtime has gone."""
        return self._up, self._down

    def tell(self, message: tuple[Any, ...]) -> None:
        """OSError where the runtime has gone.  SIGPIPE is to be ignored."""
        data = framed(encode(message))
        while data:
            written = posix.write(self._up, data)
            if not written:  # no pipe does that: a filter of system calls fakes it
                raise OSError(errno.EPIPE, "write: nothing is written")
            data = data[written:]

    def await_go(self) -> None:
        """Wait for the end of the runtime's turn; EOFError if it has gone, or given up."""
        if posix.read(self._down, 1) != GO:
            raise EOFError

    def move_above(self, lowest: int) -> None:
        """Have descriptors of at least this number."""
        self._up, self._down = move_above(self._up, lowest), move_above(self._down, lowest)

    def close(self) -> None:
        posix.close(self._up)
        posix.close(self._down)


def framed(body: bytes) -> bytes:
    """An encoded message, as tell() sends it."""
    return len(body).to_bytes(LENGTH, "little") + body
