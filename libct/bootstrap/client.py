"""The runtime's side of the bootstrap: the server it keeps, and the course of a plan.

A server belongs to the process that started it, and to what that process was
then: its namespaces, root, credentials and limits.  It is asked for a start
only while all these are the same, and replaced otherwise (DESIGN.md 3).
"""

from __future__ import annotations

import _signal
import _socket
import _thread
import fcntl
import os
import resource
import sys

from ..errors import ServerError, StepError
from ..plan.step import RUNTIME, Plan
from .channel import REQUESTS, Channel
from .context import Context
from .hints import hint_for
from .performer import Failure, Trace, perform
from .seal import sealed_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WALL = 0x40000000  # __WALL: children without an exit signal too, waitpid(2)
_NOT_SETTABLE = (9, 19, 32, 33)  # SIGKILL, SIGSTOP, and two that belong to the C library
_NAMESPACES = ("user", "mnt", "pid", "pid_for_children", "net", "ipc", "uts", "cgroup", "time")
_LIMITS = tuple(
    getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")
)

_lock = _thread.allocate_lock()
_server: Server | None = None


class Server:
    """A running server: pid, the socket of requests, and what its owner was."""

    __slots__ = ("channel", "identity", "pid")

    def __init__(self, pid: int, channel: Channel, identity: tuple[Any, ...]) -> None:
        self.pid, self.channel, self.identity = pid, channel, identity

    def stop(self) -> None:
        """Let it end; it does as soon as its socket is closed."""
        owner = self.identity[0]
        self.channel.close()
        if owner == os.getpid():
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass  # the host program reaps all its children itself


def start_server() -> None:
    """Start the server now, so that a later start finds it loaded; any thread, any time."""
    with _lock:
        _current()


def stop_server() -> None:
    """End the server, if one runs; the next start makes another."""
    with _lock:
        _forget()


def _current() -> Server:
    """The server for what this process is now."""
    global _server
    identity = _identity()
    if _server is not None and _server.identity != identity:
        _forget()
    if _server is None:
        _server = _spawn(identity)
    return _server


def _identity() -> tuple[Any, ...]:
    """What a server inherits from its owner and a container may see; compared, not used."""
    found: list[Any] = [os.getpid()]
    for name in _NAMESPACES:
        try:
            found.append(os.stat(f"/proc/thread-self/ns/{name}").st_ino)
        except OSError:
            found.append(None)  # a kernel without this kind
    root = os.stat("/")
    found += [root.st_dev, root.st_ino, os.getresuid(), os.getresgid(), os.getgroups()]
    found += [resource.getrlimit(limit) for limit in _LIMITS]
    found += [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), _interpreter()]
    with open("/proc/self/oom_score_adj", "rb", buffering=0) as file:
        found.append(file.read())
    return tuple(found)


def _interpreter() -> str:
    """libct.interpreter, or the Python that runs us."""
    package = sys.modules[__name__.rpartition(".bootstrap.")[0]]
    return getattr(package, "interpreter", "") or sys.executable


def _spawn(identity: tuple[Any, ...]) -> Server:
    program = _interpreter()
    if not program:
        raise ServerError(
            "no Python interpreter is known (sys.executable is empty): set libct.interpreter"
        )
    # The package by the place that this copy was loaded from, whatever it is
    # called there; last on sys.path, where it can hide nothing.
    package = __name__.rpartition(".bootstrap.")[0]
    where = os.path.dirname(os.path.abspath(sys.modules[package].__path__[0]))
    name = package.rpartition(".")[2]
    code = (
        f"import sys;sys.path.append({where!r});"
        f"from {name}.bootstrap import server;server.main()"
    )
    try:
        sealed = sealed_interpreter(program)
    except OSError as error:
        raise ServerError(f"cannot open the interpreter {program!r}: {error.strerror}") from error
    ours, theirs = _socket.socketpair(
        _socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0
    )
    # Above REQUESTS: dup2 onto itself would leave a descriptor close-on-exec.
    passed = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, REQUESTS + 1)
    theirs.close()
    try:
        pid = os.posix_spawn(
            f"/proc/self/fd/{sealed}",
            [program, "-I", "-S", "-X", "utf8", "-c", code],
            {},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, 0, 2),
                (os.POSIX_SPAWN_DUP2, passed, REQUESTS),
            ],
            # A group of its own: an interrupt typed at the terminal is the caller's affair.
            setpgroup=0,
            setsigmask=(),
            setsigdef=[n for n in range(1, _signal.NSIG) if n not in _NOT_SETTABLE],
        )
    except OSError as error:
        ours.close()
        raise ServerError(f"cannot execute {program!r}: {error.strerror}") from error
    finally:
        os.close(sealed)
        os.close(passed)
    return Server(pid, Channel(ours), identity)


