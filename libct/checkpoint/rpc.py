"""An exchange with CRIU: `criu swrk 3` answers requests on the socket that it has as 3.

Source: criu.org, RPC, and criu(8).  One message is one packet.  While CRIU works on a request
it tells what it is about to do, and waits each time for the word to go on.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import posix
import select
import time

from ..errors import Error, Unsupported, printable
from ..loading.paths import environment, fsencode, own_environment
from ..syscalls import pidfds
from ..syscalls.files import ExecArguments
from ..syscalls.interrupts import allowed
from ..syscalls.memfd import data_file
from ..syscalls.sockets import receive
from ..syscalls.spawn import posix_spawn
from .messages import ENUMERATIONS, MESSAGES
from .protobuf import Malformed, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    # script, pid, descriptors (borrowed)
    Notified = Callable[[str, int, list[int]], None]

TYPES = ENUMERATIONS["criu_req_type"]
SOCKET = 3  # what CRIU has the socket as
_LONGEST = 1 << 16  # bytes of a message
_MOST = 16  # descriptors with one
_PAUSE = 1.0  # seconds between looks at how far it is
_ANSWERS = 20.0  # seconds that it may take to say what it is
_SECONDS = 10.0  # that CRIU may take to end, once nobody listens
# Where its own helpers are (iptables, ip), which PATH may lack.  Without them CRIU goes on, and
# leaves the network of what it restores locked.
_FURTHER = "/usr/local/sbin:/usr/sbin:/sbin"
_SHOWN = 400  # bytes of what CRIU says on its standard error


class CriuFailed(Error):
    """CRIU could not do what it was asked for; errno: why, or 0; said: on its standard error."""

    def __init__(self, message: str, code: int = 0, said: str = "") -> None:
        super().__init__(message)
        self.errno, self.said = code, said


def program() -> str:
    """The path of criu; Unsupported where it is not installed."""
    for directory in _path().split(":"):
        path = f"{directory}/criu"
        if directory.startswith("/") and posix.access(path, posix.X_OK):
            return path
    raise Unsupported(
        "CRIU is not installed: there is no program criu in PATH (install the package criu)"
    )


def _path() -> str:
    return f"{environment('PATH') or '/usr/bin:/bin'}:{_FURTHER}"


def _environment() -> list[bytes]:
    own = [one for one in own_environment() if not one.startswith(b"PATH=")]
    return [*own, b"PATH=" + fsencode(_path())]


class Criu:
    """A `criu swrk` that works for us; a child, to be closed.

    streams: what it has as standard streams, which what it restores may inherit; without
        them it has /dev/null, and what it says is kept for an error.
    further: descriptors that it has from 4 on.
    pid, pidfd: of it; the latter is its own.
    """

    def __init__(self, streams: Sequence[int] = (), further: Sequence[int] = ()) -> None:
        arguments = ExecArguments(program(), ["criu", "swrk", str(SOCKET)], _environment())
        self._said = data_file("criu")
        self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        given = [*(streams or (null, null, self._said)), theirs.fileno(), *further]
        high: list[int] = []
        try:
            # Above all numbers that they are to have, so that none is written over.
            for fd in given:
                high.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(given)))
            self.pid = posix_spawn(arguments, high, close=())
            self.pidfd = pidfds.open_child(self.pid)
        except BaseException as error:
            self._socket.close()
            posix.close(self._said)
            if isinstance(error, OSError):
                raise Error(f"cannot execute CRIU: {error.strerror}") from error
            raise
        finally:
            theirs.close()
            for fd in (null, *high):
                posix.close(fd)

    def __enter__(self) -> Criu:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self,
        kind: str,
        values: Mapping[str, Any],
        notified: Notified | None = None,
        waiting: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        """Have a request answered; the answer.

        kind: of the request, "DUMP".  values: its other fields.
        notified: called at each thing that CRIU is about to do; what it raises is raised once
            CRIU has taken back what it had done.
        waiting: called every second in which CRIU says nothing.
        """
        self._send({"type": TYPES[kind], **values})
        failures: list[Exception] = []
        try:
            answer = self._answer(notified, waiting, failures)
        except CriuFailed:
            if not failures:
                raise
        if failures:
            raise failures[0]
        if not answer.get("success"):
            raise self._failed(kind, answer)
        if answer.get("type") != TYPES[kind]:
            text = f"an answer of type {answer.get('type')} to {kind}"
            raise CriuFailed(f"CRIU does not speak its protocol: {text}")
        return answer

    def question(self, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request that takes no time; one that does not come is an error."""
        until = time.monotonic() + _ANSWERS

        def look() -> None:
            if time.monotonic() > until:
                self.kill()
                raise CriuFailed(
                    f"CRIU has not answered within {_ANSWERS:.0f} s", said=self._words()
                )

        return self.ask(kind, values, waiting=look)

    def _answer(
        self,
        notified: Notified | None,
        waiting: Callable[[], object] | None,
        failures: list[Exception],
    ) -> dict[str, Any]:
        """What comes after all that CRIU tells; failures: gets what notified raises."""
        while True:
            answer, fds = self._hear(waiting)
            try:
                if answer.get("type") != TYPES["NOTIFY"]:
                    return answer
                told = answer.get("notify", {})
                try:
                    if notified is not None and not failures:
                        notified(told.get("script", ""), told.get("pid", 0), fds)
                except Exception as error:
                    failures.append(error)
            finally:
                for fd in fds:
                    posix.close(fd)
            self._send({"type": TYPES["NOTIFY"], "notify_success": not failures})

    def kill(self) -> None:
        """End it, whatever it is about; what it traces goes on, if nobody ends that before."""
        pidfds.send(self.pidfd, _signal.SIGKILL)

    def close(self) -> int | None:
        """Wait for its end; its exit status, None where that is not known.

        One that goes on though nobody listens is killed.
        """
        self._socket.close()
        try:
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            if not poll.poll(_SECONDS * 1000):
                pidfds.send(self.pidfd, _signal.SIGKILL)
            ended = pidfds.wait(self.pidfd)
        finally:
            posix.close(self.pidfd)
            posix.close(self._said)
        return None if ended is None else ended.si_status

    def _send(self, values: Mapping[str, Any]) -> None:
        try:
            self._socket.send(encode(MESSAGES, "criu_req", values), _socket.MSG_NOSIGNAL)
        except ConnectionError:
            raise self._ended() from None

    def _hear(self, waiting: Callable[[], object] | None) -> tuple[dict[str, Any], list[int]]:
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        poll.register(self.pidfd, select.POLLIN)  # what it has forked may hold its socket
        with allowed():
            while not poll.poll(None if waiting is None else _PAUSE * 1000):
                if waiting is not None:
                    waiting()
        try:
            data, fds, _ = receive(self._socket, _LONGEST, _MOST, _socket.MSG_DONTWAIT)
        except (ConnectionError, BlockingIOError):
            raise self._ended() from None
        if not data:
            raise self._ended()
        try:
            return decode(MESSAGES, "criu_resp", data), fds
        except Malformed as error:
            for fd in fds:
                posix.close(fd)
            raise CriuFailed(f"CRIU does not speak its protocol: {error}") from None

    def _ended(self) -> CriuFailed:
        return CriuFailed("CRIU ended without an answer", said=self._words())

    def _failed(self, kind: str, answer: Mapping[str, Any]) -> CriuFailed:
        code = answer.get("cr_errno", 0)
        # Its message is the first error of the log, which is shown anyway.
        reason = posix.strerror(code) if code else printable(answer.get("cr_errmsg", "").strip())
        what = f"CRIU failed at {kind}" + (f": {reason}" if reason else "")
        return CriuFailed(what, code, self._words())

    def _words(self) -> str:
        return posix.pread(self._said, _SHOWN, 0).decode("utf-8", "replace").strip()
