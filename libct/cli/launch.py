"""Starting a process, for a command that then waits for it and for one that does not."""

from __future__ import annotations

import _signal
import _socket
import posix

from ..config.annotations import PIDFD_RECEIVER, annotation
from ..errors import Error
from ..loading.paths import environment, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from ..life.process import Process
    from .notify import Proxy
    from .options import Arguments
    from .trace import Tracing

_CONNECTS = 5  # seconds that a receiver of descriptors may take to have room for us
_MOST_FDS = (1 << 31) - 1  # what an int of C can number


def check_streams(
    arguments: Arguments, process: Process, *, detach: bool, sockets: int = 0
) -> None:
    """The rules of detaching and terminals (as in runc: its terminals.md).

    Sets the descriptors passed on.

    sockets: how many of a service manager's are passed on before those of --preserve-fds.
    """
    check_terminal(arguments, process, detach=detach)
    process.extra_files = list(range(3, 3 + sockets + arguments.preserve_fds))
    if sockets:
        # The first process of a pid namespace, as runc takes every container's to be.
        process.own_env += [f"LISTEN_FDS={sockets}", "LISTEN_PID=1"]
        process.env += process.own_env


def check_terminal(arguments: Arguments, process: Process, *, detach: bool) -> None:
    socket_given = bool(arguments.console_socket)
    if detach and process.terminal and not socket_given:
        raise Error("cannot allocate tty if libct will detach without setting console socket")
    if socket_given and not (detach and process.terminal):
        raise Error("cannot use console socket if libct will not detach or allocate tty")


def handed_sockets() -> int:
    """How many sockets a service manager has handed to us, from descriptor 3 on.

    By the variables of sd_listen_fds(3), which may be inherited from a process
    that they were meant for.
    """
    text = environment("LISTEN_FDS")
    if environment("LISTEN_PID") != str(posix.getpid()):
        return 0
    from ..config.number_lists import whole_number

    found = whole_number(text, _MOST_FDS)
    if found is None and text.isdigit():
        raise Error(f"LISTEN_FDS={text[:20]}: more descriptors than there can be")
    return found or 0


def tracing(arguments: Arguments) -> Tracing | None:
    """Where the steps of a start are written to; None where nobody wants to know."""
    if not (arguments.trace or arguments.format or arguments.debug):
        return None
    from .trace import Tracing

    return Tracing(arguments)


def start(
    container: Container,
    process: Process,
    *,
    pidfd_socket: str = "",
    trace: Tracing | None = None,
    hold: bool,
    ignore_paused: bool = False,
) -> None:
    """Start a process.

    pidfd_socket: where a pidfd of it is sent; of a first process, without that, where crun's
        annotation says.
    trace: where it is written down how it started, also where that fails.
    """
    connected = None
    if process.init and not pidfd_socket:
        pidfd_socket = annotation(container.config, PIDFD_RECEIVER) or ""
    if pidfd_socket:
        process.pidfd_socket = connected = connect(pidfd_socket, "pidfd socket")
    container.trace = trace is not None
    try:
        container.start(process, hold=hold, ignore_paused=ignore_paused)
    finally:
        if trace is not None:
            trace.write(container)
        if connected is not None:
            connected.close()


def start_detached(
    container: Container,
    process: Process,
    *,
    console_socket: str = "",
    pid_file: str = "",
    pidfd_socket: str = "",
    trace: Tracing | None = None,
    hold: bool = False,
    ignore_paused: bool = False,
    proxy: Proxy | None = None,
) -> None:
    """Start a process that nobody here waits for; its terminal goes to console_socket.

    proxy: wait until the process has said there that it is ready, or has ended.
    """
    connected = None
    if process.terminal:
        process.console_socket = connected = connect(console_socket, "console socket")
    try:
        start(
            container,
            process,
            pidfd_socket=pidfd_socket,
            trace=trace,
            hold=hold,
            ignore_paused=ignore_paused,
        )
    finally:
        if connected is not None:
            connected.close()
    try:
        if pid_file:
            write_pid_file(pid_file, process.pid)
        if proxy is not None:
            proxy.until_ready(process.pidfd, process.pid)
    except BaseException:
        end(process)
        raise


def connect(path: str, what: str) -> _socket.socket:
    import struct

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    try:
        # connect(2) waits for room among the connections that are not accepted yet, as long
        # as a send may.  A timeout of Python's would make that no wait at all.
        limit = struct.pack("ll", _CONNECTS, 0)  # struct timeval
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, limit)
        sock.connect(path)
    except OSError as error:
        sock.close()
        reason = error.strerror or error
        if isinstance(error, BlockingIOError):
            reason = f"nobody has accepted connections for {_CONNECTS} s"
        raise Error(f"cannot connect to the {what} {path!r}: {reason}") from error
    return sock


def end(process: Process) -> None:
    """Kill a process that has been started in vain."""
    try:
        process.signal(_signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended already
    process.wait()


def write_pid_file(path: str, pid: int) -> None:
    """Write a file that holds the number."""
    replace_file(path, str(pid).encode(), "pid file")


def replace_file(path: str, data: bytes, what: str) -> None:
    """Write a file in one moment: it is never there without all of data.

    what: it is, for errors.

    It takes the place of a file or a link that is there, and of nothing else (/dev/full).
    Others may write in that directory (/tmp), so what is renamed is a file that nobody
    can have made before, and no link is followed.
    """
    directory, name = split(path)
    new = f".libct-{posix.urandom(8).hex()}"  # one that is killed leaves it behind
    try:
        place = posix.open(directory or ".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            _check_replaceable(name, place)
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
            fd = posix.open(new, flags, 0o666, dir_fd=place)
            try:
                while data:
                    data = data[posix.write(fd, data) :]
                posix.rename(new, name, src_dir_fd=place, dst_dir_fd=place)
            except OSError:
                posix.unlink(new, dir_fd=place)
                raise
            finally:
                posix.close(fd)
        finally:
            posix.close(place)
    except OSError as error:
        raise Error(f"cannot write the {what} {path!r}: {error.strerror}") from error


def _check_replaceable(name: str, place: int) -> None:
    import stat

    try:
        found = posix.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_IFMT(found.st_mode) not in (stat.S_IFREG, stat.S_IFLNK):
        raise OSError(0, "something is there that is not a file")
