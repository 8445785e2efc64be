"""The start of a container that is created: its first process is let go, to become the command."""

from __future__ import annotations

import posix
from _signal import SIGKILL, SIGSYS

from ..bootstrap.answer import EXECUTES, GO, Answer, is_none
from ..bootstrap.message import Garbled
from ..config.status import CREATING
from ..errors import ContainerNotRunning
from . import rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..errors import StepError
    from ..plan.step import Plan
    from .directory import Held
    from .holdings import Holdings


_FILLED = b"filled"  # by somebody else: it is no answer
_PATIENCE = 1.0  # seconds for what happens at once, unless others interfere


def release(holdings: Holdings) -> None:
    """Container.exec()."""
    from .killing import end_messenger, kill_init, wait_for

    if holdings.status() == CREATING:
        rules.require("exec", CREATING, holdings.id)  # and do not wait for the end of that
    with holdings.directory.lock() as held:  # of two who release it, one would wait for ever
        holdings.refresh()
        rules.require("exec", holdings.live_status(), holdings.id)
        pidfd = holdings.open_init()
        try:
            said = _release(held, pidfd)
            held.remove_fifo()
            answer = _understood(said)
            executes = _is_to_execute(answer)
            # One that has failed ends by itself; who speaks for one that has not is not believed.
            if not executes and not wait_for(pidfd, int(_PATIENCE * 1000)):
                kill_init(holdings)
            filtered = _ended_by(pidfd) == SIGSYS
        finally:
            posix.close(pidfd)
        end_messenger(holdings)
    if is_none(said):
        reason = "a filter of system calls has ended it" if filtered else "it was killed"
        raise ContainerNotRunning(
            f"cannot start container {holdings.id!r}: container process is already dead"
            f" ({reason} before it executed its command)"
        )
    if not executes:
        raise _exec_failure(holdings, answer)
    if answer is not None and answer.traced:
        holdings.traces += _traces(holdings, *answer.traced)
    if "poststart" in holdings.hook_kinds():
        from .hooks import run_poststart

        run_poststart(holdings)  # without the lock, for they may use the container


def _release(held: Held, pidfd: int) -> bytes:
    """Write the word that the first process waits for into its fifo; what is in there at the end.

    The end is when the messenger, which has it open for writing, has brought the answer, or has
    ended with the process (messenger.py).  Where that has not answered it is the word itself,
    or what is_none() knows.  Nobody waits for us to read, for there is room for all of it.
    """
    from ..bootstrap import becoming

    reader = held.open_fifo(posix.O_RDONLY | posix.O_NONBLOCK)
    try:
        writer = held.open_fifo(posix.O_WRONLY | posix.O_NONBLOCK)
        try:
            posix.write(writer, GO)
        except BlockingIOError:
            return _FILLED
        finally:
            posix.close(writer)
        # Of the fifo, POLLHUP alone counts, which is always told.
        found = becoming.wait(pidfd, reader, 0)
        if found != becoming.HEARD:
            becoming.await_hang_up(reader, _PATIENCE)  # the answer may be on its way
        said = _read(reader)
        if found == becoming.EXECUTED or (
            # It has ended, and the messenger, on a busy machine, has not run since.
            is_none(said) and becoming.has_executed(pidfd, unknown=False)
        ):
            # Whatever else others have written, or keep the messenger from hearing.
            return said if _is_to_execute(_understood(said)) else EXECUTES
        killed = not becoming.has_executed(pidfd) or _was_killed(pidfd)
        # It was about to, where it has said so.
        return GO if killed and _is_to_execute(_understood(said)) else said
    finally:
        posix.close(reader)


def _read(reader: int) -> bytes:
    try:
        return posix.read(reader, 65536)
    except BlockingIOError:
        return b""  # others keep it open, and have written nothing


def _understood(said: bytes) -> Answer | None:
    try:
        return Answer(said)
    except Garbled:
        return None


def _is_to_execute(answer: Answer | None) -> bool:
    return answer is not None and answer.executes and not answer.failed


def _ended_by(pidfd: int) -> int:
    """The signal that has ended it, as far as that is known; 0 for none."""
    from ..syscalls.reaping import pidfd_exit_status

    try:
        found = posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:  # it is not ours, or waited for
        return (pidfd_exit_status(pidfd) or 0) & 0x7F
    killed = found is not None and found.si_code in (posix.CLD_KILLED, posix.CLD_DUMPED)
    return found.si_status if found is not None and killed else 0


def _was_killed(pidfd: int) -> bool:
    """Whether it has been waited for, and had been killed: before its command did anything."""
    from ..syscalls.reaping import pidfd_exit_status

    return pidfd_exit_status(pidfd) == int(SIGKILL)


def _traces(
    holdings: Holdings, records: list[tuple[int, int, int, str]], number: int, start: int
) -> list[tuple[int, int, int, str]]:
    """Of the steps between the start and the command, where they have been planned here."""
    from ..bootstrap.started import executed

    known = range(1, len(_own_plan(holdings) or ()) + 1)
    if number not in known:
        return []
    return [one for one in records if one[0] in known] + [executed(number, start)]


def _own_plan(holdings: Holdings) -> Plan | None:
    """That of the start, if it was made by this object, and no later one."""
    plan = holdings.plan
    return plan if plan is not None and any(step.op == "await_start" for step in plan) else None


def _exec_failure(holdings: Holdings, answer: Answer | None) -> StepError:
    """Why a process that has been released did not become its command, as it has said."""
    from ..bootstrap.failure import Failure
    from ..bootstrap.started import step_error
    from .hooks import rest_of_plan

    plan = _own_plan(holdings)
    if plan is None:
        plan = rest_of_plan(holdings.record, holdings.config())
    failure = Failure(0, None, "", "")
    if answer is not None:
        failure = Failure(*answer.failed[:-1])
    if not 1 <= failure.number <= len(plan):
        text = "it says what cannot be understood"
        failure = Failure(holdings.record.last_step, None, "", text)
    return step_error(plan, failure, [])
