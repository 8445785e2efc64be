"""The runtime's side of the bootstrap: the server it keeps, and the course of a plan.

A server belongs to the process that started it, and to what that process was
then: its namespaces, root, credentials and limits.  It is asked for a start
only while all these are the same, and replaced otherwise (DESIGN.md 3).
"""

from __future__ import annotations

import _signal
import _thread
import fcntl
import os
import resource
import sys
import time

from ..errors import ServerError, StepError
from ..plan.step import AHEAD, MEANWHILE, RUNTIME, Plan
from ..syscalls.credentials import capget
from ..syscalls.process import pidfd_open, pidfd_send_signal, wait_pidfd
from .channel import REQUESTS, Channel, close_all
from .context import Context
from .hints import hint_for
from .performer import Failure, Trace, perform, performers
from .seal import sealed_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOT_SETTABLE = (9, 19, 32, 33)  # SIGKILL, SIGSTOP, and two that belong to the C library
# Those that children are in, which for pid and time need not be our own.
_NAMESPACES = (
    "user",
    "mnt",
    "pid_for_children",
    "net",
    "ipc",
    "uts",
    "cgroup",
    "time_for_children",
)
_LIMITS = tuple(
    getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")
)

# Seconds that processes of a failed start get to end by themselves, as they do
# at once when nothing holds them up.
_PATIENCE = 1.0

# The package as the server is to find it: by the place that this copy was
# loaded from, whatever it is called there.  Now, before somebody changes the
# directory that a relative path of Python 3.9 is about.
_PACKAGE = __name__.rpartition(".bootstrap.")[0]
_PLACE = os.path.dirname(os.path.abspath(sys.modules[_PACKAGE].__path__[0]))

_lock = _thread.allocate_lock()
_server: Server | None = None
_at_fork = False  # whether _forked is registered
_single = False  # whether a server is for one request alone


class Server:
    """A running server: its pidfd, the socket of requests, and what its owner was."""

    __slots__ = ("channel", "identity", "pidfd")

    def __init__(self, pidfd: int, channel: Channel, identity: tuple[Any, ...]) -> None:
        self.pidfd, self.channel, self.identity = pidfd, channel, identity

    def stop(self) -> os.waitid_result | None:
        """Let it end, when it has done what it was asked for, and return how it ended."""
        if self.identity[0] != os.getpid():  # we are a forked copy of the owner
            self.channel.close()
            os.close(self.pidfd)
            return None
        self.channel.hang_up()  # a forked copy may hold the socket open
        self.channel.close()
        return reap(self.pidfd)


def start_server(*, single: bool = False) -> None:
    """Start the server now, so that a later start finds it loaded; any thread, any time.

    single: this process starts one container and no more.  Servers end then as
        soon as they have done what they were asked for, and keep nothing ready.
    """
    global _single
    with _lock:
        _single = single
        _current()


def stop_server() -> None:
    """End the server, if one runs; the next start makes another."""
    with _lock:
        _forget(_server)


def _forget(server: Server | None) -> os.waitid_result | None:
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
    identity = _identity()
    if _server is not None and _server.identity != identity:
        _forget(_server)
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
    found += [root.st_dev, root.st_ino, os.getresuid(), os.getresgid(), os.getgroups(), capget()]
    found += [resource.getrlimit(limit) for limit in _LIMITS]
    found += [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), _interpreter()]
    try:
        with open("/proc/self/oom_score_adj", "rb", buffering=0) as file:
            found.append(file.read())
    except OSError as error:
        raise ServerError(f"cannot read {error.filename!r}: mount proc on /proc") from error
    return tuple(found)


def _interpreter() -> str:
    """libct.interpreter, or the Python that runs us."""
    return getattr(sys.modules[_PACKAGE], "interpreter", "") or sys.executable


