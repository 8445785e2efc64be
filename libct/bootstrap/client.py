"""The runtime's side of the bootstrap: the course of a plan.

The runtime performs its own steps, has the server (servers.py) and the processes
cloned from it perform theirs, and undoes what was begun when one of them fails.
"""

from __future__ import annotations

import posix

from ..plan.step import AHEAD, MEANWHILE, RUNTIME, Plan
from ..syscalls import pidfds
from . import cloned, clones, servers
from .context import Context, Trace
from .failure import Failure
from .listening import pair, readable
from .message import Garbled
from .performer import perform, performers
from .servers import Server, end, kill, reap
from .spawning import server_error
from .started import PATIENCE, Started, step_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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


_PAUSE = 0.02  # seconds between two looks at what has been cloned
# What is cloned besides, by its place in the page of clones; starts and records have it as that.
_COMPANIONS = {clones.MESSENGER: "messenger", clones.REAPER: "reaper"}
_UNTOLD = ("clone_messenger", "clone_reaper")  # what they clone is not told of by a word
_MUTE = "clone_bare"  # what the stage clones has nobody tell of it but the stage
# Of those that tell what they have found: their second argument is what it is of.
_FINDING = ("landlock_path", "note_mount")


class _Run:
    """One plan in the course of being performed."""

    __slots__ = (
        "alone",
        "asked",
        "asked_again",
        "clones",
        "confirmed",
        "container",
        "context",
        "own",
        "plan",
        "segments",
        "server",
        "stage",
        "stage_pid",
        "started",
        "taken",
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
        self.confirmed = False  # the server may perform what it has been asked for
        self.clones = -1  # the file of the numbers of what has been cloned
        self.stage_pid = 0
        self.stage = -1  # pidfd of the stage, while there is one
        self.taken = 0  # clones that have been told of
        self.own: list[Any] = []  # the runtime's steps that are still to come, the last one first

    def perform(self) -> None:
        # It prepares itself while we do our part, and see whether it is the right one.
        first = int(self.segments[:1] != [] and self.segments[0][0] == RUNTIME)
        if len(self.segments) > first:
            self.server = servers.ask_early(self._message(first), self.container, alone=self.alone)
        for index, (process, steps) in enumerate(self.segments):
            first = steps[0][0]
            if process != RUNTIME:
                if not self.confirmed:
                    self._ask(index)
                    self._prepare(index)
                if process in (MEANWHILE, AHEAD):
                    perform(self.own.pop(), self.context, self.trace)
                    if process == AHEAD:
                        self._let_go_ahead(first)
                else:
                    for number, *_ in steps:
                        op = self.plan.steps[number - 1].op
                        if op.startswith("clone_") and op not in _UNTOLD:
                            self._take_clone(number)
            elif self.started.talk is None:
                perform(performers(steps), self.context, self.trace)
            else:
                self._expect("turn", self._longest(self.segments[index - 1][1]))
                perform(self.own.pop(), self.context, self.trace)
                self._send_go(first)
        if self.plan.shares:  # it ends when all has been heard that there is to tell
            self.started.stage, self.stage = self.stage, -1
        if self.stage >= 0:  # not before, for the others would wait for its end, too
            readable(self.stage)
            stage, self.stage = self.stage, -1
            reap(stage)
        self.started.traces += self.trace.take()
        self.close()

    def _longest(self, steps: list[Any]) -> int:
        """The number of the one that most likely goes on when their process is killed."""
        for op in ("container_hook", "load_filter"):  # what the latter forbids, ends it
            for number, *_ in steps:
                if self.plan.steps[number - 1].op == op:
                    return int(number)
        return int(steps[0][0])

    def _prepare(self, index: int) -> None:
        """Load what performs the runtime's steps from this segment on, while the server works."""
        mine = [steps for process, steps in self.segments[index:] if process.startswith(RUNTIME)]
        self.own = [performers(steps) for steps in reversed(mine)]

    def _message(self, index: int) -> tuple[Any, ...]:
        """The plan from this segment on."""
        # The runtime's own steps stay here; the others only need to know of its turns.
        segments = [
            (process, [] if process.startswith(RUNTIME) else steps)
            for process, steps in self.segments[index:]
        ]
        return "prepare", segments, self.trace.on

    def _ask(self, index: int) -> None:
        """Have a server perform the plan from this segment on, with every descriptor held."""
        self.asked = index
        if self.server is None or not servers.confirm(self.server):
            message = self._message(index)
            self.server = servers.ask(message, self.container, alone=self.alone)
        self.started.talk, theirs = pair()
        try:
            self.clones = cloned.make_file()
            fds = [*theirs.descriptors(), self.clones, *self.context.fds.values()]
            servers.let_go(self.server, ["clones", *self.context.fds], fds)
            self.confirmed = True
        finally:
            theirs.close()

    def _take_clone(self, number: int) -> None:
        self._expect("cloned", number)
        if not self._adopt():
            raise self.started.garbled()
        self._adopt_companions()
        self.context.pid = self.started.pid
        self.context.values["pidfd"] = self.started.pidfd
        told = self.context.values.get("cloned")
        if told is not None:
            told()

    def _adopt(self) -> bool:
        """Take what has been cloned next, by what the kernel has written; False if nothing has."""
        numbers = cloned.read(self.clones)
        if len(numbers) == self.taken:
            return False
        if self.taken:
            self.stage, self.stage_pid = self.started.pidfd, self.started.pid
        pid = numbers[self.taken]
        self.taken += 1
        try:
            pidfd = pidfds.open_child(pid)
        except ProcessLookupError:
            pidfd = -1  # it has ended, and the host program has waited for it
        self.started.pid, self.started.pidfd = pid, pidfd
        return True

    def _adopt_companions(self) -> None:
        """They are there before anything that is told of."""
        for which, name in _COMPANIONS.items():
            pid = cloned.companion(self.clones, which)
            if not pid or name in self.started.companions:
                continue
            try:
                pidfd = pidfds.open_child(pid)
            except ProcessLookupError:
                pidfd = -1  # it has ended, and the host program has waited for it
            self.started.companions[name] = pid, pidfd
            self.context.values[name] = pid

    def _expect(self, kind: str, number: int) -> None:
        """Hear a message of this kind; Failure when a step failed, or nobody is left to send.

        number: of the step that clones, or else of one that may be why nobody is left.
        """
        while True:
            talk = self.started.talk
            assert talk is not None
            try:
                if not self._is_told():
                    raise EOFError
                message = talk.hear()
                if message[0] == "warned":
                    self.started.take_warning(message)
                elif message[0] == "found":
                    self._take_found(*message[1:])
                elif message[0] == "listens":
                    self.context.values["listens"] = message[1]
                else:
                    break
            except EOFError:
                if (not self._is_mute() and self._adopt()) or self.taken:
                    raise self.started.death(number) from None
                self._ask_again()
            except Garbled:
                raise self.started.garbled() from None
        if message[0] == "failed":
            raise self.started.failure(message)
        if message[0] != kind or (kind == "cloned" and message[1] != number):
            raise self.started.garbled()
        if kind == "turn":
            self.started.keep(message[1])

    def _take_found(self, number: int, text: str) -> None:
        """What the path of a Landlock rule leads to, or which mount was made."""
        steps = self.plan.steps
        if not 1 <= number <= len(steps) or steps[number - 1].op not in _FINDING:
            raise self.started.garbled()
        found = self.context.values.setdefault("found", {})
        found[steps[number - 1].args[1]] = text

    def _is_told(self) -> bool:
        """Wait for a message; False when whose turn it is has ended without one.

        Others may hold the other ends, and wait for ever as we would: its clone, or who
        has taken copies.
        """
        talk, performing = self.started.talk, self.started.pidfd
        assert talk is not None
        if not self.taken and self.server is not None:
            performing = self.server.pidfd
        if talk.fileno() in readable(*[fd for fd in (talk.fileno(), performing) if fd >= 0]):
            return True
        # It has ended.  If it has cloned, the next word is its clone's, if that ever says one.
        for number in cloned.read(self.clones)[self.taken :] if not self._is_mute() else ():
            try:
                clone = pidfds.open_child(number)
            except ProcessLookupError:
                break  # the host program has waited for it
            try:
                readable(talk.fileno(), clone)
            finally:
                posix.close(clone)
        return talk.fileno() in readable(talk.fileno(), seconds=0)

    def _is_mute(self) -> bool:
        """Whether what is cloned next says nothing before it has got a word."""
        return self.taken > 0 and any(step.op == _MUTE for step in self.plan)

    def _send_go(self, number: int) -> None:
        talk = self.started.talk
        assert talk is not None
        try:
            talk.go()
        except ConnectionError:
            raise self.started.death(number) from None

    def _let_go_ahead(self, number: int) -> None:
        talk = self.started.talk
        assert talk is not None
        self.started.ahead = number
        try:
            talk.go()
        except ConnectionError:
            pass  # it has failed already, and said why

    def _ask_again(self) -> None:
        """The server has gone: somebody may have ended it, which costs a start and no more.

        It has cloned nothing.
        """
        ended = servers.forget(self.server)
        self.server, self.confirmed = None, False
        self.started.close()
        self.close()
        if self.asked_again:
            raise server_error(ended)
        self.asked_again = True
        self._ask(self.asked)

    def abandon(self) -> None:
        """End all that has been cloned, and reap it.

        The processes end by themselves where they need the runtime, which
        hangs up.  They are killed if that takes time, or a handler of signals raises meanwhile.
        """
        talk = self.started.talk
        if self.server is not None and not self.confirmed:
            servers.call_off(self.server)
        try:
            if talk is not None:
                talk.give_up()
                talk.drain(PATIENCE, self.started.pidfd)
        finally:
            self._end_all()

    def _end_all(self) -> None:
        self.started.close()
        known = {
            self.started.pid: self.started.pidfd,
            self.stage_pid: self.stage,
            **dict(self.started.companions.values()),
        }
        self.stage = self.started.pidfd = -1
        self.started.companions = {}
        ended: list[int] = []
        # One after the other, for up to its end the first may clone the second.
        while self.clones >= 0:
            numbers = [one for one in cloned.read_all(self.clones) if one not in ended]
            if not numbers:
                break
            pidfd = known.get(numbers[0])
            if pidfd is None:  # it has not been told of
                try:
                    pidfd = pidfds.open_child(numbers[0])
                except ProcessLookupError:
                    pidfd = -1  # the host program has waited for it
            known[numbers[0]] = pidfd
            if numbers[0] == cloned.companion(self.clones, clones.REAPER) and pidfd >= 0:
                # It ends when all others in its pid namespace have been waited for.
                kill(pidfd)
                if not readable(pidfd, seconds=_PAUSE):
                    continue
            ended.append(numbers[0])
            if pidfd >= 0:
                if self.plan.shares:  # it ends by itself, and its server goes on then
                    readable(pidfd, seconds=_PAUSE)
                end(pidfd)
        self.close()

    def close(self) -> None:
        clones_file, self.clones = self.clones, -1
        if clones_file >= 0:
            posix.close(clones_file)