class Started:
    """What a performed plan leaves with the runtime.

    pid, pidfd: the container's process; pidfd is the receiver's to close.
    channel: open until the process is the command; None once it is closed.
    traces: performed steps, when they were asked for.
    """

    __slots__ = ("channel", "pid", "pidfd", "plan", "traces")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.pid, self.pidfd = 0, -1
        self.channel: Channel | None = None
        self.traces: list[tuple[int, int, int, str]] = []

    def finish(self) -> None:
        """Wait until the process executes its command; StepError when it cannot, which reaps it."""
        if self.channel is None:
            return
        try:
            while True:
                message, _ = self.channel.receive()
                if message[0] == "traced":
                    self.traces += message[1]
                elif message[0] == "failed":
                    self.traces += message[6]
                    pidfd, self.pidfd = self.pidfd, -1
                    reap(pidfd)
                    raise step_error(self.plan, Failure(*message[1:6]))
        except (EOFError, ConnectionError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None


def carry_out(plan: Plan, context: Context, *, trace: bool = False) -> Started:
    """Perform a plan up to the moment when its process needs the runtime no more.

    context.fds are passed along and stay the caller's.  On failure the process
    is killed and reaped, and StepError raised; what the runtime's own steps
    did is the caller's to undo.
    """
    run = _Run(plan, context, trace)
    try:
        run.perform()
    except Failure as failure:
        run.abandon()
        raise step_error(plan, failure) from failure.__cause__
    except BaseException:
        run.abandon()
        raise
    return run.started


class _Run:
    """One plan in the course of being performed."""

    __slots__ = ("context", "early", "plan", "segments", "stage", "started", "trace")

    def __init__(self, plan: Plan, context: Context, trace: bool) -> None:
        self.plan, self.context = plan, context
        self.trace = Trace(trace)
        self.segments = plan.segments()
        self.started = Started(plan)
        self.stage = -1  # pidfd of the stage, while there is one
        self.early: list[tuple[Any, ...]] = []  # what came before its time

    def perform(self) -> None:
        for index, (process, steps) in enumerate(self.segments):
            first = steps[0][0]
            if process != RUNTIME:
                if self.started.channel is None:
                    self._ask(index)
                if steps[-1][1].startswith("clone_"):
                    self._take_clone(first)
            elif self.started.channel is None:
                perform(steps, self.context, self.trace)
            else:
                self._expect("turn", self.segments[index - 1][1][0][0])
                perform(steps, self.context, self.trace)
                self.started.channel.send(("go",))
        self.started.traces += self.trace.take()

    def _ask(self, index: int) -> None:
        """Hand the plan from this segment on to the server, with every descriptor held."""
        ours, theirs = Channel.pair()
        self.started.channel = ours
        names = list(self.context.fds)
        # The runtime's own steps stay here; the others only need to know of its turns.
        segments = [
            (process, [] if process == RUNTIME else steps)
            for process, steps in self.segments[index:]
        ]
        message = ("perform", names, segments, self.trace.on)
        fds = [theirs.fileno(), *self.context.fds.values()]
        try:
            with _lock:
                try:
                    _current().channel.send(message, fds)
                except (BrokenPipeError, ConnectionError):
                    # Somebody ended it: that costs a start, and no more.
                    _forget()
                    _current().channel.send(message, fds)
        except (BrokenPipeError, ConnectionError):
            raise ServerError(
                "the bootstrap server ends at once: can the interpreter"
                f" {_interpreter()!r} read libct's files?"
            ) from None
        finally:
            theirs.close()

    def _take_clone(self, number: int) -> None:
        message = self._expect("cloned", number)
        if self.started.pidfd >= 0:
            self.stage = self.started.pidfd
        self.started.pid, self.started.pidfd = message[1], message[2]
        self.context.pid = message[1]
        cloned = self.context.values.get("cloned")
        if cloned is not None:
            cloned()
        if self.stage >= 0:
            reap(self.stage)
            self.stage = -1

    def _expect(self, kind: str, number: int) -> tuple[Any, ...]:
        """The next message of this kind; Failure when a step failed, or nobody is left to send.

        Two processes share the other end for a moment, cloner and clone, so
        their messages may arrive in either order.
        """
        channel = self.started.channel
        assert channel is not None
        for message in self.early:
            if message[0] == kind:
                self.early.remove(message)
                return message
        while True:
            try:
                message, fds = channel.receive()
            except (EOFError, ConnectionError):
                raise self._death(number) from None
            if message[0] == "cloned":
                message = (*message, fds[0])
            elif message[0] == "failed":
                self.started.traces += message[6]
                raise Failure(*message[1:6])
            else:
                self.started.traces += message[1]
            if message[0] == kind:
                return message
            self.early.append(message)

    def _death(self, number: int) -> Failure:
        """Why the other side has gone without a word."""
        pidfd, self.started.pidfd = self.started.pidfd, -1
        if pidfd < 0:
            return Failure(number, None, "the bootstrap server ended unexpectedly", None)
        status = reap(pidfd)
        if status is not None and status.si_status == _signal.SIGKILL:
            hint = "the memory limit may be too low to start a container in"
            return Failure(number, None, "its process was killed", None, hint)
        return Failure(number, None, "its process ended unexpectedly", None)

    def abandon(self) -> None:
        """Kill and reap what has been cloned, and close the channel."""
        channel = self.started.channel
        if channel is not None:
            # A failed clone may have spoken before its cloner.
            self.early.clear()
            while self.started.pidfd < 0:
                try:
                    message, fds = channel.receive()
                except (EOFError, OSError):
                    break
                if message[0] == "cloned":
                    self.started.pidfd = fds[0]
            self.started.close()
        for pidfd in (self.stage, self.started.pidfd):
            if pidfd >= 0:
                try:
                    _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it has ended already
                reap(pidfd)
        self.stage = self.started.pidfd = -1


def _forget() -> None:
    global _server
    if _server is not None:
        _server.stop()
        _server = None


def reap(pidfd: int) -> os.waitid_result | None:
    """Wait for the child of pidfd, close pidfd, and return how it ended.

    None where the host program has reaped it already.
    """
    try:
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | _WALL)
    except ChildProcessError:
        return None
    finally:
        os.close(pidfd)


def step_error(plan: Plan, failure: Failure) -> StepError:
    """The exception for a failed step, with all that plan knows of it."""
    step = plan.steps[failure.number - 1]
    call, text = "", failure.text
    if failure.errno:
        reason = os.strerror(failure.errno)
        call, _, _ = text.rpartition(": " + reason)
        extra = text.partition(": " + reason)[2]  # what the kernel's own log adds
        text = reason + extra if extra else ""
    return StepError(
        number=failure.number,
        total=len(plan),
        process=step.process,
        phase=step.phase,
        op=step.op,
        title=step.title,
        call=call,
        path=failure.path,
        errno=failure.errno,
        problem=text,
        place=step.why,
        hint=failure.hint or hint_for(step, failure),
    )