def _spawn(identity: tuple[Any, ...]) -> Server:
    global _at_fork
    program = _interpreter()
    if not program:
        raise ServerError(
            "no Python interpreter is known (sys.executable is empty): set libct.interpreter"
        )
    fill_standard_streams()
    try:
        sealed = sealed_interpreter(program)
    except OSError as error:
        raise ServerError(f"cannot open the interpreter {program!r}: {error.strerror}") from error
    if not _at_fork:
        os.register_at_fork(after_in_child=_forked)
        _at_fork = True
    try:
        ours, theirs = Channel.pair()
        # Above REQUESTS: dup2 onto itself would leave a descriptor close-on-exec,
        # and dup2 of the one would close the other.
        theirs.move_above(REQUESTS + 1)
        sealed = _move_above(sealed, REQUESTS + 1)
        return Server(_execute(program, sealed, theirs.fileno()), ours, identity)
    except OSError as error:
        raise ServerError(f"cannot execute {program!r}: {error.strerror}") from error
    finally:
        os.close(sealed)


def fill_standard_streams() -> None:
    """Open /dev/null where a standard stream of this process is closed.

    What we open would land there, and be given to a container that takes the
    caller's standard streams.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)  # by the lowest number
            if null != fd:
                os.close(null)  # another thread was faster


def _execute(program: str, sealed: int, requests: int) -> int:
    """Execute the interpreter by its descriptor, as the server; returns a pidfd."""
    # Last on sys.path, where it can hide nothing.
    code = (
        f"import gc,sys;gc.disable();sys.path.append({_PLACE!r});"
        f"from {_PACKAGE.rpartition('.')[2]}.bootstrap import server;server.main()"
    )
    # To the dynamic linker $ORIGIN is where the sealed copy is.
    libraries = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(program))), "lib")
    pid = os.posix_spawn(
        f"/proc/self/fd/{sealed}",
        [program, "-I", "-S", "-X", "utf8", "-c", code],
        {"LD_LIBRARY_PATH": libraries},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
            (os.POSIX_SPAWN_DUP2, requests, REQUESTS),
        ],
        # A group of its own: an interrupt typed at the terminal is the caller's affair.
        setpgroup=0,
        setsigmask=(),
        setsigdef=[n for n in range(1, _signal.NSIG) if n not in _NOT_SETTABLE],
    )
    return pidfd_open(pid)


def _move_above(fd: int, lowest: int) -> int:
    """fd by another number, of at least this."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(fd)
    return moved


class Started:
    """What a performed plan leaves with the runtime.

    pid, pidfd: the container's process; pidfd is the receiver's to close.
    channel: open until the process is the command; None once it is closed.
    ahead: the step that let the process go ahead of time, 0 if there was none: it
        says then when it is about to execute its command.
    traces: performed steps, when they were asked for.
    """

    __slots__ = ("ahead", "channel", "pid", "pidfd", "plan", "traces")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ahead, self.pid, self.pidfd = 0, 0, -1
        self.channel: Channel | None = None
        self.traces: list[tuple[int, int, int, str]] = []

    def finish(self) -> None:
        """Wait until the process executes its command.

        StepError when it cannot; the process is gone then, as it is when
        somebody interrupts the waiting.
        """
        try:
            self._listen()
        except Failure as failure:
            self._end()
            raise step_error(self.plan, failure, self.traces) from None
        except BaseException:
            self._end()
            raise
        self.close()

    def _listen(self) -> None:
        last = (0, 0)
        executing = not self.ahead
        while self.channel is not None:
            try:
                message, fds = self.channel.receive()
            except (EOFError, ConnectionError):
                break
            close_all(fds)
            if message[0] == "failed":
                raise self._failure(message)
            if message[0] == "traced":
                executing = True
                self.traces += message[1]
                last = message[2:]
        if not executing:
            raise self._death(self.ahead)
        if last[0]:
            # The end of the channel is all that is seen of an execve that succeeds.
            self.traces.append((*last, time.time_ns() - last[1], "ok"))

    def _death(self, number: int) -> Failure:
        """Why the process has gone without a word."""
        pidfd, self.pidfd = self.pidfd, -1
        ended = reap(pidfd) if pidfd >= 0 else None
        if ended is None or ended.si_status != _signal.SIGKILL:
            return Failure(number, None, "", "its process ended unexpectedly")
        limited = any("memory." in str(step.args) for step in self.plan if step.process == RUNTIME)
        hint = "the memory limit may be too low to start a container in" if limited else ""
        return Failure(number, None, "", "its process was killed", None, hint)

    def _failure(self, message: tuple[Any, ...]) -> Failure:
        self.traces += message[-1]
        return Failure(*message[1:-1])

    def _end(self) -> None:
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            end(pidfd)
        self.close()

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None


