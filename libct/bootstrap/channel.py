"""Requests to the server, and what lenders are asked for: messages with descriptors.

Only processes on the outside talk so, for a socket leads to who has made it (talk.py).
One stream socket; a message is a length (8 bytes), then a tuple in marshal's format, with
descriptors by SCM_RIGHTS.  The format costs no import and no parser; its version is
fixed, for the server's interpreter may be another (libct.interpreter).

From the runtime to the server:
    ("prepare", segments, trace)  load what performs these steps
    ("perform", names)            do, with the ends of the talk, and the descriptors of these names
    ("forget",)                   or do not
From the server to the runtime, a byte for each: it is through with that.
"""

from __future__ import annotations

import _socket
import errno
import marshal
import posix
import select
import sys

from ..errors import Error
from ..syscalls import pidfds
from ..syscalls.descriptors import move_above
from ..syscalls.sockets import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARSHAL = 4  # the version of the format, known to all versions of Python since 3.4
REQUESTS = 3  # the server's descriptor of the socket that requests come by
_LENGTH = 8  # bytes, little-endian
_DONE = b"."
_MOST_WORDS = 64
_MOST_DESCRIPTORS = 250  # the kernel passes 253 at once (SCM_MAX_FD)


class Channel:
    """One end of the conversation; owns its descriptor."""

    __slots__ = ("_identity", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._identity = pidfds.identity(sock.fileno())

    @classmethod
    def of(cls, fd: int) -> Channel:
        """The end that fd refers to; fd is the channel's now."""
        return cls(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd))

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        ends = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
        return cls(ends[0]), cls(ends[1])

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_intact(self) -> bool:
        """Whether the descriptor is still ours: a program may close all it has (os.closerange)."""
        return pidfds.identity(self._socket.fileno()) == self._identity

    def close(self) -> None:
        if self.is_intact():
            self._socket.close()
        else:
            self._socket.detach()  # closed already, and perhaps somebody else's file by now

    __del__ = close  # without the ResourceWarning that the socket itself would give

    def hang_up(self) -> None:
        """Send no more, also by copies of this end; who waits for a message gets EOFError."""
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # the other side has gone already

    def move_above(self, lowest: int) -> None:
        """Have a descriptor of at least this number."""
        fd = self._socket.fileno()
        moved = move_above(fd, lowest)
        if moved != fd:
            self._socket.detach()
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, moved)

    def send(self, message: tuple[Any, ...], fds: tuple[int, ...] | list[int] = ()) -> None:
        """Send a message and copies of fds; BrokenPipeError when the other side has gone."""
        if len(fds) > _MOST_DESCRIPTORS:
            raise Error(f"{len(fds)} descriptors to pass; {_MOST_DESCRIPTORS} are possible")
        body = _dump(message)
        rights = []
        if fds:
            packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
            rights.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed))
        data = len(body).to_bytes(_LENGTH, "little") + body
        sent = self._socket.sendmsg([data], rights, _socket.MSG_NOSIGNAL)
        if sent < len(data):
            self._socket.sendall(memoryview(data)[sent:], _socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[tuple[Any, ...], list[int]]:
        """The next message and its descriptors, close-on-exec, now the caller's.

        Raises EOFError when the other side has gone.
        """
        header, fds = self._header()
        try:
            return marshal.loads(self._exactly(int.from_bytes(header, "little"))), fds
        except BaseException:
            close_all(fds)
            raise

    def _header(self) -> tuple[bytes, list[int]]:
        """The length of the next message, and its descriptors."""
        header, fds, lost = receive(self._socket, _LENGTH, _MOST_DESCRIPTORS)
        try:
            if lost:
                text = "descriptors were lost on the way: RLIMIT_NOFILE is too low"
                raise OSError(errno.EMFILE, text)
            if not header:
                raise EOFError
            return header + self._exactly(_LENGTH - len(header)), fds
        except BaseException:
            close_all(fds)
            raise

    def say_done(self) -> None:
        """The server's word that it is through with a request."""
        try:
            self._socket.send(_DONE, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
        except OSError:
            pass  # nobody asks any more

    def count_words(self) -> int:
        """How many of these have come meanwhile.  EOFError where the server has gone."""
        try:
            words = self._socket.recv(_MOST_WORDS, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except ConnectionError:
            words = b""
        if not words:
            raise EOFError
        return len(words)

    def waiting(self, seconds: float = 0) -> bool:
        """Is there anything to receive within that time, be it the end?"""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._socket.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _dump(message: tuple[Any, ...]) -> bytes:
    try:
        return marshal.dumps(message, MARSHAL)
    except ValueError:
        return marshal.dumps(_plain(message), MARSHAL)


def _plain(value: Any) -> Any:
    """value, with the members of an IntEnum (signal.SIGKILL) and the like as what they are."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return str(value) if isinstance(value, str) else value


def close_all(fds: list[int]) -> None:
    for fd in fds:
        posix.close(fd)
