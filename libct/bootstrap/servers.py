"""The bootstrap servers of this process: started, kept, and replaced.

A server belongs to the process that started it, and to what the calling
thread was then: its namespaces, rights, limits and all else that a container could see
(inherited.py).  It is asked for a start only while all these are the same, and replaced
otherwise (docs/architecture.md, invariant 10).

A command line starts its server before it does anything else, so this module
loads little.
"""

from __future__ import annotations

import _signal
import _thread
import errno
import posix
import sys

from ..errors import ServerError
from ..loading.paths import real
from ..syscalls import pidfds
from ..syscalls.descriptors import move_above
from .channel import REQUESTS, Channel
from .origin import library_path
from .seal import sealed_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOT_SETTABLE = {_signal.SIGKILL, _signal.SIGSTOP}  # and the C library's own: server.py

# The package as the server is to find it: by the place that this copy was
# loaded from, whatever it is called there.  Now, before somebody changes the
# directory that a relative path of Python 3.9 is about.
_PACKAGE = __name__.rpartition(".bootstrap.")[0]
_PLACE = sys.modules[_PACKAGE].__path__[0].rpartition("/")[0]
if not _PLACE.startswith("/"):
    import os

    _PLACE = os.path.abspath(_PLACE)

_lock = _thread.allocate_lock()
_server: Server | None = None
_at_fork = False  # whether _forked is registered
_single = False  # whether a server is for one request alone
_further = False  # whether that is for a further process in a container


class Server:
    """A running server: its pidfd, the socket of requests, and what its owner was.

    served: the one container that it has been asked for; "" none yet, None for several.
    """

    __slots__ = ("_file", "channel", "identity", "pid", "pidfd", "served")

    def __init__(self, pid: int, channel: Channel, identity: tuple[Any, ...]) -> None:
        self.pid, self.channel, self.identity = pid, channel, identity
        self.served: str | None = ""
        self.pidfd = pidfds.open_process(pid)
        self._file = pidfds.identity(self.pidfd)

    def is_intact(self) -> bool:
        """Whether our descriptors are what they were; somebody may have closed them all."""
        return self.channel.is_intact() and self._has_pidfd()

    def _has_pidfd(self) -> bool:
        return pidfds.identity(self.pidfd) == self._file

    def stop(self) -> posix.waitid_result | None:
        """Let it end, when it has done what it was asked for, and return how it ended."""
        if self.identity[0] != posix.getpid():  # we are a forked copy of the owner
            self.channel.close()
            if self._has_pidfd():
                posix.close(self.pidfd)
            return None
        if self.channel.is_intact():
            self.channel.hang_up()  # a forked copy may hold the socket open
        self.channel.close()
        if self._has_pidfd():
            return reap(self.pidfd)
        try:
            return reap(pidfds.open_child(self.pid))
        except ProcessLookupError:
            return None  # the host program has waited for it


def start_server(*, single: bool = False, further: bool = False) -> None:
    """Start the server now, so that a later start finds it loaded; any thread, any time.

    single: this process starts one process and no more.  Servers end then as
        soon as they have done what they were asked for, and keep nothing ready.
    further: that will be a further process in a container.
    """
    global _single, _further
    with _lock:
        _single, _further = single, further
        _current()


def be_command_line() -> None:
    """This process is libct's own, and no program that uses the library."""
    global _single
    _single = True


def own_processes() -> tuple[int, ...]:
    """This process and its server, where both are libct's own; none in a host program."""
    if not _single:
        return ()
    return (posix.getpid(), *([_server.pid] if _server is not None else []))


def stop_server() -> None:
    """End the server, if one runs; the next start makes another.

    For a program that has put itself under rules that libct cannot see (landlock(7)).
    """
    with _lock:
        _forget(_server)


def end_server() -> None:
    """Kill the server, if one runs, and wait for it: this process ends, and starts nothing more.

    Nobody else may be there to wait for it (process 1 of a container, say).
    """
    with _lock:
        if _server is not None and _server.is_intact():
            kill(_server.pidfd)
        _forget(_server)


def ask(
    message: tuple[Any, ...], fds: list[int], container: str = "", *, alone: bool = False
) -> Server:
    """Send a request to the server for what this process is now, and return it.

    container: that it is for, by a name that no other one has.
    alone: the server must have been asked for no other, for its memory is shown in there.
    One that has ended is not noticed here: the channel that was sent along will tell.
    """
    with _lock:
        server = _current()
        if alone and server.served not in ("", container):
            _forget(server)
            server = _current()
        server.served = container if server.served in ("", container) else None
        try:
            server.channel.send(message, fds)
        except ConnectionError:
            pass
        if _single:
            server.channel.hang_up()
        return server


def forget(server: Server | None) -> posix.waitid_result | None:
    """End this server, unless it has been replaced already; return how it ended."""
    with _lock:
        return _forget(server)


