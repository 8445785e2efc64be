"""Hooks performed: those of the runtime's namespaces, and those in the container.

The runtime may be a program with threads, so it starts its hooks by
posix_spawn(3).  A container's first process has one thread, forks, and closes
what a hook must not have (CVE-2024-21626) in one call.  Either way a hook leads
a process group of its own, and that is killed when the hook takes too long.
"""

from __future__ import annotations

import _signal
import errno
import fcntl
import posix
import select
import time

from ..attributes.procfs import is_whole_proc
from ..errors import StepProblem, printable
from ..loading.paths import exists, own_environment
from ..plan.processes import HOOK_OUTPUT
from ..syscalls import pidfds
from ..syscalls.files import ExecArguments, close_range, execve
from ..syscalls.flags import quote
from ..syscalls.interrupts import allowed
from ..syscalls.memfd import data_file
from ..syscalls.process import pidfd_open, set_pdeathsig
from ..syscalls.spawn import posix_spawn
from .execute import IGNORED_BY_PYTHON, missing_loader, read_head, with_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..life.directory import Directory
    from .context import Context

_MOST_OUTPUT = 2048  # bytes, from its end, that an error has; all of it has to fit into exec.fifo
_PIPE = 65536  # bytes that a pipe takes as it is made, and that are read at once
_READS = 16  # that empty a pipe whatever the size of pages: it takes 16 of 64 KiB at most
_F_SETPIPE_SZ = 1031  # <linux/fcntl.h>; Python has it since 3.10
_LONGEST = 3600.0  # seconds that poll(2) is asked to wait at most
_UMASK = 0o022


def runtime_hook(
    context: Context,
    kind: str,
    path: str,
    args: tuple[str, ...],
    env: tuple[str, ...],
    timeout: int,
    state: str,
    bundle: str,
    inherits: bool,
) -> None:
    """In the runtime's namespaces, as its user, and in the bundle.

    Without one it is in the runtime's working directory.
    It is noted in the container's directory, if that is still there, so that it can
    be found should the runtime be killed meanwhile.

    inherits: its environment is the runtime's, and not env.
    """
    directory: Directory | None = context.values.get("directory")
    program = ExecArguments(path, args, own_environment() if inherits else env)
    streams = _Streams(context, state, context.pid)
    place = -1
    try:
        if bundle:
            place = _open_bundle(bundle, context.values["warnings"])
        if directory is not None:
            directory.note_hook(streams.stdin, 0)
        try:
            theirs = (streams.stdin, streams.stdout, streams.stderr)
            pid = posix_spawn(program, theirs, directory=place, close=_inheritable())
        except OSError as error:
            raise _not_executed(kind, path, error.errno or 0) from None
        _judge(streams, *_follow(pid, streams, timeout, directory=directory), timeout)
    finally:
        if directory is not None:
            directory.forget_hook()
        if place >= 0:
            posix.close(place)
        streams.close()


