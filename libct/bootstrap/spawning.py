"""A bootstrap server's process: the interpreter that is found, sealed, and executed as one."""

from __future__ import annotations

import _signal
import errno
import posix
import sys

from ..errors import ServerError
from ..loading.paths import real
from ..syscalls.descriptors import move_above
from .channel import REQUESTS, Channel
from .origin import library_path
from .seal import sealed_interpreter

_NOT_SETTABLE = {_signal.SIGKILL, _signal.SIGSTOP}  # and the C library's own: server.py

# The package as the server is to find it: by the place that this copy was
# loaded from, whatever it is called there.  Now, before somebody changes the
# directory that a relative path of Python 3.9 is about.
_PACKAGE = __name__.rpartition(".bootstrap.")[0]
_PLACE = sys.modules[_PACKAGE].__path__[0].rpartition("/")[0]
if not _PLACE.startswith("/"):
    import os

    _PLACE = os.path.abspath(_PLACE)


def interpreter() -> str:
    """libct.interpreter, or the Python that runs us."""
    return getattr(sys.modules[_PACKAGE], "interpreter", "") or sys.executable


def spawn(*, further: bool) -> tuple[int, Channel]:
    """Execute a server; its number, and the channel for requests.

    further: what it will be asked for first is a further process in a container.
    """
    program = interpreter()
    if not program:
        raise ServerError(
            "no Python interpreter is known (sys.executable is empty): set libct.interpreter"
        )
    fill_standard_streams()
    try:
        place = real(program)
        sealed = sealed_interpreter(place)
    except OSError as error:
        raise ServerError(f"cannot open the interpreter {program!r}: {error.strerror}") from error
    try:
        ours, theirs = Channel.pair()
        # Above REQUESTS: dup2 onto itself would leave a descriptor close-on-exec,
        # and dup2 of the one would close the other.
        theirs.move_above(REQUESTS + 1)
        sealed = move_above(sealed, REQUESTS + 1)
        return _execute(program, place, sealed, theirs.fileno(), further), ours
    except OSError as error:
        why = str(error.strerror)
        if error.errno == errno.EAGAIN:
            from .hints import TOO_MANY

            why += f" ({TOO_MANY})"
        elif error.errno == errno.ENOENT and (lacking := _lacking()):
            why += f" (there is no {lacking} here: mount or bind the host's first)"
        raise ServerError(f"cannot execute {program!r}: {why}") from error
    finally:
        posix.close(sealed)


def fill_standard_streams() -> None:
    """Open /dev/null where a standard stream of this process is closed.

    What we open would land there, and be given to a container that takes the
    caller's standard streams.
    """
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)  # by the lowest number
            if null != fd:
                posix.close(null)  # another thread was faster


def _lacking() -> str:
    """What every server needs and a chroot may lack, or ""."""
    for path in ("/proc/self", "/dev/null"):
        try:
            posix.stat(path)
        except OSError:
            return path
    return ""


def _execute(program: str, place: str, sealed: int, requests: int, further: bool) -> int:
    """Execute the interpreter by its descriptor, as the server; returns its number.

    program: what the interpreter is to be called; place: where it is.
    """
    # Last on sys.path, where it can hide nothing.
    package = _PACKAGE.rpartition(".")[2]
    code = (
        f"import gc,sys;gc.disable();sys.path.append({_PLACE!r});"
        f"from {package}.loading import finder;finder.install();"
        f"from {package}.bootstrap import server;server.main(further={further})"
    )
    libraries = library_path(place)
    return posix.posix_spawn(
        f"/proc/self/fd/{sealed}",
        [program, "-I", "-S", *("-B",) * sys.dont_write_bytecode, "-X", "utf8", "-c", code],
        {"LD_LIBRARY_PATH": libraries} if libraries else {},
        file_actions=[
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDWR, 0),
            (posix.POSIX_SPAWN_DUP2, 0, 1),
            (posix.POSIX_SPAWN_DUP2, 0, 2),
            (posix.POSIX_SPAWN_DUP2, requests, REQUESTS),
        ],
        # A group of its own: an interrupt typed at the terminal is the caller's affair.
        setpgroup=0,
        setsigmask=(),
        setsigdef=_signal.valid_signals() - _NOT_SETTABLE,
    )


def server_error(ended: posix.waitid_result | None) -> ServerError:
    """Why the server that ended so could not do what it was asked for."""
    how, hint = "", ""
    if ended is not None and ended.si_code == posix.CLD_EXITED:
        how = f" with status {ended.si_status}"
        if ended.si_status:
            hint = (
                f": is {interpreter()!r} CPython 3.9 or newer, and can it read libct's files"
                f" in {_PLACE!r}?"
            )
    elif ended is not None:
        how = f" by signal {ended.si_status}"
    return ServerError(f"the bootstrap server ended{how}{hint}")
