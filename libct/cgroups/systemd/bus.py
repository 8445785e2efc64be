"""A connection to systemd: calls, the ends of jobs, how long to wait, and what errors mean.

Messages are sent and read by one loop (Bus.call, Bus.job_result) which measures the time
by the clock, and not by sd_bus_call(3): a signal of the process interrupts nothing, and a
signal on the bus that comes before the reply is not lost.

Which bus that is, and who may use it when: connections.py.

Source: org.freedesktop.systemd1(5), sd_bus_process(3), sd_bus_set_address(3).
"""

from __future__ import annotations

import errno
import time

from ...errors import SystemdError
from ...syscalls import sd_bus
from ...syscalls.c import byref, c_uint64, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SECONDS = 30.0  # that systemd may take for a request, as with runc

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
MANAGER_PATH = "/org/freedesktop/systemd1"
_DAEMON = "org.freedesktop.DBus"
_DAEMON_PATH = "/org/freedesktop/DBus"

_ATTEMPTS = 7  # to connect, while the daemon is too busy to accept (EAGAIN)
_FIRST_PAUSE = 0.01  # seconds before the second attempt; each next one is twice as long
_GONE = (errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN)

WITHOUT = "use --cgroup-manager cgroupfs to do without systemd"

# What to do about errors that systemd or the daemon of the bus replies with.
_ADVICE = {
    f"{_DAEMON}.Error.AccessDenied": (
        "run as root, or have a polkit rule for org.freedesktop.systemd1.manage-units"
    ),
    f"{_DAEMON}.Error.InteractiveAuthorizationRequired": (
        "run as root, or have a polkit rule for org.freedesktop.systemd1.manage-units"
    ),
    f"{_DAEMON}.Error.ServiceUnknown": f"no systemd is on this bus; {WITHOUT}",
    f"{_DAEMON}.Error.NameHasNoOwner": f"no systemd is on this bus; {WITHOUT}",
    f"{_DAEMON}.Error.NoReply": "systemd left the bus; try again",
    f"{_DAEMON}.Error.PropertyReadOnly": "this version of systemd may not know the property",
    f"{_DAEMON}.Error.UnknownProperty": "this version of systemd may not know the property",
}


