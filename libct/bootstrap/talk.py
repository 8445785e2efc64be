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

import _signal
import errno
import posix
import select
import time

from ..syscalls import pidfds
from ..syscalls.descriptors import move_above
from ..syscalls.interrupts import allowed
from .message import LARGEST, Garbled, checked, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LENGTH = 8  # bytes, little-endian
# The first is that of an absolute path, and used as that (bare.py).
GO, _STOP = b"/", b"\0"
_SECONDS = 10.0  # that a message takes at most, once it has begun


class Listener:
    """The runtime's ends, which nobody else has; they wait for nothing."""

    __slots__ = ("_down", "_identities", "_up")

    def __init__(self, up: int, down: int) -> None:
        """up, down: descriptors, the listener's now."""
        self._up, self._down = up, down
        for fd in (up, down):
            posix.set_blocking(fd, False)
        self._identities = [pidfds.identity(fd) for fd in (up, down)]

    def fileno(self) -> int:
        """What can be read when something is told, or nobody is there to tell."""
        return self._up

    def is_intact(self) -> bool:
        """Whether they are still ours: a program may close all it has (os.closerange)."""
        return [pidfds.identity(fd) for fd in (self._up, self._down)] == self._identities

    def close(self) -> None:
        for fd, identity in zip((self._up, self._down), self._identities):
            if pidfds.identity(fd) == identity:
                posix.close(fd)  # else it is closed already, and perhaps somebody else's file
        self._identities = []

    def __del__(self) -> None:
        self.close()

    def hear(self) -> tuple[Any, ...]:
        """The next message.

        Raises EOFError when the other side has gone; Garbled for what is no message, or does
        not come to its end.
        """
        end = time.monotonic() + _SECONDS
        size = int.from_bytes(self._exactly(_LENGTH, end), "little")
        if size > LARGEST:
            raise Garbled
        return checked(decode(self._exactly(size, end)))

    def _exactly(self, size: int, end: float) -> bytes:
        """The next bytes, until this time."""
        data = bytearray()
        while len(data) < size:
            if time.monotonic() > end:
                raise Garbled
            try:
                part = posix.read(self._up, size - len(data))
            except BlockingIOError:
                # Whoever has a copy of the other end can also open this one, and read.
                readable(self._up, seconds=max(0.0, end - time.monotonic()))
                continue
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def drain(self, patience: float, pidfd: int = -1) -> None:
        """Take no notice of what is still told, until the other side has gone.

        patience: seconds to wait for that, however much comes.
        pidfd: of the process that is there, as far as we know; others may have copies.
        """
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            ready = readable(*[fd for fd in (self._up, pidfd) if fd >= 0], seconds=left)
            if not ready or pidfd in ready:
                return
            try:
                if not posix.read(self._up, 1 << 16):
                    return
            except BlockingIOError:
                pass

    def go(self) -> None:
        """Our turn is over.  ConnectionError where nobody is there, or others fill the pipe."""
        self._say(GO)

    def give_up(self) -> None:
        """Who waits for a word ends; also where copies of our ends are, by a fork of our own."""
        try:
            self._say(_STOP)
        except ConnectionError:
            pass  # the other side has gone already

    def _say(self, word: bytes) -> None:
        """Without SIGPIPE, which the host program may treat as it likes."""
        pending = _signal.SIGPIPE in _signal.sigpending()
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGPIPE,))
        try:
            posix.write(self._down, word)
        except BlockingIOError:
            raise ConnectionError from None
        except BrokenPipeError:
            if not pending:
                _signal.sigtimedwait((_signal.SIGPIPE,), 0)
            raise
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


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
    return len(body).to_bytes(_LENGTH, "little") + body


def pair() -> tuple[Listener, Speaker]:
    """Both sides of a talk, close-on-exec."""
    told, tell = posix.pipe()
    try:
        heard, say = posix.pipe()
    except BaseException:
        posix.close(told)
        posix.close(tell)
        raise
    return Listener(told, say), Speaker(tell, heard)


def readable(*fds: int, seconds: float | None = None) -> list[int]:
    """Wait until one can be read, and return those that can; handlers of signals run meanwhile.

    seconds: to wait at most, None for ever.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    with allowed():
        return [fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)]
