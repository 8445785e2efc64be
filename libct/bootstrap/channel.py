"""The conversation of a start: messages between the runtime and who performs a plan.

One stream socket, made for one plan, carries it.  The server, the stage and the
first process hold one end, one after the other; the runtime holds the other.
A message is a length (8 bytes), then a tuple, with descriptors by SCM_RIGHTS.

What the runtime says is in marshal's format, which costs no import and no parser; its
version is fixed, for the server's interpreter may be another (libct.interpreter).  What
the performing side says is in one of our own, with bounds and checked when it is
heard (message.py): a process in the container may have got hold of that end.

From the performing side, by tell() and hear():
    ("turn", traces)             the steps up to a runtime's turn are done
    ("cloned", number, pid)      by step `number`, with a pidfd of the process
    ("warned", number, text)     step `number` goes on, but not as it was asked to
    ("traced", traces, number, start)  before execve, which is step `number`; 0 if not timed
    ("failed", number, errno, call, problem, path, hint, traces)
From the runtime, by send() and receive():
    ("perform", names, segments, trace)  with the descriptors of those names
    ("go",)                      the runtime's turn is over
The end of the stream says that the other side has ended, or has become the
container's command.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import marshal
import posix
import select
import sys
import time

from ..errors import Error
from ..syscalls import pidfds
from .message import LARGEST, Garbled, checked, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARSHAL = 4  # the version of the format, known to all versions of Python since 3.4
REQUESTS = 3  # the server's descriptor of the socket that requests come by
_LENGTH = 8  # bytes, little-endian
_MOST_DESCRIPTORS = 250  # the kernel passes 253 at once (SCM_MAX_FD)
# For descriptors, and struct ucred of unix(7).
_ROOM = _socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS) + _socket.CMSG_SPACE(12)
_SECONDS = 10.0  # that a message takes at most, once it has begun


class Channel:
    """One end of the conversation; owns its descriptor.

    The first end of a pair is told by the kernel who speaks (unix(7), SO_PASSCRED).
    """

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
        ends[0].setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
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
        """Take another descriptor, of at least this number."""
        moved = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD_CLOEXEC, lowest)
        self._socket.close()
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, moved)

    def send(self, message: tuple[Any, ...], fds: tuple[int, ...] | list[int] = ()) -> None:
        """Send a message and copies of fds; BrokenPipeError when the other side has gone."""
        if len(fds) > _MOST_DESCRIPTORS:
            raise Error(f"{len(fds)} descriptors to pass; {_MOST_DESCRIPTORS} are possible")
        self._send(_dump(message), fds)

    def _send(self, body: bytes, fds: tuple[int, ...] | list[int]) -> None:
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
        header, fds, _ = self._header()
        try:
            return marshal.loads(self._exactly(int.from_bytes(header, "little"))), fds
        except BaseException:
            close_all(fds)
            raise

    def _header(self, seconds: float | None = None) -> tuple[bytes, list[int], int]:
        """The length of the next message, its descriptors, and who has sent it."""
        header, fds, lost, speaker = self._receive(_LENGTH)
        try:
            if lost:
                text = "descriptors were lost on the way: RLIMIT_NOFILE is too low"
                raise OSError(errno.EMFILE, text)
            if not header:
                raise EOFError
            return header + self._exactly(_LENGTH - len(header), seconds), fds, speaker
        except BaseException:
            close_all(fds)
            raise

    def tell(self, message: tuple[Any, ...], fds: tuple[int, ...] | list[int] = ()) -> None:
        """send(), for the side that performs."""
        self._send(encode(message), fds)

    def hear(self) -> tuple[tuple[Any, ...], list[int], int]:
        """receive(), of what the other side tells, and the pid of who does.

        Who holds a copy of that side may tell something too, but not as another process
        that it does not see.

        Raises Garbled for what is no such message, or not told to its end.
        """
        header, fds, speaker = self._header(_SECONDS)
        try:
            size = int.from_bytes(header, "little")
            if size > LARGEST:
                raise Garbled
            return checked(decode(self._exactly(size, _SECONDS)), len(fds)), fds, speaker
        except BaseException:
            close_all(fds)
            raise

    def drain(self, patience: float, pidfd: int = -1) -> bool:
        """Take no notice of what is still told; whether the other side has gone.

        patience: seconds to wait for that, however much comes.
        pidfd: of the process that is there, as far as we know.
        """
        end = time.monotonic() + patience
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        if pidfd >= 0:
            poll.register(pidfd, select.POLLIN)
        while (left := end - time.monotonic()) > 0 and (ready := poll.poll(left * 1000)):
            if any(fd == pidfd for fd, _ in ready):
                return True  # others may have copies
            try:
                data, fds, _, _ = self._receive(1 << 16)
            except ConnectionError:
                return True
            close_all(fds)
            if not data:
                return True
        return False

    def _receive(self, size: int) -> tuple[bytes, list[int], bool, int]:
        """(data, descriptors, whether there was no room for some, the pid of the sender).

        What several have sent is not received at once.
        """
        data, more, flags, _ = self._socket.recvmsg(size, _ROOM, _socket.MSG_CMSG_CLOEXEC)
        fds: list[int] = []
        speaker = 0
        for _, kind, packed in more:
            numbers = [
                int.from_bytes(packed[at : at + 4], sys.byteorder)
                for at in range(0, len(packed) - 3, 4)
            ]
            if kind == _socket.SCM_RIGHTS:
                fds += numbers
            elif kind == _socket.SCM_CREDENTIALS:
                speaker = numbers[0]
        return data, fds, bool(flags & _socket.MSG_CTRUNC), speaker

    def waiting(self) -> bool:
        """Is there anything to receive, be it the end?"""
        return bool(select.select([self._socket], [], [], 0)[0])

    def _exactly(self, size: int, seconds: float | None = None) -> bytes:
        """The next bytes; Garbled if they do not come within seconds."""
        parts = []
        end = None if seconds is None else time.monotonic() + seconds
        while size:
            if end is not None:
                poll = select.poll()
                poll.register(self._socket.fileno(), select.POLLIN)
                if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                    raise Garbled
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