def carry_out(plan: Plan, context: Context, *, trace: bool = False) -> Started:
    """Perform a plan up to the moment when its process needs the runtime no more.

    context.fds are passed along and stay the caller's.  On failure the process
    is killed and reaped, and StepError raised, or ServerError; what the
    runtime's own steps did is the caller's to undo.
    """
    run = _Run(plan, context, trace)
    try:
        run.perform()
    except Failure as failure:
        run.abandon()
        traces = run.started.traces + run.trace.take()
        raise step_error(plan, failure, traces) from failure.__cause__
    except BaseException:
        run.abandon()
        raise
    return run.started


class _Run:
    """One plan in the course of being performed."""

    __slots__ = (
        "asked",
        "asked_again",
        "context",
        "early",
        "plan",
        "segments",
        "server",
        "stage",
        "started",
        "trace",
    )

    def __init__(self, plan: Plan, context: Context, trace: bool) -> None:
        self.plan, self.context = plan, context
        self.trace = Trace(trace)
        self.segments = plan.segments()
        self.started = Started(plan)
        self.server: Server | None = None  # the one that was asked
        self.asked, self.asked_again = 0, False  # for the plan from which segment on
        self.stage = -1  # pidfd of the stage, while there is one
        self.early: list[tuple[Any, ...]] = []  # what came before its time

    def perform(self) -> None:
        for index, (process, steps) in enumerate(self.segments):
            first = steps[0][0]
            if process != RUNTIME:
                if self.started.channel is None:
                    self._ask(index)
                if process in (MEANWHILE, AHEAD):
                    perform(performers(steps), self.context, self.trace)
                    if process == AHEAD:
                        self._let_go_ahead(first)
                elif self.plan.steps[steps[-1][0] - 1].op.startswith("clone_"):
                    self._take_clone(steps[-1][0])
            elif self.started.channel is None:
                perform(performers(steps), self.context, self.trace)
            else:
                self._expect("turn", self.segments[index - 1][1][0][0])
                perform(performers(steps), self.context, self.trace)
                self._send_go(first)
        self.started.traces += self.trace.take()

    def _ask(self, index: int) -> None:
        """Hand the plan from this segment on to the server, with every descriptor held."""
        ours, theirs = Channel.pair()
        self.started.channel = ours
        # The runtime's own steps stay here; the others only need to know of its turns.
        segments = [
            (process, [] if process.startswith(RUNTIME) else steps)
            for process, steps in self.segments[index:]
        ]
        message = ("perform", list(self.context.fds), segments, self.trace.on)
        fds = [theirs.fileno(), *self.context.fds.values()]
        self.asked = index
        try:
            with _lock:
                self.server = _current()
                self.server.channel.send(message, fds)
                if _single:
                    self.server.channel.hang_up()
        except ConnectionError:
            pass  # it has ended, as the end of our channel will tell
        finally:
            theirs.close()

    def _take_clone(self, number: int) -> None:
        message = self._expect("cloned", number)
        if self.started.pidfd >= 0:
            self.stage = self.started.pidfd
        self.context.pid = self.started.pid = message[2]
        self.started.pidfd = message[3]
        cloned = self.context.values.get("cloned")
        if cloned is not None:
            cloned()
        if self.stage >= 0:
            stage, self.stage = self.stage, -1
            reap(stage)

    def _expect(self, kind: str, number: int) -> tuple[Any, ...]:
        """The next message of this kind; Failure when a step failed, or nobody is left to send.

        number: of the step that clones, or else of one that may be why nobody is left.
        Two processes share the other end for a moment, cloner and clone, so
        their messages may arrive in either order: also those about two clones.
        """
        wanted = (kind, number) if kind == "cloned" else (kind,)
        for message in self.early:
            if message[: len(wanted)] == wanted:
                self.early.remove(message)
                return message
        while True:
            channel = self.started.channel
            assert channel is not None
            try:
                message, fds = channel.receive()
            except (EOFError, ConnectionError):
                if self.started.pidfd >= 0 or self.early:
                    raise self.started._death(number) from None
                self._ask_again()
                continue
            if message[0] == "cloned":
                message = (*message, fds[0])
            elif message[0] == "failed":
                raise self.started._failure(message)
            else:
                self.started.traces += message[1]
            if message[: len(wanted)] == wanted:
                return message
            self.early.append(message)

    def _send_go(self, number: int) -> None:
        channel = self.started.channel
        assert channel is not None
        try:
            channel.send(("go",))
        except ConnectionError:
            raise self.started._death(number) from None

    def _let_go_ahead(self, number: int) -> None:
        channel = self.started.channel
        assert channel is not None
        self.started.ahead = number
        try:
            channel.send(("go",))
        except ConnectionError:
            pass  # it has failed already, and said why

    def _ask_again(self) -> None:
        """The server has gone: somebody may have ended it, which costs a start and no more."""
        with _lock:
            ended = _forget(self.server)
        if self.asked_again:
            raise _server_error(ended)
        self.asked_again = True
        self.started.close()
        self._ask(self.asked)

    def abandon(self) -> None:
        """End all that has been cloned, and reap it.

        The processes end by themselves where they need the runtime, which
        hangs up.  They are killed if that takes time, and only then: a stage
        that is killed after it has cloned and before it tells would leave a
        process that nobody knows of.
        """
        pidfds = [fd for fd in (self.stage, self.started.pidfd) if fd >= 0]
        pidfds += [message[3] for message in self.early if message[0] == "cloned"]
        self.stage = self.started.pidfd = -1
        self.early.clear()
        channel = self.started.channel
        if channel is not None:
            channel.hang_up()
            more, over = channel.rest(_PATIENCE)
            if not over:
                for pidfd in pidfds + more:
                    kill(pidfd)
                more += channel.rest(_PATIENCE)[0]
            pidfds += more
            self.started.close()
        for pidfd in pidfds:
            end(pidfd)


