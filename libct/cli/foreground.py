"""Running a process while the caller waits: terminal, signals, orphans, exit status."""

from __future__ import annotations

import _signal
import posix
import select

from ..loading.clock import backoff
from ..syscalls import procfs
from .launch import end, start, write_pid_file
from .signals import ENDING, Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..life.container import Container
    from ..life.process import Process
    from .notify import Proxy
    from .terminal import Terminal
    from .trace import Tracing

_JOB_CONTROL = (_signal.SIGTTIN, _signal.SIGTTOU)
_BLOCKED = 0.05  # seconds that a process may have a signal blocked before it counts as minding it


def run_in_foreground(
    container: Container,
    process: Process,
    *,
    terminal: bool,
    trace: Tracing | None = None,
    pid_file: str = "",
    pidfd_socket: str = "",
    subreaper: bool = True,
    ignore_paused: bool = False,
    proxy: Proxy | None = None,
    mortal: bool = False,
    job: bool = False,
    before: Callable[[], object] | None = None,
    started: Callable[[], object] | None = None,
    printed: Callable[[bytes], object] | None = None,
) -> int:
    """Run process in container to its end; returns its exit status as a shell has it.

    Signals that arrive meanwhile go to the process, those of the time before
    its start too.  While it is being started those that end a program end that
    (KeyboardInterrupt, with the number).  The container is the caller's to destroy.

    terminal: give it a terminal, and connect that with the standard streams.
    trace, pid_file: to be written when the process has been started.
    pidfd_socket: where a pidfd of it is sent.
    subreaper: take what the container's processes leave behind as our
        children, and so keep them from being children of somebody else.
    proxy: where the process says that it is ready; to the service manager it is
        this process that is, for it is what the manager watches.
    mortal: a signal that is there to end it does so, as with any other program.  The
        kernel keeps it from process 1 of a pid namespace that does not handle it.
    job: the container is a job of the caller's shell: what stops us stops it (jobs.py).
    before: called when the process is there, and waits.
    started: called when the process has been started.
    printed: called with what it writes to its terminal.
    """
    if subreaper:
        from ..syscalls.settings import set_child_subreaper

        set_child_subreaper(True)
    relay = None
    if terminal:
        from .terminal import Terminal

        relay = Terminal(process, printed)
    try:
        # A background job that touches the terminal is stopped, as it should be.
        with Signals(but=_JOB_CONTROL if relay else ()) as signals:
            signals.starting = True
            start(
                container,
                process,
                pidfd_socket=pidfd_socket,
                trace=trace,
                hold=before is not None,
                ignore_paused=ignore_paused,
            )
            if before is not None:
                before()
                container.exec()
            signals.starting = False
            try:
                if started is not None:
                    started()
                if pid_file:
                    write_pid_file(pid_file, process.pid)
                if process.init:
                    # What is needed after the end is loaded while the process works.
                    from ..life import ending  # noqa: F401
                if relay is not None:
                    relay.begin()
                jobs = container if job else None
                ended_by = _follow(process, signals, relay, proxy, mortal=mortal, job=jobs)
                if proxy is not None:
                    proxy.finish(posix.getpid())
            except BaseException:
                end(process)
                raise
            if relay is not None:
                relay.finish()
            status = process.wait().status
            return 128 + ended_by if ended_by else status
    finally:
        if relay is not None:
            relay.restore()


def follow(process: Process, relay: Terminal | None) -> int:
    """Pass on signals to a process that runs already, until it ends; its exit status.

    relay: of its terminal, which has been sent to it; the caller's to restore.
    """
    with Signals(but=_JOB_CONTROL if relay else ()) as signals:
        if relay is not None:
            relay.begin()
        _follow(process, signals, relay, None, mortal=False, job=None)
        if relay is not None:
            relay.finish()
    return process.wait().status