def _forget(server: Server | None) -> posix.waitid_result | None:
    """End this server, unless it has been replaced already; return how it ended."""
    global _server
    if server is None or server is not _server:
        return None
    _server = None
    return server.stop()


def _forked() -> None:
    """In a forked copy of the owner: the server is not ours, nor is a lock that was held."""
    global _lock
    _lock = _thread.allocate_lock()
    _forget(_server)


def _current() -> Server:
    """The server for what this process is now."""
    global _server
    if _single and _server is not None:
        return _server
    identity = _identity()
    if _server is not None and (_server.identity != identity or not _server.is_intact()):
        _forget(_server)
    if _server is None:
        _server = _spawn(identity)
    return _server


def _identity() -> tuple[Any, ...]:
    """Whose server it is, what it inherits from him, and what it runs; compared, not used."""
    if _single:
        return (posix.getpid(),)
    from .inherited import inherited

    return (posix.getpid(), interpreter(), *inherited())


def interpreter() -> str:
    """libct.interpreter, or the Python that runs us."""
    return getattr(sys.modules[_PACKAGE], "interpreter", "") or sys.executable


def _spawn(identity: tuple[Any, ...]) -> Server:
    global _at_fork
    program = interpreter()
    if not program:
        raise ServerError(
            "no Python interpreter is known (sys.executable is empty): set libct.interpreter"
        )
    fill_standard_streams()
    try:
        place = real(program)
        sealed = sealed_interpreter(place)
    except OSError as error:
        raise ServerError(f"cannot open the interpreter {program!r}: {error.strerror}") from error
    if not _at_fork:
        posix.register_at_fork(after_in_child=_forked)
        _at_fork = True
    try:
        ours, theirs = Channel.pair()
        # Above REQUESTS: dup2 onto itself would leave a descriptor close-on-exec,
        # and dup2 of the one would close the other.
        theirs.move_above(REQUESTS + 1)
        sealed = move_above(sealed, REQUESTS + 1)
        return Server(_execute(program, place, sealed, theirs.fileno()), ours, identity)
    except OSError as error:
        why = str(error.strerror)
        if error.errno == errno.EAGAIN:
            from .hints import TOO_MANY

            why += f" ({TOO_MANY})"
        elif error.errno == errno.ENOENT and (lacking := _lacking()):
            why += f" (there is no {lacking} here: mount or bind the host's first)"
        raise ServerError(f"cannot execute {program!r}: {why}") from error
    finally:
        posix.close(sealed)


def fill_standard_streams() -> None:
    """Open /dev/null where a standard stream of this process is closed.

    What we open would land there, and be given to a container that takes the
    caller's standard streams.
    """
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)  # by the lowest number
            if null != fd:
                posix.close(null)  # another thread was faster


def _lacking() -> str:
    """What every server needs and a chroot may lack, or ""."""
    for path in ("/proc/self", "/dev/null"):
        try:
            posix.stat(path)
        except OSError:
            return path
    return ""


def _execute(program: str, place: str, sealed: int, requests: int) -> int:
    """Execute the interpreter by its descriptor, as the server; returns its number.

    program: what the interpreter is to be called; place: where it is.
    """
    # Last on sys.path, where it can hide nothing.
    package = _PACKAGE.rpartition(".")[2]
    code = (
        f"import gc,sys;gc.disable();sys.path.append({_PLACE!r});"
        f"from {package}.loading import finder;finder.install();"
        f"from {package}.bootstrap import server;server.main(further={_further})"
    )
    libraries = library_path(place)
    return posix.posix_spawn(
        f"/proc/self/fd/{sealed}",
        [program, "-I", "-S", *("-B",) * sys.dont_write_bytecode, "-X", "utf8", "-c", code],
        {"LD_LIBRARY_PATH": libraries} if libraries else {},
        file_actions=[
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDWR, 0),
            (posix.POSIX_SPAWN_DUP2, 0, 1),
            (posix.POSIX_SPAWN_DUP2, 0, 2),
            (posix.POSIX_SPAWN_DUP2, requests, REQUESTS),
        ],
        # A group of its own: an interrupt typed at the terminal is the caller's affair.
        setpgroup=0,
        setsigmask=(),
        setsigdef=_signal.valid_signals() - _NOT_SETTABLE,
    )


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


def server_error(ended: posix.waitid_result | None) -> ServerError:
    """Why the server that ended so could not do what it was asked for."""
    how, hint = "", ""
    if ended is not None and ended.si_code == posix.CLD_EXITED:
        how = f" with status {ended.si_status}"
        if ended.si_status:
            hint = (
                f": is {interpreter()!r} CPython 3.9 or newer, and can it read libct's files"
                f" in {_PLACE!r}?"
            )
    elif ended is not None:
        how = f" by signal {ended.si_status}"
    return ServerError(f"the bootstrap server ended{how}{hint}")
