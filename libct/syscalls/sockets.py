"""Descriptors over a socket: unix(7), SCM_RIGHTS."""

from __future__ import annotations

import _socket
import posix
import sys


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
        sent = socket.sendmsg([name], rights, _socket.MSG_NOSIGNAL)
        if sent < len(name):
            socket.sendall(name[sent:], _socket.MSG_NOSIGNAL)
    except OSError as error:
        error.strerror = f"sendmsg({name[:40]!r}): {error.strerror}"
        raise
    finally:
        socket.close()


def receive(
    socket: _socket.socket, size: int, most: int, how: int = 0
) -> tuple[bytes, list[int], bool]:
    """(data, descriptors, whether there was no room for some descriptors).

    most: descriptors that there is room for; they are close-on-exec, and the caller's.
    how: further MSG_* bits.

    Raises OSError as recvmsg(2) does.
    """
    room = _socket.CMSG_SPACE(4 * most)
    data, rights, flags, _ = socket.recvmsg(size, room, _socket.MSG_CMSG_CLOEXEC | how)
    fds = [
        int.from_bytes(packed[at : at + 4], sys.byteorder)
        for _, kind, packed in rights
        if kind == _socket.SCM_RIGHTS
        for at in range(0, len(packed) - 3, 4)
    ]
    return data, fds, bool(flags & _socket.MSG_CTRUNC)