def _follow(
    process: Process,
    signals: Signals,
    relay: Terminal | None,
    proxy: Proxy | None,
    *,
    mortal: bool,
    job: Container | None,
) -> int:
    """Pass on signals, what is typed and printed, and that it is ready, until the process ends.

    Returns the signal that has ended it for being mortal; 0 for other ends.
    """
    ended_by = 0
    poll = select.poll()
    fixed = {process.pidfd: select.POLLIN, signals.fileno(): select.POLLIN}
    if job is not None:
        from .jobs import has_stopped
    if proxy is not None:
        fixed[proxy.fileno()] = select.POLLIN
    watched: dict[int, int] = {}
    while True:
        wanted = {**fixed, **relay.wanted()} if relay is not None else fixed
        for fd in watched.keys() - wanted.keys():
            poll.unregister(fd)
        for fd, events in wanted.items():
            if watched.get(fd) != events:
                poll.register(fd, events)
        watched = dict(wanted)
        patience = relay.patience() if relay is not None else None
        ready = poll.poll(None if patience is None else patience * 1000)
        if relay is not None and (not ready or not relay.idle):
            relay.look()
        for fd, _ in ready:
            if fd == signals.fileno():
                for number in signals.take():
                    if number == _signal.SIGHUP and relay is not None and relay.is_lost():
                        continue  # the process's own terminal tells it
                    if mortal and number in ENDING and not _minds(process.pid, number):
                        ended_by, number = number, _signal.SIGKILL
                    if number == _signal.SIGTSTP and job is not None:
                        _suspend(job, relay)
                    elif number == _signal.SIGCHLD and job is not None and has_stopped(process.pid):
                        # By SIGSTOP, of its own or somebody else's.
                        _suspend(job, relay, process.pid)
                    else:
                        _pass_on(number, process, relay)
            elif fd == process.pidfd:
                return ended_by
            elif proxy is not None and fd == proxy.fileno():
                proxy.receive(posix.getpid())
            elif relay is not None:
                relay.relay(fd)
                for number in relay.sent_signals(process.pid) if mortal or job else ():
                    if number == _signal.SIGTSTP:
                        # To all of the job, of which we are one.
                        if job is not None and not _ignores(process.pid, number):
                            posix.kill(0, number)
                    elif mortal and not _minds(process.pid, number):
                        ended_by = number
                        _pass_on(_signal.SIGKILL, process, relay)


def _suspend(container: Container, relay: Terminal | None, stopped_pid: int = 0) -> None:
    """Stop with all in the container, and have it go on after us.

    stopped_pid: the process, where it has stopped itself, as a job that its shell lets go on.
    """
    from .jobs import go_on, is_job, stop_all

    if not is_job():
        return
    stopped = stop_all(container)
    if relay is not None:
        relay.suspend()
    else:
        posix.kill(posix.getpid(), _signal.SIGSTOP)
    go_on(container, stopped)
    if stopped_pid:
        try:
            posix.killpg(stopped_pid, _signal.SIGCONT)
        except ProcessLookupError:
            pass  # it has ended


def _pass_on(number: int, process: Process, relay: Terminal | None) -> None:
    if number == _signal.SIGCHLD:
        _reap_orphans(process.pid)
        return
    if relay is not None:
        if number == _signal.SIGWINCH:
            relay.resize()
            return
        if number == _signal.SIGTSTP:
            relay.suspend()
            return
        if number == _signal.SIGCONT:
            relay.resume()
    try:
        process.signal(number)
    except ProcessLookupError:
        pass  # it has just ended


def _minds(pid: int, number: int) -> bool:
    """Whether a process ignores or catches a signal, or keeps it blocked."""
    looking = backoff(_BLOCKED)
    while True:
        blocked, ignored, caught = _dispositions(pid, number)
        if ignored or caught or not blocked:
            return ignored or caught
        if not next(looking):  # they all are for a moment where a shell forks
            return True


def _ignores(pid: int, number: int) -> bool:
    """As a shell does that has jobs of its own."""
    return _dispositions(pid, number)[1]


def _dispositions(pid: int, number: int) -> tuple[bool, bool, bool]:
    """Whether a process has a signal blocked, ignored, caught (proc(5), status)."""
    try:
        with open(procfs.path(pid, "status"), "rb", buffering=0) as file:
            lines = dict(line.split(b":", 1) for line in file.read(8192).splitlines())
    except OSError:
        return False, True, False  # it has ended
    blocked, ignored, caught = (
        bool(int(lines[name], 16) >> (number - 1) & 1) for name in (b"SigBlk", b"SigIgn", b"SigCgt")
    )
    return blocked, ignored, caught


def _reap_orphans(own: int) -> None:
    """Reap what was left to us as a subreaper, up to the process itself, which is waited for."""
    try:
        while True:
            found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
            if found is None or found.si_pid == own:
                return
            posix.waitpid(found.si_pid, 0)
    except ChildProcessError:
        pass