class Limit:
    """The time until which a request has to be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


# --- a connection ---


class Bus:
    """A connection, to the daemon of a bus or to systemd itself; for one thread at a time.

    address: in D-Bus's form, "unix:path=...".  direct: whether systemd itself answers there.
    Methods raise SystemdError.
    """

    def __init__(self, address: str, *, direct: bool, limit: Limit) -> None:
        """OSError: nobody is there, or does not let us in."""
        self.address, self.direct = address, direct
        self._bus: c_void_p | None = _dialled(address, direct)
        self._watched = ""  # the unit whose jobs are signalled
        self._jobs: dict[tuple[str, str], str] = {}  # (sender, job) -> its result
        self._owner = ""  # who sent the last reply
        self._subscribed = False
        try:
            while not sd_bus.call("sd_bus_is_ready", self._bus):
                if not self._forget_next():
                    self._wait(limit, "connect to systemd")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._bus is not None:
            sd_bus.close(self._bus)
            self._bus = None

    def alive(self) -> bool:
        """Whether it can be used; reads, and forgets, what has come meanwhile."""
        try:
            while self._bus is not None and self._forget_next():
                pass
        except OSError:
            self.close()
        return self._bus is not None

    def can_send_descriptors(self) -> bool:
        return bool(sd_bus.call("sd_bus_can_send", self._bus, b"h"))

    def call(
        self,
        member: str,
        signature: str = "",
        *values: Any,
        what: str,
        limit: Limit,
        interface: str = MANAGER,
        path: str = MANAGER_PATH,
        destination: str = SYSTEMD,
    ) -> list[Any]:
        """Call a method, and return what it replies with.

        what: is being done, for the error: "start the unit 'x.scope'".
        """
        try:
            cookie = self._send(destination, path, interface, member, signature, values)
            while True:
                message = self._received(limit, what)
                try:
                    if sd_bus.reply_to(message) == cookie:
                        return self._answer(message, what)
                    self._note(message)
                finally:
                    sd_bus.release(message)
        except OSError as error:
            raise self._failure(error, what) from error

    def watch_jobs(self, unit: str, *, what: str, limit: Limit) -> None:
        """Have the ends of the unit's jobs signalled, from now on."""
        self._watched = unit
        if self.direct:
            return  # all signals come that way
        there = {"destination": _DAEMON, "path": _DAEMON_PATH, "interface": _DAEMON}
        self.call("AddMatch", "s", _rule(unit), what=what, limit=limit, **there)
        if not self._subscribed:
            # Without somebody who has subscribed systemd sends none.
            self._send_only(SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe")
            self._subscribed = True

    def forget_jobs(self, unit: str) -> None:
        """Undo watch_jobs()."""
        self._watched = ""
        self._jobs.clear()
        if not self.direct:
            self._send_only(_DAEMON, _DAEMON_PATH, _DAEMON, "RemoveMatch", _rule(unit))

    def job_result(self, job: str, *, what: str, limit: Limit) -> str:
        """Wait for the end of a job that the last reply has named: "done", "failed", ..."""
        key = (self._owner, job)
        try:
            while key not in self._jobs:
                message = self._received(limit, what)
                try:
                    self._note(message)
                finally:
                    sd_bus.release(message)
        except OSError as error:
            raise self._failure(error, what) from error
        return self._jobs.pop(key)

    def _send_only(
        self, destination: str, path: str, interface: str, member: str, *texts: str
    ) -> None:
        """Call a method whose reply nobody waits for."""
        try:
            message = self._message(destination, path, interface, member, "s" * len(texts), texts)
            try:
                sd_bus.call("sd_bus_send", self._bus, message, None)
            finally:
                sd_bus.release(message)
        except OSError as error:
            raise self._failure(error, f"call {member}") from error

    def _send(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        values: Sequence[Any],
    ) -> int:
        """Send a call, and return its cookie, which the reply names."""
        message = self._message(destination, path, interface, member, signature, values)
        cookie = c_uint64()
        try:
            sd_bus.call("sd_bus_send", self._bus, message, byref(cookie))
        finally:
            sd_bus.release(message)
        return cookie.value

    def _message(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        values: Sequence[Any],
    ) -> c_void_p:
        names = (text.encode() for text in (destination, path, interface, member))
        message = sd_bus.made("sd_bus_message_new_method_call", self._bus, None, *names)
        try:
            sd_bus.append(message, signature, values)
        except BaseException:
            sd_bus.release(message)
            raise
        return message

    def _received(self, limit: Limit, what: str) -> c_void_p:
        """The next message, whatever it is."""
        while True:
            message = self._process()
            if message is None:
                self._wait(limit, what)
            elif message:
                return message

    def _process(self) -> c_void_p | None:
        """Do what is to be done: None if nothing is; a message that has come, or one that is NULL.

        The message is the caller's.
        """
        message = c_void_p()
        if not sd_bus.call("sd_bus_process", self._bus, byref(message)):
            return None
        return message

    def _forget_next(self) -> bool:
        """Do what is to be done, and drop a message that comes of it; whether there was any."""
        message = self._process()
        if message:
            sd_bus.release(message)
        return message is not None

    def _wait(self, limit: Limit, what: str) -> None:
        """Until something is to be done; SystemdError when the time is over."""
        left = limit.left()
        if not left:
            raise SystemdError(
                f"cannot {what}: no answer from systemd in {limit.seconds:g} seconds"
                f" ({self.address})",
                "systemctl list-jobs says what it is busy with",
            )
        try:
            sd_bus.call("sd_bus_wait", self._bus, int(left * 1e6) + 1)
        except OSError as error:
            if error.errno != errno.EINTR:
                raise

    def _answer(self, message: c_void_p, what: str) -> list[Any]:
        self._owner = sd_bus.header(message, "sender")
        if sd_bus.kind_of(message) == sd_bus.METHOD_ERROR:
            name, text = sd_bus.error_of(message)
            raise SystemdError(f"cannot {what}: {text or name}", _ADVICE.get(name, ""), name=name)
        return sd_bus.read(message)

    def _note(self, message: c_void_p) -> None:
        """Keep what is told of a job that is over.

        The sender as well, for on the bus of the system anybody may send us signals.
        """
        if sd_bus.kind_of(message) == sd_bus.SIGNAL and (
            sd_bus.header(message, "interface"),
            sd_bus.header(message, "member"),
        ) == (MANAGER, "JobRemoved"):
            values = sd_bus.read(message)
            if len(values) == 4 and values[2] == self._watched:
                self._jobs[sd_bus.header(message, "sender"), values[1]] = values[3]

    def _failure(self, error: OSError, what: str) -> SystemdError:
        if error.errno in _GONE:
            return SystemdError(
                f"cannot {what}: the connection to systemd was closed ({self.address})",
                "the daemon of the bus, or systemd, has ended or was restarted; try again",
            )
        return SystemdError(f"cannot {what}: {error.strerror}")


def _rule(unit: str) -> str:
    """Which signals: systemd's about the ends of jobs of a unit."""
    quoted = unit.replace("'", "'\\''")
    return (
        f"type='signal',sender='{SYSTEMD}',path='{MANAGER_PATH}',interface='{MANAGER}',"
        f"member='JobRemoved',arg2='{quoted}'"
    )


def _dialled(address: str, direct: bool) -> c_void_p:
    """A connection that is being opened.  OSError: nobody is there."""
    pause = _FIRST_PAUSE
    for attempt in range(_ATTEMPTS):
        bus = sd_bus.made("sd_bus_new", None)
        try:
            sd_bus.call("sd_bus_set_address", bus, address.encode())
            sd_bus.call("sd_bus_set_bus_client", bus, 0 if direct else 1)
            sd_bus.call("sd_bus_start", bus)
            return bus
        except BaseException as error:
            sd_bus.close(bus)
            if getattr(error, "errno", 0) != errno.EAGAIN or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(pause)
        pause *= 2
    raise AssertionError
