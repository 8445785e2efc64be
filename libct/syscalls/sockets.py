"""Descriptors over a socket, and who sends them: unix(7), SCM_RIGHTS and SCM_CREDENTIALS."""

from __future__ import annotations

import _socket
import posix
import sys

_CREDENTIALS = 12  # bytes of struct ucred: pid, uid, gid


def send_descriptor(to: int, fd: int, name: bytes) -> None:
    """Send a copy of fd, with name as the data, to a connected AF_UNIX stream socket.

    Both stay the caller's.  Raises OSError with errno
        EPIPE     the other side has gone;
        ENOTCONN  there is none;
        ENOTSOCK  to is no socket.
    """
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, posix.dup(to))
    try:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))]
        socket.sendmsg([name], rights, _socket.MSG_NOSIGNAL)
    except OSError as error:
        error.strerror = f"sendmsg({name!r}): {error.strerror}"
        raise
    finally:
        socket.close()


def receive(
    socket: _socket.socket, size: int, most: int, flags: int = 0
) -> tuple[bytes, list[int], int, bool]:
    """(data, descriptors, sender, whether there was no room for some descriptors).

    most: descriptors that there is room for; they are close-on-exec, and the caller's.
    sender: the pid of who has sent it, which the kernel knows, where SO_PASSCRED is on;
        else 0.  What several have sent is not received at once.

    Raises OSError as recvmsg(2) does.
    """
    room = _socket.CMSG_SPACE(4 * most) + _socket.CMSG_SPACE(_CREDENTIALS)
    data, ancillary, received, _ = socket.recvmsg(size, room, flags | _socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    sender = 0
    for _, kind, packed in ancillary:
        numbers = [
            int.from_bytes(packed[at : at + 4], sys.byteorder)
            for at in range(0, len(packed) - 3, 4)
        ]
        if kind == _socket.SCM_RIGHTS:
            fds += numbers
        elif kind == _socket.SCM_CREDENTIALS:
            sender = numbers[0]
    return data, fds, sender, bool(received & _socket.MSG_CTRUNC)
