"""Handing over the listener of a filter, by which somebody gets its notifications.

The process that loads the filter has the listener, and is under the filter then.  It has no
socket to send it by, for a socket inside leads to who has made it (bootstrap/talk.py).  So it
says the number, and the runtime takes a copy (pidfd_getfd(2)).

Documents: seccomp_unotify(2); config-linux.md, Seccomp, The Container Process State.
"""

from __future__ import annotations

import _socket
import _thread
import posix
import struct

from ..errors import StepProblem
from ..loading.clock import backoff
from ..syscalls.interrupts import check
from ..syscalls.process import pidfd_getfd
from ..syscalls.sockets import send_descriptor
from .notifications import serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_KIND = "anon_inode:seccomp notify"  # what /proc shows of one
_SECONDS = 10  # that whoever is to get it may take


def send_listener(context: Context, path: str, head: str, state: str) -> None:
    """To a thread that calls context.values["notify"], where the caller has given it, or a socket.

    path: of an AF_UNIX stream socket that somebody listens on.
    head, state: of what is sent with it, and of the container's state in it, as JSON objects
        that have no pid yet.
    """
    listener = _take(context)
    try:
        notify = context.values.get("notify")
        if notify is not None:
            _thread.start_new_thread(serve, (listener, notify))
            listener = -1
            return
        pid = f'"pid":{context.pid}'
        text = f'{head[:-1]},{pid},"state":{state[:-1]},{pid}}}}}'
        _send(path, listener, text.encode("utf-8", "surrogateescape"))
    finally:
        if listener >= 0:
            posix.close(listener)


def _take(context: Context) -> int:
    try:
        fd = pidfd_getfd(context.own_pidfd(), context.values["listens"])
    except PermissionError as error:
        error.hint = (  # type: ignore[attr-defined]
            "libct takes the listener out of the process, which needs CAP_SYS_PTRACE over it"
        )
        raise
    # The number comes from where others might have said it.
    if posix.readlink(f"/proc/self/fd/{fd}") != _KIND:
        posix.close(fd)
        raise StepProblem("what the process has there is not a notification listener")
    return fd


def _send(path: str, listener: int, data: bytes) -> None:
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        _connect(socket, path)
        limit = struct.pack("ll", _SECONDS, 0)  # struct timeval; of sendmsg(2)
        socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, limit)
        send_descriptor(socket.fileno(), listener, data)
    except BlockingIOError:  # by then
        raise StepProblem(f"who listens on {path!r} did not take it within {_SECONDS} s") from None
    except OSError as error:
        error.filename = path
        error.hint = "a seccomp agent has to listen there"  # type: ignore[attr-defined]
        raise
    finally:
        socket.close()


def _connect(socket: _socket.socket, path: str) -> None:
    """BlockingIOError where the queue of who listens is full all the time.

    A signal that comes while connect(2) waits ends it, and Python then takes the socket
    for connected.  So it does not wait, and is made again.
    """
    socket.setblocking(False)
    waiting = backoff(_SECONDS)
    while True:
        try:
            socket.connect(path)
            break
        except BlockingIOError:
            check()  # signals that are to end the start
            if not next(waiting):
                raise
    socket.setblocking(True)
