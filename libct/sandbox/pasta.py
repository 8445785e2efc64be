"""The network of an ordinary user's sandbox: pasta, or slirp4netns, makes the connections for it.

Either is a program that opens a device in the sandbox's network namespace, and does with the
caller's own sockets what comes out of there.  It is started when the sandbox's first process
is there and waits, and is to end with that, whatever becomes of the program that has started
it.  So it belongs to a keeper, a process of its own that has the first process's pidfd from
its beginning, and nothing else to do than to wait for its end.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import time

from ..bootstrap.spawning import interpreter
from ..config import NEWUSER
from ..errors import ConfigError, Error, Finding, Unsupported
from ..loading.clock import backoff
from ..syscalls import procfs
from ..syscalls.files import ExecArguments
from ..syscalls.spawn import posix_spawn
from ..syscalls.userns import in_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import Config
    from ..life.process import Process

_SHOWN_SECONDS = 5.0  # that a process takes at most, on a busy machine, from "created" to its wait
_READY_SECONDS = 10.0  # that it may take to set up its device
_END_SECONDS = 5.0
_LARGEST = 1 << 16  # bytes of the host's resolv.conf

# Nothing leads to the loopback device of the host: neither its ports, which pasta forwards in
# both directions unless told otherwise, nor an address that stands for it.
_WORDS = {
    "pasta": (
        *("--quiet", "--config-net", "--no-map-gw"),
        *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
    ),
    "slirp4netns": (
        *("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp"),
        "--ready-fd=4",
    ),
}
_TUN = "/dev/net/tun"  # which makes the device
_DEVICE = "tap0"  # of slirp4netns
# Where name servers are that the sandbox has instead of the host's, one of which may be on the
# host's loopback device.  Either passes on to the host's what comes there.
_NAMES = {"pasta": "169.254.1.1", "slirp4netns": "10.0.2.3"}

# It has as descriptors: 1, where it says "" or what went wrong; 2, of which the other end is told
# by its closing that all has ended; 3, the pidfd.
_KEEPER = r"""
import ctypes, os, select, signal, sys
if os.fork():
    os._exit(0)
os.setsid()
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: pasta goes to the background
ready, tell = os.pipe()
errors, said_to = os.pipe()
actions = [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, said_to, 2),
           (os.POSIX_SPAWN_CLOSE, 3), (os.POSIX_SPAWN_DUP2, tell, 4)]
# What Python ignores; of SIGPIPE, pasta of 2023 takes that for a failure of its own.
default = (signal.SIGPIPE, signal.SIGXFSZ)
pid = os.posix_spawn(sys.argv[1], sys.argv[2:], os.environ, file_actions=actions,
                     setsigdef=default)
os.close(tell)
os.close(said_to)
child = os.pidfd_open(pid)
poll = select.poll()
for fd in (3, child, ready, errors):
    poll.register(fd, select.POLLIN)
said, told = b"", False

def tell_of(text):
    global told
    if not told:
        told = True
        try:
            os.write(1, text)
        except OSError:
            pass  # who has started it was killed: that ends by the pidfd
        os.close(1)

ended = False
while not ended:
    for fd, _ in poll.poll():
        if fd == 3:
            ended = True
        elif fd == child:
            poll.unregister(child)
            _, status = os.waitpid(pid, 0)
            if status:
                while data := os.read(errors, 4096):
                    said = (said + data)[-4096:]
                lines = [one for one in said.split(b"\n") if one and b"to syslog" not in one]
                tell_of(b"-" + (lines or [b"it has ended"])[-1])
                ended = True
            else:
                tell_of(b"+")
        else:
            data = os.read(fd, 4096)
            if fd == errors:
                said = (said + data)[-4096:]
            elif data:
                tell_of(b"+")
            if fd == ready or not data:
                poll.unregister(fd)