def _server_error(ended: os.waitid_result | None) -> ServerError:
    """Why the server that ended so could not do what it was asked for."""
    how, hint = "", ""
    if ended is not None and ended.si_code == os.CLD_EXITED:
        how = f" with status {ended.si_status}"
        if ended.si_status:
            hint = (
                f": is {_interpreter()!r} CPython 3.9 or newer, and can it read libct's files"
                f" in {_PLACE!r}?"
            )
    elif ended is not None:
        how = f" by signal {ended.si_status}"
    return ServerError(f"the bootstrap server ended{how}{hint}")


def kill(pidfd: int) -> None:
    try:
        pidfd_send_signal(pidfd, _signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended already


def reap(pidfd: int) -> os.waitid_result | None:
    """Wait for the child of pidfd, close pidfd, and return how it ended.

    None where the host program has reaped it already.
    """
    try:
        return wait_pidfd(pidfd)
    finally:
        os.close(pidfd)


def end(pidfd: int) -> None:
    """Kill the child of pidfd and reap it; closes pidfd."""
    kill(pidfd)
    reap(pidfd)


def step_error(plan: Plan, failure: Failure, traces: list[tuple[int, int, int, str]]) -> StepError:
    """The exception for a failed step, with all that plan knows of it."""
    step = plan.steps[failure.number - 1]
    error = StepError(
        number=failure.number,
        total=len(plan),
        process=step.process,
        phase=step.phase,
        op=step.op,
        title=step.title,
        call=failure.call,
        path=failure.path,
        errno=failure.errno,
        problem=failure.problem,
        place=step.why,
        hint=hint_for(step, failure),
    )
    error.traces = traces
    return error
