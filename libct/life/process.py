"""Processes of containers: what to run, and the running process."""

from __future__ import annotations

import _signal
import _thread
import fcntl
import posix
import select

from ..errors import Error, Finding
from ..syscalls import pidfds
from ..syscalls.interrupts import allowed, deferred
from ..syscalls.process import pidfd_send_signal
from ..syscalls.reaping import pidfd_exit_status, wait_usage
from . import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Protocol

    from ..config import Capabilities, CPUAffinity, IOPriority, ProcessDefaults, Rlimit, Scheduler
    from ..seccomp.notifications import Notification

    class HasFileno(Protocol):
        def fileno(self) -> int: ...


_UNKNOWN = 255  # the status of a process of which it is not known


class Usage:
    """What a process has used, and those of its descendants that have been waited for.

    user, system: seconds on a CPU.  max_rss: the most memory that one of them had at once, in
        bytes; that of the interpreter that has become the command counts, too.
    The others are counts: faults that took no reading and that did, blocks read and written,
        and how often it waited, and another one was let run.
    Source: getrusage(2).
    """

    __slots__ = (
        "inblock",
        "majflt",
        "max_rss",
        "minflt",
        "nivcsw",
        "nvcsw",
        "oublock",
        "system",
        "user",
    )

    def __init__(self, fields: Sequence[int]) -> None:
        """fields: of struct rusage, in their order."""
        self.user, self.system = (
            seconds + micro / 1e6 for seconds, micro in (fields[:2], fields[2:4])
        )
        self.max_rss = fields[4] * 1024
        self.minflt, self.majflt = fields[8:10]
        self.inblock, self.oublock = fields[11:13]
        self.nvcsw, self.nivcsw = fields[16:18]


class ProcessState:
    """How a process ended: exit_code (0 to 255) or signal, the other one None.

    usage: what it has used; None where that is not known.

    Both are None where the host program has reaped the process itself, by
    posix.wait() or by ignoring SIGCHLD, and the kernel (before Linux 6.15) does
    not tell it once more.
    """

    __slots__ = ("exit_code", "signal", "usage")

    def __init__(
        self, exit_code: int | None, signal: int | None, usage: Usage | None = None
    ) -> None:
        self.exit_code, self.signal, self.usage = exit_code, signal, usage

    @property
    def status(self) -> int:
        """As a shell says it: the exit code, or 128 and the signal's number; 255 if unknown."""
        if self.signal is not None:
            return 128 + self.signal
        return _UNKNOWN if self.exit_code is None else self.exit_code

    @property
    def success(self) -> bool:
        return self.status == 0

    def __repr__(self) -> str:
        if self.signal is not None:
            return f"ProcessState(signal={self.signal})"
        return f"ProcessState(exit_code={self.exit_code})"


