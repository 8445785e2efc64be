"""Handing a descriptor to whoever is at the other end of a socket: unix(7), SCM_RIGHTS."""

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
        socket.sendmsg([name], rights, _socket.MSG_NOSIGNAL)
    except OSError as error:
        error.strerror = f"sendmsg({name!r}): {error.strerror}"
        raise
    finally:
        socket.close()
