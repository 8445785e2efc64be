"""NOTIFY_SOCKET: a container tells the service manager of the runtime that it is ready.

The manager's socket (sd_notify(3)) is the host's and stays out of the container,
which gets one of its own: in a directory of its state that is mounted read-only
on /run/notify.  As with runc, READY=1 is all that is passed on of what arrives
there, together with MAINPID: who sends STOPPING=1, a file descriptor to be kept
or the like would speak for the runtime.  A barrier follows it, so that the
manager has read both before their sender ends.

`run` in the foreground does that while the process runs.  `run --detach` and
`start` wait until the process is ready, or has ended.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
import time

from ..config import Mount
from ..config.mount_flags import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from ..errors import Error
from ..life.directory import NOTIFY, Directory, default_root
from .log import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..life.process import Process
    from .options import Arguments

_NAME = "notify.sock"
_INSIDE = "/run/notify"
_PATIENCE = 30.0  # seconds that the manager may take to read what it is sent
_QUEUE = 1024  # more messages than a socket holds (net.unix.max_dgram_qlen is mostly 512)


class Notifications:
    """The socket of a container that is about to be made; offer() comes before it, make() after."""

    def __init__(self, arguments: Arguments, container_id: str) -> None:
        directory = Directory(arguments.root or default_root(), container_id)
        self.directory = f"{directory.path}/{NOTIFY}"

    def offer(self, config: Config, process: Process) -> None:
        """Mount the directory and name the socket to the process."""
        flags = MS_BIND | MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY
        config.mounts.append(Mount(_INSIDE, self.directory, "bind", flags))
        variable = f"NOTIFY_SOCKET={_INSIDE}/{_NAME}"
        process.env.append(variable)
        process.own_env.append(variable)

    def make(self) -> None:
        try:
            os.mkdir(self.directory)
            os.chmod(self.directory, 0o755)  # whatever our umask: for any user of the container
        except OSError as error:
            raise Error(f"cannot make {self.directory!r}: {error.strerror}") from error

    def listen(self, arguments: Arguments) -> Proxy | None:
        """Be there for what the container sends; None where it has not been offered that."""
        if not os.path.isdir(self.directory):
            return None
        return Proxy(arguments, self.directory, os.environ["NOTIFY_SOCKET"])


class Proxy:
    """What is behind a container's socket.  Troubles with the manager are warnings in the log."""

    def __init__(self, arguments: Arguments, directory: str, manager: str) -> None:
        """Listen in directory.  manager: the address of its socket; "@NAME" is an abstract one."""
        self._arguments, self._name = arguments, manager
        self._told = False
        self._barrier, self._deadline = -1, 0.0
        self._socket = _datagrams()
        try:
            _bind(self._socket, directory)
        except OSError as error:
            raise Error(f"cannot listen at '{directory}/{_NAME}': {error.strerror}") from error
        self._socket.setblocking(False)
        self._manager: _socket.socket | None = _datagrams()
        self._manager.settimeout(_PATIENCE)
        try:
            self._manager.connect("\0" + manager[1:] if manager.startswith("@") else manager)
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, pid: int) -> bool:
        """Take one message, if there is one.

        If it is that the container is ready, tell the manager, once, and that
        the process to be watched from now on is pid.
        """
        try:
            # Descriptors that come with it are not asked for, so the kernel
            # closes them: a barrier of the container's is passed by that.
            message = self._socket.recv(4096)
        except OSError:
            return False
        if not self._told and b"READY=1" in message.split(b"\n"):
            self._told = True
            self._tell(pid)
        return True

    def until_ready(self, process: int, pid: int) -> None:
        """Wait until the container is ready and the manager knows, or the process ends.

        process: a pidfd of it, and pid its number.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(process, select.POLLIN)
        while self._manager is not None and not self._told:
            ready = [fd for fd, _ in poll.poll()]
            if process in ready:
                break
            self.receive(pid)
        self.finish(pid)

    def finish(self, pid: int) -> None:
        """Take what has been sent, see that the manager has got what it is to get, and close."""
        for _ in range(_QUEUE):
            if not self.receive(pid):
                break
        if self._barrier >= 0:
            poll = select.poll()
            poll.register(self._barrier, 0)  # for POLLHUP alone, which always counts
            left = max(0.0, self._deadline - time.monotonic())
            if not poll.poll(left * 1000):
                self._give_up("it does not take part in a barrier")
            os.close(self._barrier)
            self._barrier = -1
        self._socket.close()
        if self._manager is not None:
            self._manager.close()

    def _tell(self, pid: int) -> None:
        if self._manager is None:
            return
        reader, writer = os.pipe2(os.O_CLOEXEC)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, writer.to_bytes(4, sys.byteorder))
        try:
            # In one: it is never ready without the process that is.
            self._manager.send(b"READY=1\nMAINPID=%d\n" % pid)
            # The manager closes the descriptor when it has read what was before it.
            self._manager.sendmsg([b"BARRIER=1"], [rights])
            self._barrier, self._deadline = reader, time.monotonic() + _PATIENCE
            told = f"told NOTIFY_SOCKET={self._name}: READY=1, MAINPID={pid}"
            report(self._arguments, "debug", told)
        except OSError as error:
            os.close(reader)
            self._give_up(error.strerror or str(error))
        finally:
            os.close(writer)

    def _give_up(self, reason: str) -> None:
        if self._manager is not None:
            self._manager.close()
            self._manager = None
        message = f"the service manager at NOTIFY_SOCKET={self._name}: {reason}"
        report(self._arguments, "warning", message)


def _datagrams() -> _socket.socket:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)


def _bind(sock: _socket.socket, directory: str) -> None:
    """Bind it in directory, whose path may be longer than an address may."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            os.unlink(_NAME, dir_fd=fd)  # of a start that was killed
        except FileNotFoundError:
            pass
        sock.bind(f"/proc/self/fd/{fd}/{_NAME}")
        os.chmod(_NAME, 0o777, dir_fd=fd)  # any user of the container may be the one that is ready
    finally:
        os.close(fd)
