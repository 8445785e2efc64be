"""The bootstrap servers of this process: started, kept, and replaced.

A server belongs to the process that started it, and to what the calling
thread was then: its namespaces, rights, limits and all else that a container could see
(inherited.py).  It is asked for a start only while all these are the same, and replaced
otherwise (docs/architecture.md, invariant 10).

A start that shares a server's memory (sharing.py) keeps it busy until the command is executed,
and that may be for ever: somebody pauses the container's group, or a mount hangs.  So a busy
server is not asked.  There are as many as there are processors, and more where some are stuck.

A command line starts its server before it does anything else, so this module
loads little.
"""

from __future__ import annotations

import _signal
import _thread
import posix
import select
import time

from ..syscalls import pidfds
from .channel import Channel
from .spawning import interpreter, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHORT = 0.015  # seconds: what another one takes to start, so no more is gained by it
_STUCK = 1.0  # seconds that a start takes at most, as a rule

_lock = _thread.allocate_lock()
_servers: list[Server] = []
_leaving: list[Server] = []  # which are through with this process, when they are no more busy
_at_fork = False  # whether _forked is registered
_single = False  # whether a server is for one request alone
_further = False  # whether that is for a further process in a container


class Server:
    """A running server: its pidfd, the socket of requests, and what its owner was.

    served: the one container that it has been asked for; "" none yet, None for several.
    """

    __slots__ = ("_asked", "_file", "_since", "channel", "identity", "pid", "pidfd", "served")

    def __init__(self, pid: int, channel: Channel, identity: tuple[Any, ...]) -> None:
        self.pid, self.channel, self.identity = pid, channel, identity
        self.served: str | None = ""
        self.pidfd = pidfds.open_process(pid)
        self._file = pidfds.identity(self.pidfd)
        self._asked, self._since = 0, 0.0  # requests that it is not through with; since when

    def is_intact(self) -> bool:
        """Whether our descriptors are what they were; somebody may have closed them all."""
        return self.channel.is_intact() and self._has_pidfd()

    def _has_pidfd(self) -> bool:
        return pidfds.identity(self.pidfd) == self._file

    def ask(self, message: tuple[Any, ...], container: str) -> None:
        """Send a request."""
        self.served = container if self.served in ("", container) else None
        self._asked += 1
        self._since = time.monotonic()
        self.send(message)

    def send(self, message: tuple[Any, ...], fds: list[int] | tuple[int, ...] = ()) -> None:
        """One that has ended is not noticed here."""
        try:
            self.channel.send(message, fds)
        except ConnectionError:
            pass

    def is_busy(self) -> bool:
        """Whether it is not through with what it has been asked for.  EOFError: it has ended."""
        if self._asked:
            self._asked -= self.channel.count_words()
        return self._asked > 0

    def is_stuck(self) -> bool:
        return time.monotonic() - self._since > _STUCK

    def stop(self) -> posix.waitid_result | None:
        """Let it end, when it has done what it was asked for, and return how it ended.

        One that is stuck is left alone: it ends when it can.
        """
        if self.identity[0] != posix.getpid():  # we are a forked copy of the owner
            self.channel.close()
            if self._has_pidfd():
                posix.close(self.pidfd)
            return None
        if self.channel.is_intact():
            self.channel.hang_up()  # a forked copy may hold the socket open
        self.channel.close()
        if self._has_pidfd():
            if self._asked and not _is_over(self.pidfd, _STUCK):
                _leaving.append(self)
                return None
            return reap(self.pidfd)
        try:
            return reap(pidfds.open_child(self.pid))
        except ProcessLookupError:
            return None  # the host program has waited for it

    def reap_ended(self) -> bool:
        """Of one that is leaving: whether it has gone."""
        if not self._has_pidfd():
            return True
        if not _is_over(self.pidfd, 0):
            return False
        reap(self.pidfd)
        return True


def start_server(*, single: bool = False, further: bool = False) -> None:
    """Start the server now, so that a later start finds it loaded; any thread, any time.

    single: this process starts one process and no more.  Servers end then as
        soon as they have done what they were asked for, and keep nothing ready.
    further: that will be a further process in a container.
    """
    global _single, _further
    with _lock:
        _single, _further = single, further
        if not _known():
            _start()


def be_command_line() -> None:
    """This process is libct's own, and no program that uses the library."""
    global _single
    _single = True


def own_processes() -> tuple[int, ...]:
    """This process and its servers, where all are libct's own; none in a host program."""
    if not _single:
        return ()
    return (posix.getpid(), *(server.pid for server in _servers))


def stop_server() -> None:
    """End the servers, if any run; the next start makes another.

    For a program that has put itself under rules that libct cannot see (landlock(7)).
    """
    with _lock:
        for server in _servers[:]:
            _forget(server)


