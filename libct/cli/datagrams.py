"""The log by datagrams: to journald in its own protocol, and to syslog as syslog(3) writes.

Sources: systemd's JOURNAL_NATIVE_PROTOCOL; RFC 3164; syslog(3).
"""

from __future__ import annotations

import _socket
import time

from ..errors import Error

_SOCKETS = {"journald": "/run/systemd/journal/socket", "syslog": "/dev/log"}
_PRIORITIES = {"error": 3, "warning": 4, "debug": 7}
_USER = 8  # LOG_USER, the facility
_LONGEST = 32768  # bytes of a message: a datagram has to fit into the socket's buffer
_SECONDS = 5.0  # that a daemon may take to read


class Datagrams:
    """kind: "journald" or "syslog"; name: what it is told that the messages are from."""

    def __init__(self, kind: str, name: str) -> None:
        self._kind, self._name = kind, name
        path = _SOCKETS[kind]
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._socket.settimeout(_SECONDS)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            reason = error.strerror or error
            raise Error(f"cannot open the log {kind}:{name}: {path}: {reason}") from error

    def write(self, level: str, message: str) -> None:
        """Send one without line breaks; one that cannot be sent is lost, as those of a file are."""
        priority, text = _PRIORITIES[level], message.encode()[:_LONGEST]
        name = self._name.encode("utf-8", "replace")
        if self._kind == "journald":
            fields = ((b"PRIORITY", b"%d" % priority), (b"SYSLOG_IDENTIFIER", name), (b"ID", name))
            data = b"".join(b"%s=%s\n" % field for field in (*fields, (b"MESSAGE", text)))
        else:
            now = time.strftime("%b %e %H:%M:%S").encode()
            data = b"<%d>%s %s: %s" % (_USER | priority, now, name, text)
        try:
            self._socket.send(data)
        except _socket.timeout:
            self._socket.setblocking(False)  # one wait for all that is to be said
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()


def named(target: str) -> tuple[str, str]:
    """("journald", ID), ("syslog", ID), or ("", path of a file)."""
    kind, colon, name = target.partition(":")
    if not colon or kind not in (*_SOCKETS, "file"):
        return "", target
    if kind == "file":
        return "", name
    if not name.isprintable():
        raise Error(f"--log {kind}: not a name: {name!r}")
    return kind, name or "libct"
