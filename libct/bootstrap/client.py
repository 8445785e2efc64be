"""The runtime's side of the bootstrap: the course of a plan.

The runtime performs its own steps, has the server (servers.py) and the processes
cloned from it perform theirs, and undoes what was begun when one of them fails.
"""

from __future__ import annotations

import _signal
import posix
import select
import time

from ..errors import StepError
from ..plan.step import AHEAD, INIT, MEANWHILE, RUNTIME, Plan
from ..syscalls import pidfds
from ..syscalls.interrupts import allowed
from . import becoming, clones, servers
from .channel import Channel, close_all
from .context import Context
from .failure import Failure
from .message import Garbled
from .performer import Trace, perform, performers
from .servers import Server, end, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_EARLY = 4  # messages that come before their time: of a few processes at most
# Seconds that processes of a failed start get to end by themselves, as they do
# at once when nothing holds them up.
_PATIENCE = 1.0


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
        """Wait until the process has executed its command.

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
        last: tuple[Any, ...] = ()  # the message of that
        channel = self.channel
        assert channel is not None
        while True:
            seen = becoming.wait(self.pidfd, channel.fileno(), select.POLLIN)
            if seen != becoming.HEARD:
                break
            try:
                message, fds, _ = channel.hear()
            except (EOFError, ConnectionError):
                break
            except Garbled:
                raise self._garbled() from None
            close_all(fds)
            if message[0] == "failed":
                raise self._failure(message)
            if message[0] != "traced" or last:
                raise self._garbled()
            self.traces += message[1]
            last = message
        if not last or not becoming.has_executed(self.pidfd):
            last_of_all = [n for n, step in enumerate(self.plan, 1) if step.process == INIT][-1]
            raise self._death(self.ahead or last_of_all)
        if last[2]:
            self.traces.append(_executed(last))

    def close_executed(self) -> None:
        """The process has executed its command: take what it has said of it before that."""
        channel = self.channel
        if channel is not None and channel.is_intact() and _readable(channel.fileno(), seconds=0):
            try:
                message, fds, _ = channel.hear()
            except (EOFError, ConnectionError, Garbled):
                pass
            else:
                close_all(fds)
                if message[0] == "traced":
                    self.traces += message[1]
                    if message[2]:
                        self.traces.append(_executed(message))
        self.close()

    def _death(self, number: int) -> Failure:
        """Why the process has gone without a word."""
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0 and not _readable(pidfd, seconds=_PATIENCE):
            # Somebody else has ended the talk, and not the process.
            end(pidfd)
            return self._garbled()
        ended = reap(pidfd) if pidfd >= 0 else None
        if ended is None or (ended.si_code, ended.si_status) != (posix.CLD_KILLED, _signal.SIGKILL):
            return Failure(number, None, "", "its process ended unexpectedly")
        limited = any("memory." in str(step.args) for step in self.plan if step.process == RUNTIME)
        hint = "the memory limit may be too low to start a container in" if limited else ""
        return Failure(number, None, "", "its process was killed", None, hint)

    def _garbled(self) -> Failure:
        """Somebody else speaks for the process, which must not go on then."""
        return Failure(len(self.plan), None, "", "it says what cannot be understood")

    def _failure(self, message: tuple[Any, ...]) -> Failure:
        self.traces += message[-1]
        if not 1 <= message[1] <= len(self.plan):
            return self._garbled()
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


def _executed(traced: tuple[Any, ...]) -> tuple[int, int, int, str]:
    """The record of the execve that was announced; that it succeeds is seen from here alone."""
    _, _, number, start = traced
    return number, start, time.time_ns() - start, "ok"


def carry_out(
    plan: Plan,
    context: Context,
    *,
    trace: bool = False,
    container: str = "",
    alone: bool = False,
) -> Started:
    """Perform a plan up to the moment when its process needs the runtime no more.

    context.fds are passed along and stay the caller's.  On failure the process
    is killed and reaped, and StepError raised, or ServerError; what the
    runtime's own steps did is the caller's to undo.

    container, alone: as of servers.ask().
    """
    run = _Run(plan, context, trace, container, alone)
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
        "alone",
        "asked",
        "asked_again",
        "clones",
        "container",
        "context",
        "early",
        "own",
        "plan",
        "segments",
        "server",
        "stage",
        "stage_pid",
        "started",
        "trace",
    )

    def __init__(
        self, plan: Plan, context: Context, trace: bool, container: str, alone: bool
    ) -> None:
        self.plan, self.context = plan, context
        self.container, self.alone = container, alone
        self.trace = Trace(trace)
        self.segments = plan.segments()
        self.started = Started(plan)
        self.server: Server | None = None  # the one that was asked
        self.asked, self.asked_again = 0, False  # for the plan from which segment on
        self.clones = -1  # the file of the numbers of what has been cloned
        self.stage_pid = 0
        self.stage = -1  # pidfd of the stage, while there is one
        self.early: list[tuple[Any, ...]] = []  # what came before its time
        self.own: list[Any] = []  # the runtime's steps that are still to come, the last one first

    def perform(self) -> None:
        for index, (process, steps) in enumerate(self.segments):
            first = steps[0][0]
            if process != RUNTIME:
                if self.started.channel is None:
                    self._ask(index)
                    self._prepare(index)
                if process in (MEANWHILE, AHEAD):
                    perform(self.own.pop(), self.context, self.trace)
                    if process == AHEAD:
                        self._let_go_ahead(first)
                elif self.plan.steps[steps[-1][0] - 1].op.startswith("clone_"):
                    self._take_clone(steps[-1][0])
            elif self.started.channel is None:
                perform(performers(steps), self.context, self.trace)
            else:
                self._expect("turn", self.segments[index - 1][1][0][0])
                perform(self.own.pop(), self.context, self.trace)
                self._send_go(first)
        if self.early:  # a clone that nobody has asked for
            raise self.started._garbled()
        if self.stage >= 0:  # not before, for the others would wait for its end, too
            stage, self.stage = self.stage, -1
            reap(stage)
        self.started.traces += self.trace.take()
        self.close()

    def _prepare(self, index: int) -> None:
        """Load what performs the runtime's steps from this segment on, while the server works."""
        mine = [steps for process, steps in self.segments[index:] if process.startswith(RUNTIME)]
        self.own = [performers(steps) for steps in reversed(mine)]

    def _ask(self, index: int) -> None:
        """Hand the plan from this segment on to the server, with every descriptor held."""
        ours, theirs = Channel.pair()
        self.started.channel = ours
        # The runtime's own steps stay here; the others only need to know of its turns.
        segments = [
            (process, [] if process.startswith(RUNTIME) else steps)
            for process, steps in self.segments[index:]
        ]
        message = ("perform", ["clones", *self.context.fds], segments, self.trace.on)
        self.asked = index
        try:
            self.clones = clones.make_file()
            fds = [theirs.fileno(), self.clones, *self.context.fds.values()]
            self.server = servers.ask(message, fds, self.container, alone=self.alone)
        finally:
            theirs.close()

    def _take_clone(self, number: int) -> None:
        _, _, pid, pidfd, speaker = self._expect("cloned", number)
        assert self.server is not None
        if speaker != (self.started.pid or self.server.pid):
            # Who may trace the clone can take its end of the channel, and say that
            # some other process is the container's.
            posix.close(pidfd)
            raise self.started._garbled()
        if self.started.pidfd >= 0:
            self.stage, self.stage_pid = self.started.pidfd, self.started.pid
        self.context.pid, self.started.pid, self.started.pidfd = pid, pid, pidfd
        cloned = self.context.values.get("cloned")
        if cloned is not None:
            cloned()

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
                if not self._is_told():
                    raise EOFError
                message, fds, speaker = channel.hear()
            except (EOFError, ConnectionError):
                if self.started.pidfd >= 0 or self.early:
                    raise self.started._death(number) from None
                self._ask_again()
                continue
            except Garbled:
                raise self.started._garbled() from None
            if message[0] == "cloned":
                message = (*message, fds[0], speaker)
            elif message[0] == "failed":
                raise self.started._failure(message)
            else:
                self.started.traces += message[1]
            if message[: len(wanted)] == wanted:
                return message
            self.early.append(message)
            if len(self.early) > _MOST_EARLY or kind != "cloned" == message[0]:
                raise self.started._garbled()

    def _is_told(self) -> bool:
        """Wait for a message; False when whose turn it is has ended without one.

        Others may hold the other end, and wait for ever as we would: its clone, or who
        has taken a copy.
        """
        channel, performing = self.started.channel, self.started.pidfd
        assert channel is not None
        if performing < 0 and self.server is not None:
            performing = self.server.pidfd
        fds = [channel.fileno(), performing] if performing >= 0 else [channel.fileno()]
        return channel.fileno() in _readable(*fds)

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
        ended = servers.forget(self.server)
        self._end_all()
        if self.asked_again:
            raise servers.server_error(ended)
        self.asked_again = True
        self._ask(self.asked)

    def abandon(self) -> None:
        """End all that has been cloned, and reap it.

        The processes end by themselves where they need the runtime, which
        hangs up.  They are killed if that takes time.
        """
        channel = self.started.channel
        if channel is not None:
            channel.hang_up()
            channel.drain(_PATIENCE, self.started.pidfd)
        self._end_all()

    def _end_all(self) -> None:
        self.started.close()
        close_all([message[3] for message in self.early if message[0] == "cloned"])
        self.early.clear()
        known = {self.started.pid: self.started.pidfd, self.stage_pid: self.stage}
        self.stage = self.started.pidfd = -1
        ended: list[int] = []
        # One after the other, for up to its end the first may clone the second.
        while self.clones >= 0:
            numbers = [one for one in clones.read(self.clones) if one not in ended]
            if not numbers:
                break
            ended.append(numbers[0])
            pidfd = known.get(numbers[0])
            if pidfd is None:  # it has not been told of
                try:
                    pidfd = pidfds.open_child(numbers[0])
                except ProcessLookupError:
                    continue  # the host program has waited for it
            if pidfd >= 0:
                end(pidfd)
        self.close()

    def close(self) -> None:
        clones_file, self.clones = self.clones, -1
        if clones_file >= 0:
            posix.close(clones_file)


def _readable(*fds: int, seconds: float | None = None) -> list[int]:
    """Wait until one can be read, and return those that can; handlers of signals run meanwhile.

    seconds: to wait at most, None for ever.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    with allowed():
        return [fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)]


def step_error(plan: Plan, failure: Failure, traces: list[tuple[int, int, int, str]]) -> StepError:
    """The exception for a failed step, with all that plan knows of it."""
    from .hints import hint_for
    from .phrases import not_executed, opening

    step = plan.steps[failure.number - 1]
    call, problem = failure.call, failure.problem
    if step.op == "execute" and failure.errno:
        call, problem = "", not_executed(failure)
    error = StepError(
        number=failure.number,
        total=len(plan),
        process=step.process,
        phase=step.phase,
        op=step.op,
        title=step.title,
        call=call,
        path=failure.path,
        errno=failure.errno,
        problem=problem,
        place=step.why,
        hint=hint_for(step, failure),
        opening=opening(plan, step, failure),
    )
    error.traces = traces
    return error
