"""The last steps: the command is found and executed; waiting.py has the wait between them."""

from __future__ import annotations

import _signal
import _stat as stat
import errno
import posix

from ..errors import StepProblem
from ..loading.paths import exists, fsdecode
from ..rootfs.files import read_regular
from ..syscalls.files import ExecArguments, execve
from ..syscalls.flags import quote
from .answer import ANSWER, EXECUTES, traced
from .failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HEAD = 256  # bytes of a program, which hold its #! line
IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


def change_directory(context: Context, path: str) -> None:
    """Before the change of user, as runc does it; what only the user may enter waits for it."""
    try:
        posix.chdir(path)
    except PermissionError:
        context.values["directory refused"] = True


def verify_directory(context: Context, path: str) -> None:
    """A directory got by a leaked descriptor has no path from our root (CVE-2024-21626)."""
    if context.values.pop("directory refused", False):
        posix.chdir(path)
    try:
        here = posix.getcwd()
    except FileNotFoundError:
        here = ""
    if not here.startswith("/"):
        raise StepProblem(f"the working directory {path!r} is outside of the rootfs")


def set_umask(context: Context, umask: int) -> None:
    posix.umask(umask)


def find_command(context: Context, name: str, search: str) -> None:
    """Look name up as the user that will run it; search is the PATH of its environment.

    The texts are those that container engines look for, to tell a command
    that is missing (127) from one that may not be executed (126).
    """
    if "/" in name:
        problem, call = _why_not(name)
        if problem:
            text = posix.strerror(problem).lower()
            if problem == errno.EISDIR:
                text = "permission denied: it is a directory"  # EACCES is what execve would give
            raise StepProblem(f'exec: "{name}": {call}{text}')
        _take(context, name)
        return
    denied = ""
    for directory in (search or _DEFAULT_PATH).split(":"):
        # An empty element means the working directory, which is no place to
        # find commands in by chance: as Go and runc, do without it.
        if not directory.startswith("/"):
            continue
        path = f"{directory}/{name}"
        problem, _ = _why_not(path)
        if not problem:
            _take(context, path)
            return
        # A directory of PATH that this user may not enter has nothing for him.
        if problem == errno.EACCES and exists(path):
            denied = denied or f"{path} may not be executed by this user"
    raise StepProblem(f'exec: "{name}": executable file not found in $PATH', denied)


def _take(context: Context, program: str) -> None:
    """It is the one; and what ENOENT of execve(2) will mean, for later nothing can be read."""
    head = read_head(context.fds["proc"], program)
    context.values.update(program=program, hint=missing_loader(head))


def _why_not(path: str) -> tuple[int, str]:
    """The errno that executing path would give, as far as can be told before; 0 if it may.

    And what goes before its text in messages: the look at path, where that has failed.
    """
    try:
        found = posix.stat(path)
    except OSError as error:
        return error.errno or errno.ENOENT, f"stat {path}: "
    if stat.S_ISDIR(found.st_mode):
        return errno.EISDIR, ""
    if not stat.S_ISREG(found.st_mode):
        return errno.EACCES, ""  # as execve would say
    allowed = posix.access(path, posix.X_OK, effective_ids=True)
    return (0 if allowed else errno.EACCES), ""


def execute(context: Context, args: tuple[str, ...], env: tuple[str, ...]) -> None:
    """execve(2).  The traces go first: nothing can be said after."""
    program = context.values["program"]
    env = with_home(env, context.values["home"])
    call = f"execve({quote(program)}, ...)"
    failure = Failure(context.step, None, call, "", program, context.values["hint"])
    if "wait" in context.values:
        _default_signals()
        context.values["wait"].execute(context.fds, program, args, env, failure)
    prepared = ExecArguments(program, args, env)
    trace = context.values["trace"]
    if ANSWER in context.fds:  # who has created the container listens no more
        word = EXECUTES + (traced(trace.take(), trace.current) if trace.on else b"")
        posix.write(context.fds[ANSWER], word)
        context.values["executes"] = True
    else:
        try:
            context.values["talk"].tell(("traced", trace.take(), *trace.current))
        except OSError:
            trace.on = False  # the runtime that would hear of it has ended
    _default_signals()
    place = context.values.get("place")
    if place is not None:  # when Python is through with it
        place.line_up(prepared, context.values["talk"].descriptors()[0], failure)
        return
    try:
        execve(prepared)
    except OSError as error:
        _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)  # there is something to tell still
        error.hint = context.values["hint"]  # type: ignore[attr-defined]
        raise


def _default_signals() -> None:
    for number in IGNORED_BY_PYTHON:
        _signal.signal(number, _signal.SIG_DFL)


def with_home(env: tuple[str, ...], home: str) -> tuple[str, ...]:
    """The variables and HOME, unless they have one."""
    if _value(env, "HOME"):
        return env
    return (*(one for one in env if not one.startswith("HOME=")), "HOME=" + home)


def _value(env: tuple[str, ...], name: str) -> str:
    for one in reversed(env):
        if one.startswith(name + "="):
            return one[len(name) + 1 :]
    return ""


def read_head(proc: int, program: str) -> bytes:
    """The first bytes of a program; none of what may not be read, or is no file.

    proc: a descriptor of the host's /proc.
    """
    try:
        place = posix.open(program, posix.O_PATH | posix.O_CLOEXEC)
        try:
            return read_regular(proc, place, _HEAD) or b""
        finally:
            posix.close(place)
    except OSError:
        return b""


def missing_loader(head: bytes, where: str = "in the rootfs") -> str:
    """What ENOENT of execve(2) says of a program that begins so, and was there a moment ago."""
    if head.startswith(b"#!"):
        interpreter = fsdecode(head[2:].split(b"\n")[0].strip().split(b" ")[0])
        return f"its interpreter {interpreter!r} is not {where}"
    if not head:  # it may not be read
        return f"its #! interpreter or program loader is not {where}"
    return f"its program loader (PT_INTERP, for another C library or machine) is not {where}"
