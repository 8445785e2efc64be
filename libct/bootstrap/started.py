"""What a performed plan leaves with the runtime: a process that is to become its command."""

from __future__ import annotations

import _signal
import errno
import posix
import select
import time

from ..errors import StepError
from ..plan.step import INIT, RUNTIME, STAGE, Plan
from . import becoming
from .failure import Failure
from .listening import Listener, readable
from .message import Garbled
from .servers import end, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Seconds that a process of a failed start gets to end by itself, as it does
# at once when nothing holds it up.
PATIENCE = 1.0
_KILLED = (posix.CLD_KILLED, posix.CLD_DUMPED)
_UNTOLD = (errno.EPERM, errno.EACCES, errno.ENOSYS)  # what a filter's refusal looks like


class Started:
    """What a performed plan leaves with the runtime.

    pid, pidfd: the container's process; pidfd is the receiver's to close.
    companions: the same two, by name, of what is there for it: "messenger" (messenger.py) and
        "reaper" (reaper.py), where there are any; their pidfds, too.
    stage: pidfd of the stage, where that has to wait for the command (sharing.py); or -1.
    talk: open until the process is the command, or waits for its start; None once it is closed.
    ahead: the step that let the process go ahead of time, 0 if there was none: it
        says then when it is about to execute its command.
    traces: performed steps, when they were asked for.
    warnings: what was done otherwise than asked.
    """

    __slots__ = (
        "ahead",
        "companions",
        "pid",
        "pidfd",
        "plan",
        "stage",
        "talk",
        "traces",
        "warnings",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ahead, self.pid, self.pidfd, self.stage = 0, 0, -1, -1
        self.companions: dict[str, tuple[int, int]] = {}
        self.talk: Listener | None = None
        self.traces: list[tuple[int, int, int, str]] = []
        self.warnings: list[str] = []

    def finish(self) -> None:
        """Wait until the process has executed its command.

        StepError when it cannot; the process is gone then, as it is when
        somebody interrupts the waiting.
        """
        try:
            self._listen()
            self._await_stage()
        except Failure as failure:
            if self.plan.shares:
                # They are about to end; killed in the middle of that they take their server along.
                for pidfd in (self.pidfd, self.stage):
                    if pidfd >= 0:
                        readable(pidfd, seconds=PATIENCE)
            self._end()
            raise step_error(self.plan, failure, self.traces) from None
        except BaseException:
            self._end()
            raise
        self.close()

    def _listen(self) -> None:
        last: tuple[Any, ...] = ()  # the message of that
        talk = self.talk
        assert talk is not None
        # (Without a pidfd the host program has waited for it: it had ended.)
        while self.pidfd >= 0:
            if becoming.wait(self.pidfd, talk.fileno(), select.POLLIN) != becoming.HEARD:
                break
            try:
                message = talk.hear()
            except EOFError:
                break
            except Garbled:
                raise self.garbled() from None
            if message[0] == "failed":
                failure = self.failure(message)
                if last and not message[-1] and self._is_step(last[2]):  # by a lined-up call
                    reason = posix.strerror(failure.errno or 0)
                    self.traces.append(executed(last[2], last[3], f"{failure.call}: {reason}"))
                raise failure
            if message[0] == "warned":
                self.take_warning(message)
                continue
            if message[0] != "traced" or last:
                raise self.garbled()
            self.keep(message[1])
            last = message
        if not last or not becoming.executes(self.pidfd, PATIENCE):
            last_of_all = [n for n, step in enumerate(self.plan, 1) if step.process == INIT][-1]
            raise self.death(self.ahead or last_of_all)
        if self._is_step(last[2]):
            self.traces.append(executed(*last[2:]))

    def keep(self, traces: list[tuple[int, int, int, str]]) -> None:
        """Add what is told of performed steps; Failure where these are none of the plan's."""
        if not all(self._is_step(number) for number, *_ in traces):
            raise self.garbled()
        self.traces += traces

    def take_warning(self, message: tuple[Any, ...]) -> None:
        """No step has more than one."""
        _, number, text = message
        if not self._is_step(number) or len(self.warnings) == len(self.plan):
            raise self.garbled()
        self.warnings.append(f"{self.plan.steps[number - 1].why}: {text}")

    def _is_step(self, number: int) -> bool:
        return 1 <= number <= len(self.plan)

    def death(self, number: int) -> Failure:
        """Why the process has gone without a word."""
        # It stays ours while a handler of signals may raise.
        ended_itself = self.pidfd < 0 or bool(readable(self.pidfd, seconds=PATIENCE))
        pidfd, self.pidfd = self.pidfd, -1
        if not ended_itself:
            # Somebody else has ended the talk, and not the process.
            end(pidfd)
            return self.garbled()
        ended = reap(pidfd) if pidfd >= 0 else None
        signal = ended.si_status if ended is not None and ended.si_code in _KILLED else 0
        if signal != _signal.SIGKILL:
            from .hints import hint_for_filter

            text = "its process ended unexpectedly"
            if signal == _signal.SIGSYS:
                text = "a filter of system calls has ended its process"
            return Failure(number, None, "", text, None, hint_for_filter(self.plan, number))
        limited = any("memory." in str(step.args) for step in self.plan if step.process == RUNTIME)
        hint = "the memory limit may be too low to start a container in" if limited else ""
        return Failure(number, None, "", "its process was killed", None, hint)

    def garbled(self) -> Failure:
        """Somebody else speaks for the process, which must not go on then."""
        return Failure(len(self.plan), None, "", "it says what cannot be understood")

    def failure(self, message: tuple[Any, ...]) -> Failure:
        if not self._is_step(message[1]):
            return self.garbled()
        self.keep(message[-1])
        return Failure(*message[1:-1])

    def _await_stage(self) -> None:
        if self.stage >= 0:
            readable(self.stage)  # while handlers of signals may raise
            stage, self.stage = self.stage, -1
            reap(stage)

    def _end(self) -> None:
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            end(pidfd)
        stage, self.stage = self.stage, -1
        if stage >= 0:
            end(stage)
        companions, self.companions = self.companions, {}
        for _, pidfd in companions.values():  # after it: the reaper would wait for it
            if pidfd >= 0:
                end(pidfd)
        self.close()

    def close(self) -> None:
        if self.talk is not None:
            self.talk.close()
            self.talk = None


def executed(number: int, start: int, result: str = "ok") -> tuple[int, int, int, str]:
    """The record of the execve that was announced; that it succeeds is seen from here alone."""
    return number, start, time.time_ns() - start, result


def step_error(plan: Plan, failure: Failure, traces: list[tuple[int, int, int, str]]) -> StepError:
    """The exception for a failed step, with all that plan knows of it."""
    from .hints import hint_for, hint_for_filter, is_of_group
    from .phrases import not_executed, opening

    step = plan.steps[failure.number - 1]
    call, problem = failure.call, failure.problem
    if step.op == "execute" and failure.errno and failure.path is not None:
        call, problem = "", not_executed(failure)
    hint = hint_for(step, failure, plan)
    if not hint and failure.errno in _UNTOLD and step.process in (INIT, STAGE):
        hint = hint_for_filter(plan, failure.number - 1)
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
        place="linux.cgroupsPath" if is_of_group(failure) else step.why,
        hint=hint,
        opening=opening(plan, step, failure),
    )
    error.traces = traces
    return error
