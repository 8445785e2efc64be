"""The runtime's side of the talk with the processes of a start (talk.py)."""

from __future__ import annotations

import _signal
import posix
import select
import time

from ..syscalls import pidfds
from ..syscalls.interrupts import allowed
from .message import LARGEST, Garbled, checked, decode
from .talk import GO, LENGTH, STOP, Speaker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
        size = int.from_bytes(self._exactly(LENGTH, end), "little")
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
            self._say(STOP)
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
