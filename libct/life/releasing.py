"""The start of a container that is created: its first process is let go, to become the command."""

from __future__ import annotations

import posix
from _signal import SIGKILL

from ..config.status import CREATING, EXECUTES, GO
from ..errors import ContainerNotRunning
from ..syscalls import pidfds
from . import rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.started import Started
    from ..errors import StepError
    from .directory import Held
    from .holdings import Holdings
    from .record import Record


_FILLED = b"filled"  # by somebody else: it is no message


def release(holdings: Holdings) -> None:
    """Container.exec()."""
    if holdings.status() == CREATING:
        rules.require("exec", CREATING, holdings.id)  # and do not wait for the end of that
    with holdings.directory.lock() as held:  # of two who release it, one would wait for ever
        holdings.refresh()
        rules.require("exec", holdings.live_status(), holdings.id)
        pidfd = holdings.open_init()
        try:
            said = _release(held, pidfd)
            held.remove_fifo()
            if said != EXECUTES:
                _end(pidfd)
        finally:
            posix.close(pidfd)
    started, holdings.started = holdings.started, None
    if said in (b"", GO):
        if started is not None:
            started.close()
        raise ContainerNotRunning(
            f"cannot start container {holdings.id!r}: container process is already dead"
            " (it was killed before it executed its command)"
        )
    if said != EXECUTES:
        raise _exec_failure(holdings.record, started, said.removeprefix(EXECUTES))
    if started is not None:
        before = len(started.traces)
        started.close_executed()
        holdings.traces += started.traces[before:]
    if "poststart" in holdings.record.hooks:
        from .hooks import run_poststart

        run_poststart(holdings)  # without the lock, for they may use the container


def _release(held: Held, pidfd: int) -> bytes:
    """Write the word that the first process waits for into its fifo; what is in there at the end.

    The end is when the process, which has it open for writing, executes its
    command or is gone.  Then there is its answer, and perhaps why there was no
    execve; or nothing, or the word itself: it was gone before.
    """
    from ..bootstrap import becoming

    reader = held.open_fifo(posix.O_RDONLY | posix.O_NONBLOCK)
    try:
        # Who may trace the process can fill it.
        writer = held.open_fifo(posix.O_WRONLY | posix.O_NONBLOCK)
        try:
            posix.write(writer, GO)
        except BlockingIOError:
            return _FILLED
        finally:
            posix.close(writer)
        # Of the fifo, POLLHUP alone counts, which is always told.
        if becoming.wait(pidfd, reader, 0) == becoming.EXECUTED:
            return EXECUTES  # whatever else others have written
        said = _read(reader)
        if said == EXECUTES and (not becoming.has_executed(pidfd) or _was_killed(pidfd)):
            return GO  # it was about to
        return said
    finally:
        posix.close(reader)


def _read(reader: int) -> bytes:
    try:
        return posix.read(reader, 65536)
    except BlockingIOError:
        return b""  # others keep it open, and have written nothing


def _was_killed(pidfd: int) -> bool:
    """Whether it has been waited for, and had been killed: before its command did anything."""
    from ..syscalls.process import pidfd_exit_status

    return pidfd_exit_status(pidfd) == int(SIGKILL)


def _end(pidfd: int) -> None:
    """A process that has failed ends by itself; who speaks for one that has not is not believed."""
    from .killing import wait_for

    if wait_for(pidfd, 1000):
        return
    try:
        pidfds.send(pidfd, SIGKILL)
    except ProcessLookupError:
        return
    wait_for(pidfd, 1000)


def _exec_failure(record: Record, started: Started | None, said: bytes) -> StepError:
    """Why a process that has been released did not become its command, as it has said."""
    from ..bootstrap.failure import Failure
    from ..bootstrap.message import Garbled, checked, decode
    from ..bootstrap.started import step_error

    if started is not None:
        started.close()
        plan = started.plan
    else:
        from .hooks import rest_of_plan

        plan = rest_of_plan(record)
    try:
        _, *values, _ = checked(("failed", *decode(said), []))
        failure = Failure(*values)
        if not 1 <= failure.number <= len(plan):
            raise Garbled
    except Garbled:
        failure = Failure(record.last_step, None, "", "it says what cannot be understood")
    return step_error(plan, failure, [])