def end_server() -> None:
    """Kill the servers, if any run, and wait: this process ends, and starts nothing more.

    Nobody else may be there to wait for them (process 1 of a container, say).
    """
    with _lock:
        for server in _servers[:]:
            if server.is_intact():
                kill(server.pidfd)
            _forget(server)


def ask(message: tuple[Any, ...], container: str = "", *, alone: bool = False) -> Server:
    """Send a request to a server for what this process is now, and return that.

    container: that it is for, by a name that no other one has.
    alone: the server must have been asked for no other, for its memory is shown in there.
    One that has ended may not be noticed here: the talk that is sent along will tell.
    """
    with _lock:
        server = _free(container if alone else None)
        server.ask(message, container)
        return server


def ask_early(
    message: tuple[Any, ...], container: str = "", *, alone: bool = False
) -> Server | None:
    """The same of one that is there already, and prepares itself while it is not yet confirmed.

    None where there is none that has nothing else to do.
    """
    with _lock:
        for server in _servers:
            try:
                fits = not alone or server.served in ("", container)
                if fits and server.is_intact() and not server.is_busy():
                    server.ask(message, container)
                    return server
            except EOFError:
                continue  # it has ended, which ask() sees to
        return None


def confirm(server: Server) -> bool:
    """Whether one that was asked early is a server for what this process is now; else it is not."""
    with _lock:
        if server in _servers and server.identity == _identity():
            return True
    call_off(server)
    return False


def let_go(server: Server, names: list[str], fds: list[int]) -> None:
    """Have it perform what it was asked for.

    fds: the two ends of the talk, and the descriptors of these names.
    """
    server.send(("perform", names), fds)
    if _single:
        server.channel.hang_up()


def call_off(server: Server) -> None:
    """Nothing comes of what it was asked for."""
    if server.identity[0] == posix.getpid() and server.channel.is_intact():
        server.send(("forget",))


def forget(server: Server | None) -> posix.waitid_result | None:
    """End this server, unless it has been replaced already; return how it ended."""
    with _lock:
        return _forget(server)


def _forget(server: Server | None) -> posix.waitid_result | None:
    """End this server, unless it has been replaced already; return how it ended."""
    if server is None or server not in _servers:
        return None
    _servers.remove(server)
    return server.stop()


def _forked() -> None:
    """In a forked copy of the owner: the servers are not ours, nor is a lock that was held."""
    global _lock
    _lock = _thread.allocate_lock()
    for server in _servers[:]:
        _forget(server)
    _leaving.clear()


def _known() -> list[Server]:
    """The servers for what this process is now; others are let go."""
    if _single:
        return _servers
    identity = _identity()
    _leaving[:] = [server for server in _leaving if not server.reap_ended()]
    for server in _servers[:]:
        if server.identity != identity or not server.is_intact():
            _forget(server)
    return _servers


def _free(only: str | None) -> Server:
    """A server that is not busy.  only: which has been asked for no other container."""
    waiting = True
    while True:
        busy, stuck = [], 0
        for server in _known()[:]:
            try:
                if server.is_busy() and not _single:
                    busy.append(server)
                    stuck += server.is_stuck()
                elif only is None or server.served in ("", only):
                    return server
                else:
                    _forget(server)
            except EOFError:
                _forget(server)
        if not busy or (not waiting and len(busy) - stuck < _most()):
            return _start()
        _await_one(busy, _SHORT if waiting else _STUCK / 10)
        waiting = False


def _most() -> int:
    return len(posix.sched_getaffinity(0))


def _start() -> Server:
    global _at_fork
    identity = _identity()
    pid, channel = spawn(further=_further)
    if not _at_fork:
        posix.register_at_fork(after_in_child=_forked)
        _at_fork = True
    server = Server(pid, channel, identity)
    _servers.append(server)
    return server


def _identity() -> tuple[Any, ...]:
    """Whose server it is, what it inherits from him, and what it runs; compared, not used."""
    if _single:
        return (posix.getpid(),)
    from .inherited import inherited

    return (posix.getpid(), interpreter(), *inherited())


def _await_one(servers: list[Server], seconds: float) -> None:
    """Until one says something or ends, for so long at most."""
    poll = select.poll()
    for server in servers:
        poll.register(server.channel.fileno(), select.POLLIN)
    poll.poll(seconds * 1000)


def _is_over(pidfd: int, seconds: float) -> bool:
    """Whether the process ends within that time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def kill(pidfd: int) -> None:
    try:
        pidfds.send(pidfd, _signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended already


def reap(pidfd: int) -> posix.waitid_result | None:
    """Wait for the child of pidfd, close pidfd, and return how it ended.

    None where the host program has reaped it already.
    """
    try:
        return pidfds.wait(pidfd)
    finally:
        posix.close(pidfd)


def end(pidfd: int) -> None:
    """Kill the child of pidfd and reap it; closes pidfd."""
    kill(pidfd)
    reap(pidfd)