while True:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        left = file.read().split()
    for one in left:
        os.kill(int(one), signal.SIGKILL)
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        break
"""


class Pasta:
    """Of one sandbox.  ConfigError where it cannot be had."""

    def __init__(self) -> None:
        if os.geteuid() == 0 and not in_user_namespace():
            raise ConfigError([Finding("net", "pasta is for ordinary users: root has veth")])
        for name in _NAMES:
            path = shutil.which(name)
            if path is not None:
                break
        else:
            text = "neither pasta nor slirp4netns is installed: install the package passt, or"
            raise Unsupported([Finding("net", f"{text} slirp4netns")])
        try:
            os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            text = (
                f"{name} needs {_TUN}: {error.strerror} (as root: modprobe tun; chmod 666 {_TUN})"
            )
            raise Unsupported([Finding("net", text)]) from None
        self.name, self.path = name, path
        self._ends = -1

    def write_resolv_conf(self, path: str) -> None:
        """The host's, with another name server."""
        kept = []
        try:
            with open("/etc/resolv.conf", encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read(_LARGEST).splitlines()
            kept = [line for line in lines if line.split()[:1] in (["search"], ["options"])]
        except OSError:
            pass  # there is none
        text = "\n".join([f"nameserver {_NAMES[self.name]}", *kept, ""])
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)

    def start(self, config: Config, process: Process) -> None:
        """Start it for the network namespace of a process; return when the device is there."""
        _await_shown(process.pid)
        hears, said = os.pipe()
        self._ends, alive = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        high: list[int] = []
        try:
            # Above all numbers that they are to have, so that none is written over.
            for fd in (null, said, alive, process.pidfd):
                high.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 8))
            words = self._words(config, process.pid)
            args = [interpreter(), "-I", "-S", "-c", _KEEPER, self.path, *words]
            env = [f"{name}={value}".encode() for name, value in os.environ.items()]
            pid = posix_spawn(ExecArguments(args[0], args, env), high, close=())
        except OSError as error:
            os.close(hears)
            raise Error(f"cannot start {self.name}: {error.strerror}") from error
        finally:
            for fd in (null, said, alive, *high):
                os.close(fd)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # the program reaps all its children
        try:
            self._hear(hears)
        finally:
            os.close(hears)

    def _hear(self, hears: int) -> None:
        end = time.monotonic() + _READY_SECONDS
        answer = b"-it does not get ready"
        if _polled(hears, end, select.POLLIN):
            answer = os.read(hears, 8192) or b"-it was killed"
        if answer != b"+":
            text = answer[1:].decode(errors="replace")
            raise Error(f"{self.name} cannot make the sandbox a network: {text}")

    def _words(self, config: Config, pid: int) -> list[str]:
        """Its command line, from its name on."""
        user, net = procfs.path(pid, "ns/user"), procfs.path(pid, "ns/net")
        users = any(one.type == NEWUSER for one in config.namespaces)
        words = [self.name, *_WORDS[self.name]]
        if self.name == "pasta":
            words += ["--dns-forward", _NAMES[self.name]]
            words += ["--userns", user] if users else ["--netns-only"]
            return [*words, "--netns", net]
        if not users:
            return [*words, "--netns-type=path", net, _DEVICE]
        maps = (config.uid_mappings, config.gid_mappings)
        if all(any(one.container_id == 0 for one in ids) for ids in maps):
            words.append("--enable-sandbox")  # it takes to be root there
        return [*words, str(pid), _DEVICE]

    def await_end(self, _: dict[str, Any]) -> None:
        """A hook: once the sandbox has ended, this ends, too."""
        ends, self._ends = self._ends, -1
        if ends >= 0:
            _polled(ends, time.monotonic() + _END_SECONDS, 0)
            os.close(ends)


def _await_shown(pid: int) -> None:
    """Wait until an ordinary user may look at the namespaces of a process that waits."""
    waiting = backoff(_SHOWN_SECONDS)
    while True:
        try:
            os.close(os.open(procfs.path(pid, "ns/net"), os.O_RDONLY))
            return
        except PermissionError:
            if not next(waiting):
                raise Error(
                    "an ordinary user cannot give the sandbox a network: its steps are timed"
                    " (--trace, --debug), its seccomp profile refuses prctl(2), or Python's C"
                    " library is musl"
                ) from None
        except FileNotFoundError:
            return  # it has ended, as will be told


def _polled(fd: int, end: float, events: int) -> bool:
    """Wait for that, or until nobody is left who could write."""
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(max(0.0, end - time.monotonic()) * 1000))
