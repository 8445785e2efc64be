"""Starting a process, for a command that then waits for it and for one that does not."""

from __future__ import annotations

import _signal
import _socket
import os

from ..errors import ConfigError, Error, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..container import Container
    from ..process import Process
    from .options import Arguments


def check_streams(arguments: Arguments, process: Process, *, detach: bool) -> None:
    """The rules of detaching and terminals (REFERENCE 7.1); sets the descriptors passed on."""
    if arguments.pidfd_socket:
        raise ConfigError([Finding("--pidfd-socket", "not supported yet")])
    socket_given = bool(arguments.console_socket)
    if detach and process.terminal and not socket_given:
        raise Error("cannot allocate tty if libct will detach without setting console socket")
    if socket_given and not (detach and process.terminal):
        raise Error("cannot use console socket if libct will not detach or allocate tty")
    process.extra_files = list(range(3, 3 + arguments.preserve_fds))


def start(
    container: Container,
    process: Process,
    *,
    trace_file: str = "",
    hold: bool,
    ignore_paused: bool = False,
) -> None:
    """Start a process; with trace_file, write down how, also where that fails."""
    if not trace_file:
        container.start(process, hold=hold, ignore_paused=ignore_paused)
        return
    from .trace import TraceFile

    trace = TraceFile(trace_file)  # before anything is done: it may not be possible
    container.trace = True
    try:
        container.start(process, hold=hold, ignore_paused=ignore_paused)
    finally:
        trace.write(container)


def start_detached(
    container: Container,
    process: Process,
    *,
    console_socket: str = "",
    pid_file: str = "",
    trace_file: str = "",
    hold: bool = False,
    ignore_paused: bool = False,
) -> None:
    """Start a process that nobody here waits for; its terminal goes to console_socket."""
    connected = None
    if process.terminal:
        process.console_socket = connected = _connect(console_socket)
    try:
        start(container, process, trace_file=trace_file, hold=hold, ignore_paused=ignore_paused)
    finally:
        if connected is not None:
            connected.close()
    try:
        if pid_file:
            write_pid_file(pid_file, process.pid)
    except BaseException:
        end(process)
        raise


def _connect(path: str) -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        reason = error.strerror or error
        raise Error(f"cannot connect to the console socket {path!r}: {reason}") from error
    return sock


def end(process: Process) -> None:
    """Kill a process that has been started in vain."""
    try:
        process.signal(_signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended already
    process.wait()


def write_pid_file(path: str, pid: int) -> None:
    """Write a file that holds the number, in one moment: it is never there without it."""
    directory, name = os.path.split(path)
    new = os.path.join(directory, "." + name)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(new, flags, 0o666)
        try:
            os.write(fd, str(pid).encode())
        finally:
            os.close(fd)
        os.rename(new, path)
    except OSError as error:
        raise Error(f"cannot write the pid file {path!r}: {error.strerror}") from error