class Process:
    """A process to run in a container, once; after that, the handle of it.

    args: the command and its arguments; looked up in PATH of env.
    env: NAME=VALUE strings, of which the last of a name counts, or a mapping.  HOME is added.
    cwd: in the container; made when missing.
    user: a number, "name", "uid", "uid:gid" or "name:group", of the container's
        /etc/passwd and /etc/group; a number is always an id.  "" is root.
    additional_groups: ids or names.
    stdin, stdout, stderr: a descriptor, an object with fileno(), or None for
        the caller's own.  Borrowed: they may be closed after the start.
    extra_files: descriptors that become 3 and up.
    terminal: run on a new terminal; its master goes to console_socket, a
        connected AF_UNIX socket, by SCM_RIGHTS.
    pidfd_socket: a connected AF_UNIX socket that a pidfd of the process is sent
        to before it executes its command, with the word "standard", or "setns"
        for a further process.
    notify: answers the notifications of the filter (SCMP_ACT_NOTIFY), in place of
        linux.seccomp.listenerPath, in a thread of this program; see
        libct.seccomp.notifications.serve().
    console_width, console_height: of the terminal, in characters; 0 leaves it.
    console_onlcr: the terminal makes \\r\\n of the \\n that is written, as a new one does.
    capabilities ... umask: where given, instead of the container's.  rlimits may be a mapping
        of names to limits: {"NOFILE": 1024, "CPU": (10, 20)}, soft and hard.
    cpu_affinity: of a further process: the CPUs that it runs on before it enters the
        control groups, and after that.
    reset_affinity: run on all CPUs that the control groups allow; else on those of them
        that the calling thread runs on.
    sub_cgroup_paths: of a further process, control groups below the
        container's that it is to be in: controller -> relative path, with
        cgroup v2 under "" alone.  With v1 "" is for all controllers.
    init: the first process of the container, or a further one; None: the first one in a
        container that has had none.
    reaper: of the first process of a container with a pid namespace of its own: it is not process 1
        in there.  That is a process of libct's, which waits for what is orphaned, and
        ends all that is left when the command ends, or the caller's process, whatever ends
        that.  So signals, and the ends by them, are those of any other process.
    outlive: with a reaper: go on when the caller's process ends.
    executor: a function of Python that is called in the process in the place of the command, with
        a list of args; what it returns is the exit status, None is 0.  An interpreter of the
        container finds it, as with Container.call().  python: which, looked up in PATH of env.

    own_env: those of env that no other process is to have.
    """

    def __init__(
        self,
        args: Sequence[str | PathLike[str]],
        *,
        env: Sequence[str] | Mapping[str, str] = (),
        cwd: str | PathLike[str] = "/",
        user: str | int = "",
        additional_groups: Sequence[int | str] = (),
        stdin: HasFileno | int | None = None,
        stdout: HasFileno | int | None = None,
        stderr: HasFileno | int | None = None,
        extra_files: Sequence[HasFileno | int] = (),
        terminal: bool = False,
        console_socket: HasFileno | int | None = None,
        pidfd_socket: HasFileno | int | None = None,
        notify: Callable[[Notification], int | None] | None = None,
        console_width: int = 0,
        console_height: int = 0,
        console_onlcr: bool = True,
        capabilities: Capabilities | None = None,
        apparmor_profile: str = "",
        label: str = "",
        no_new_privileges: bool | None = None,
        rlimits: Sequence[Rlimit] | Mapping[str, int | tuple[int, int]] = (),
        scheduler: Scheduler | None = None,
        io_priority: IOPriority | None = None,
        cpu_affinity: CPUAffinity | None = None,
        reset_affinity: bool = False,
        umask: int | None = None,
        sub_cgroup_paths: Mapping[str, str] | None = None,
        init: bool | None = None,
        reaper: bool = False,
        outlive: bool = False,
        executor: Callable[[list[str]], int | None] | None = None,
        python: str = "python3",
    ) -> None:
        wrong: list[Finding] = []
        self.args, self.env = (
            arguments.texts("args", args, wrong),
            arguments.environment(env, wrong),
        )
        self.cwd, self.user = arguments.text("cwd", cwd, wrong) or "/", arguments.user(user, wrong)
        self.additional_groups = arguments.groups(additional_groups, wrong)
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        arguments.streams({"stdin": stdin, "stdout": stdout, "stderr": stderr}, wrong)
        self.extra_files = arguments.extra_files(extra_files, wrong)
        self.terminal, self.console_socket = terminal, console_socket
        self.pidfd_socket, self.notify = pidfd_socket, notify
        self.console_width, self.console_height = console_width, console_height
        self.console_onlcr = console_onlcr
        self.capabilities, self.rlimits = capabilities, arguments.rlimits(rlimits, wrong)
        self.apparmor_profile, self.label = apparmor_profile, label
        self.no_new_privileges, self.umask = no_new_privileges, umask
        self.scheduler, self.io_priority, self.cpu_affinity = scheduler, io_priority, cpu_affinity
        self.reset_affinity = reset_affinity
        self.sub_cgroup_paths = dict(sub_cgroup_paths or {})
        self.init, self.reaper, self.outlive = init, reaper, outlive
        self.executor, self.python = executor, arguments.text("python", python, wrong)
        given = {"terminal": terminal, "init": init, "reset_affinity": reset_affinity}
        given.update(no_new_privileges=no_new_privileges, reaper=reaper, outlive=outlive)
        arguments.flags(given, wrong)
        arguments.numbers({"umask": umask, "console_width": console_width}, wrong)
        arguments.numbers({"console_height": console_height}, wrong)
        arguments.refuse(wrong)
        self.own_env: list[str] = []
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process's number in the caller's pid namespace."""
        return self._started().pid

    @property
    def pidfd(self) -> int:
        """A descriptor that polls readable when the process ends; the Process's own."""
        return self._started().pidfd

    @property
    def is_mortal(self) -> bool:
        """Whether the container ends with the caller's process."""
        return self.reaper and not self.outlive

    def defaults(self) -> ProcessDefaults:
        """What further processes of the command line have of this one, the first."""
        from ..config import ProcessDefaults

        values = {name: getattr(self, name) for name in ProcessDefaults.__annotations__}
        values["additional_groups"] = list(map(str, self.additional_groups))
        values["env"] = [one for one in self.env if one not in self.own_env]
        return ProcessDefaults(**values)

    def signal(self, signal: int) -> None:
        """Send a signal; ProcessLookupError when the process has ended."""
        self._started().signal(signal)

    def wait(self, timeout: float | None = None) -> ProcessState:
        """Wait for the end and return how it was; TimeoutError after timeout seconds.

        May be called again, and by several threads, and gives the same.
        """
        child = self._started()
        with deferred():
            watched = child.watch()
            if watched >= 0:
                try:
                    poll = select.poll()
                    poll.register(watched, select.POLLIN)
                    with allowed():
                        ended = poll.poll(None if timeout is None else timeout * 1000)
                finally:
                    posix.close(watched)
                if not ended:
                    raise TimeoutError(f"the process {child.pid} is still running")
            return child.reap()

    def watch(self) -> int:
        """A descriptor, the caller's to close, that poll(2) finds readable when it has ended.

        -1 when it has been waited for.
        """
        return self._started().watch()

    async def wait_async(self) -> ProcessState:
        """wait(), for asyncio: the pidfd is watched by the running loop."""
        child = self._started()
        watched = child.watch()
        if watched >= 0:
            try:
                await readable(watched)
            finally:
                posix.close(watched)
        return child.reap()

    def _started(self) -> Child:
        if self._child is None:
            raise Error("the process has not been started")
        return self._child