def _open_bundle(path: str, warnings: list[str]) -> int:
    """The bundle, as a descriptor to work in; the root where it is gone, and a warning.

    Hooks of the end are there to clean up, so they run all the same.
    """
    try:
        place = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            posix.stat(".", dir_fd=place)  # as fchdir(2), this needs the right to search it
        except OSError:
            posix.close(place)
            raise
        return place
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"cannot enter the bundle {path!r}: {reason} (hooks of the host run in '/' instead)"
        if text not in warnings:
            warnings.append(text)
        return posix.open("/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)


def _inheritable() -> list[int]:
    """Descriptors that a program executed by us would have, but for the standard ones."""
    found = []
    for name in posix.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and posix.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # closed meanwhile, as that of the directory is
    return found


def container_hook(
    context: Context,
    kind: str,
    path: str,
    args: tuple[str, ...],
    env: tuple[str, ...],
    timeout: int,
    state: str,
    home: bool,
) -> None:
    """By the container's first process, as the user that it is.

    Before pivot_root the path is one of the runtime's, after it one of the
    container's: it is resolved in what is the root then.
    home: env is the command's, so HOME is added as it is there.
    """
    if home:
        env = with_home(env, context.values["home"])
    program = ExecArguments(path, args, env)
    # Who creates the container may be killed meanwhile, and is to leave nothing.
    # Who starts it is not needed any more.
    creator = -1 if kind == "startContainer" else context.values["talk"].descriptors()[1]
    streams = _Streams(context, state, posix.getpid(), inside=True)
    try:
        told, tell = posix.pipe()
        parent = posix.getpid()
        pid = _fork()
        if pid == 0:
            directory = context.fds["root"] if kind == "createContainer" else -1
            _become(program, streams, tell, parent, directory)
        posix.close(tell)
        try:
            code = posix.read(told, 4)  # nothing at all, when it has been executed
        finally:
            posix.close(told)
        if code:
            posix.waitpid(pid, 0)
            raise _not_executed(kind, path, int.from_bytes(code, "little"))
        _judge(streams, *_follow(pid, streams, timeout, creator), timeout)
    finally:
        streams.close()


def _fork() -> int:
    try:
        return posix.fork()
    except OSError as error:
        code = error.errno or 0
        raise OSError(code, f"fork(): {posix.strerror(code)}") from None


def _become(
    program: ExecArguments, streams: _Streams, tell: int, parent: int, directory: int
) -> NoReturn:
    """In the fork: become the hook, or tell the errno.

    directory: to work in, -1 for the one that we are in.
    """
    try:
        # It ends with the first process also where there is no pid namespace.
        set_pdeathsig(_signal.SIGKILL)
        if posix.getppid() != parent:
            posix._exit(1)
        posix.setsid()
        if directory >= 0:
            posix.fchdir(directory)
            posix.umask(_UMASK)  # it is 0 until the command's is set
        for number in IGNORED_BY_PYTHON:
            _signal.signal(number, _signal.SIG_DFL)
        for number, fd in enumerate((streams.stdin, streams.stdout, streams.stderr)):
            posix.dup2(fd, number, inheritable=True)
        posix.dup2(tell, 3, inheritable=False)
        tell = 3
        close_range(4)
        execve(program)
    except OSError as error:
        posix.write(tell, (error.errno or 0).to_bytes(4, "little"))
    finally:
        posix._exit(1)


# --- what both do ---


class _Streams:
    """The standard streams of a hook: the state to be read, and where its output goes.

    That is a pipe, whose end is kept for the error that there may be; or the
    files that an annotation asks for.
    """

    def __init__(self, context: Context, state: str, pid: int, *, inside: bool = False) -> None:
        """inside: others in the container may get hold of what the hook has."""
        text = f'{state[:-1]},"pid":{pid}}}' if pid else state
        data = text.encode("utf-8", "surrogateescape")
        pipe = _state_pipe(data) if inside else -1
        self.stdin = pipe if pipe >= 0 else _state_file(data)
        self.output, self._writer = posix.pipe()
        self.stdout, self.stderr = (context.fds.get(name, self._writer) for name in HOOK_OUTPUT)
        self.caught = b""

    def close_theirs(self) -> None:
        posix.close(self.stdin)
        posix.close(self._writer)
        self.stdin = self._writer = -1

    def read(self) -> bool:
        """Catch some output; False when there will be no more."""
        data = posix.read(self.output, _PIPE)
        self.caught = (self.caught + data)[-_MOST_OUTPUT:]
        return bool(data)

    def read_rest(self) -> None:
        """What is there already.  Whom a hook has left behind may hold the pipe, or fill it."""
        posix.set_blocking(self.output, False)
        try:
            for _ in range(_READS):
                if not self.read():
                    return
        except BlockingIOError:
            pass

    def close(self) -> None:
        for fd in (self.stdin, self._writer, self.output):
            if fd >= 0:
                posix.close(fd)


def _state_file(data: bytes) -> int:
    """A file in memory: nobody need write while the hook reads, or be killed where it does not."""
    fd = data_file("state")
    try:
        if posix.write(fd, data) == len(data):
            posix.lseek(fd, 0, 0)
            return fd
    except OSError as error:
        if error.errno != errno.EFBIG:
            posix.close(fd)
            raise
    posix.close(fd)
    pipe = _state_pipe(data)
    if pipe >= 0:
        return pipe
    size = len(data)
    raise StepProblem(f"its state of {size} bytes is more than RLIMIT_FSIZE and than a pipe takes")


def _state_pipe(data: bytes) -> int:
    """The state in a pipe, which takes all of it; -1 where it does not.

    Where RLIMIT_FSIZE, which is the container's already, is less than its length.  And
    of files in memory each leads to the file system of all of them, with CAP_DAC_READ_SEARCH
    (open_by_handle_at(2)), and a pipe nowhere.
    """
    reader, writer = posix.pipe()
    try:
        posix.set_blocking(writer, False)
        if len(data) > _PIPE:
            fcntl.fcntl(writer, _F_SETPIPE_SZ, len(data))
        complete = posix.write(writer, data) == len(data)
    except OSError:
        complete = False
    finally:
        posix.close(writer)
    if complete:
        return reader
    posix.close(reader)
    return -1


def _follow(
    pid: int,
    streams: _Streams,
    timeout: int,
    creator: int = -1,
    directory: Directory | None = None,
) -> tuple[posix.waitid_result | None, bool]:
    """Wait for the end of a hook: (how it was, whether by the time of timeout).

    What it has started is killed with it when its time is over, or ours is.
    timeout: seconds; 0 is for ever.
    creator: a descriptor that hangs up when the runtime is gone.
    directory: where it is to be noted.
    """
    pidfd = -1
    try:
        if directory is not None:
            directory.note_hook(streams.stdin, pid)
        streams.close_theirs()
        try:
            pidfd = pidfd_open(pid)
            in_time = _watch(pidfd, streams, timeout, creator)
        except ProcessLookupError:
            in_time = True  # ended, and waited for by the host program
        if not in_time:
            _kill_group(pid)
        ended = _reap(pid, pidfd)
        streams.read_rest()
        return ended, in_time
    except BaseException:
        _kill_group(pid)
        _reap(pid, pidfd)
        raise
    finally:
        if pidfd >= 0:
            posix.close(pidfd)


def _watch(pidfd: int, streams: _Streams, timeout: int, creator: int) -> bool:
    """Catch output until the process ends; False when it takes too long."""
    end = time.monotonic() + timeout
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(streams.output, select.POLLIN)
    if creator >= 0:
        poll.register(creator, select.POLLRDHUP)
    while True:
        left = end - time.monotonic() if timeout else _LONGEST
        if left <= 0:
            return False
        with allowed():
            found = poll.poll(min(left, _LONGEST) * 1000)
        ready = [fd for fd, _ in found]
        if creator in ready:
            raise EOFError("the runtime is gone")
        if streams.output in ready and not streams.read():
            poll.unregister(streams.output)
        if pidfd in ready:
            return True


def _kill_group(pid: int) -> None:
    try:
        posix.killpg(pid, _signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of it has ended


def _reap(pid: int, pidfd: int) -> posix.waitid_result | None:
    """How the process ended; None if the host program has waited for it."""
    if pidfd >= 0:
        return pidfds.wait(pidfd)
    try:
        return posix.waitid(posix.P_PID, pid, posix.WEXITED)
    except ChildProcessError:
        return None


def _judge(
    streams: _Streams, ended: posix.waitid_result | None, in_time: bool, timeout: int
) -> None:
    """StepProblem unless the hook has succeeded; in the words of runc."""
    if not in_time:
        problem = f"hook ran past specified timeout of {timeout}.0s, and was killed"
    elif ended is None:
        problem = "how it ended is not known: this program has waited for it somewhere else"
    elif ended.si_code != posix.CLD_EXITED:
        problem = f"signal: {_signal_text(ended.si_status)}"
    elif ended.si_status:
        problem = f"exit status {ended.si_status}"
    else:
        return
    # An image may have written it.  Escapes make it longer, and all of it has to fit.
    said = printable(streams.caught.decode("utf-8", "replace").strip(), "\n\t")[-_MOST_OUTPUT:]
    raise StepProblem(f"{problem}: {said}" if said else problem)


def _signal_text(number: int) -> str:
    """As Go has it: what the C library says of it, in small letters."""
    return (_signal.strsignal(number) or str(number)).lower()


def _head(path: str) -> bytes:
    """The first bytes of a hook; of the container's, too, when the host's /proc is closed."""
    try:
        proc = posix.open("/proc", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return read_head(proc, path) if is_whole_proc(proc) else b""
    finally:
        posix.close(proc)


def _not_executed(kind: str, path: str, code: int) -> OSError:
    error = OSError(code, f"execve({quote(path)}, ...): {posix.strerror(code)}", path)
    where = "in the rootfs" if kind == "startContainer" else "on the host"
    there = exists(path)
    hint = ""
    if code == errno.ENOENT:
        hint = (
            missing_loader(_head(path), where) if there else f"{kind} hooks are looked for {where}"
        )
    elif code == errno.EACCES and there:
        hint = "it is no file that may be executed (chmod +x; a mount with noexec)"
    elif code == errno.EACCES:
        hint = "the user that runs it may not enter a directory of its path"
    elif code == errno.ENOEXEC:
        hint = "no #! line and no executable format that this kernel and machine know"
    error.hint = hint  # type: ignore[attr-defined]
    return error