class Child:
    """A process that has been started: a child of ours, to be waited for once.

    Apart from Process, for it is kept until then, also where nobody wants to
    know; and what a Process holds are the caller's files.
    """

    __slots__ = ("_identity", "_lock", "_pidfd", "on_end", "on_exit", "pid", "state")

    def __init__(self, pid: int, pidfd: int) -> None:
        """pidfd is the Child's from here on.

        on_end: called when it has been waited for, before on_exit: ends what is there for it.
        """
        self.pid, self._pidfd = pid, pidfd
        self._identity = pidfds.identity(pidfd)
        self.state: ProcessState | None = None
        self.on_end: Callable[[], None] | None = None
        self.on_exit: Callable[[ProcessState], None] | None = None
        # Reentrant, for a signal handler may come here too.
        self._lock = _thread.RLock()

    @property
    def pidfd(self) -> int:
        """Opened again where the host program has closed it behind our back (os.closerange)."""
        if self._pidfd < 0:
            raise Error("the process has been waited for")
        if pidfds.identity(self._pidfd) != self._identity:
            self._pidfd = pidfds.open_child(self.pid)
            self._identity = pidfds.identity(self._pidfd)
        return self._pidfd

    def signal(self, signal: int) -> None:
        with self._lock:  # or another thread may close the pidfd, and its number be another's
            if self.state is not None:
                raise ProcessLookupError("os: process already finished")
            pidfd_send_signal(self.pidfd, signal)

    def watch(self) -> int:
        """A pidfd of the caller's own, to wait by; -1 when the process has been waited for.

        So it has where it cannot be found any more: reap() has its state.
        """
        with self._lock:
            if self.state is not None:
                return -1
            try:
                return fcntl.fcntl(self.pidfd, fcntl.F_DUPFD_CLOEXEC, 3)
            except ProcessLookupError:
                return -1

    def reap(self) -> ProcessState:
        """How the process has ended; it has."""
        with deferred():
            with self._lock:
                if self.state is not None:
                    return self.state
                try:
                    self.state = _wait(self.pidfd)
                except ProcessLookupError:
                    self.state = ProcessState(None, None)
                self._close()
                on_exit, self.on_exit = self.on_exit, None
                on_end, self.on_end = self.on_end, None
            if on_end is not None:
                on_end()
            if on_exit is not None:
                on_exit(self.state)
        return self.state

    def end(self) -> None:
        """Kill it, and wait for it."""
        try:
            self.signal(_signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended
        self.reap()

    def _close(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0 and pidfds.identity(pidfd) == self._identity:
            posix.close(pidfd)


def reap_ended(children: list[Child]) -> None:
    """Wait for those that have ended, and take them out of the list, which others may change."""
    if not children:
        return
    watched = [(child, child.watch()) for child in list(children)]
    poll = select.poll()
    for _, fd in watched:
        if fd >= 0:
            poll.register(fd, select.POLLIN)
    ended = {fd for fd, _ in poll.poll(0)}
    for child, fd in watched:
        if fd >= 0:
            posix.close(fd)
        if fd < 0 or fd in ended:
            child.reap()
            try:
                children.remove(child)
            except ValueError:
                pass  # another thread was faster


async def readable(fd: int) -> None:
    """Wait, by the running loop of asyncio, until fd can be read."""
    import asyncio

    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _wait(pidfd: int) -> ProcessState:
    result = pidfds.wait(pidfd, reap=False)
    if result is None:
        status = pidfd_exit_status(pidfd)
        if status is None:
            return ProcessState(None, None)
        if posix.WIFSIGNALED(status):
            return ProcessState(None, posix.WTERMSIG(status))
        return ProcessState(posix.WEXITSTATUS(status), None)
    used = wait_usage(pidfd)
    usage = Usage(used) if used else None
    if result.si_code == posix.CLD_EXITED:
        return ProcessState(result.si_status, None, usage)
    return ProcessState(None, result.si_status, usage)
