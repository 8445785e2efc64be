"""The foundation of the bindings: prototypes, numbers, strings and errors.

One function per system call stands in the modules beside this one, grouped as
the man pages group them.  They decide nothing.
"""

from __future__ import annotations

import _signal
import errno
import posix
import time

from ..loading.paths import fsencode
from .c import (
    c_long,
    c_void_p,
    function,
    get_errno,
    locked_function,
    set_errno,
    sizeof,
)
from .numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_PATIENCE = 5.0  # seconds, with a call that fails for the moment

# The number of a call that this machine's table lacks.  No kernel has it, so
# calling it gives ENOSYS, which fail() explains.
NO_NUMBER = -1

WIDE = sizeof(c_void_p) == 8  # a 64-bit interpreter


def bind(name: str, restype: Any, *argtypes: Any, locked: bool = False) -> Any:
    """Return the C function name with a prototype of its own.

    syscall(2) has as many prototypes as there are numbers.
    locked: the interpreter's lock is kept during the call, as clone3 needs
        (docs/architecture.md, Cloning); calls that may block must release it.
    """
    found = (locked_function if locked else function)(name)
    found.restype, found.argtypes = restype, argtypes
    return found


def bind_syscall(*argtypes: Any, locked: bool = False) -> Any:
    """Return syscall(2) with a prototype of its own; argtypes follow the number."""
    return bind("syscall", c_long, c_long, *argtypes, locked=locked)


def retried(call: Callable[..., Any], *args: Any, transient: bool = False) -> Any:
    """Make a call, and make it again as long as a signal interrupts it (EINTR).

    Python does this for its own functions (PEP 475) but for ioctl(2), and ctypes for none;
    Python's handlers are installed without SA_RESTART.  They run between two attempts,
    and an exception from one ends them.

    Which calls need it: those that look up a path or ask a file system, for that may be
    FUSE or NFS; and those that lock a context of fsopen(2).  A call that fails with EINTR has
    done nothing; of fsconfig(2) that is not always true (filesystems.py).
    Which do not: clone3, unshare and fork are restarted by the kernel whatever the handler
    (ERESTARTNOINTR); setns, prctl, capset, keyctl, seccomp, bpf, prlimit, the calls about
    pidfds and the ioctls used here wait for nothing, or for locks that only SIGKILL ends
    the wait for.  execve is called where there are no handlers.
    Source: signal(7), Interruption of system calls and library functions by signal handlers.

    transient: EAGAIN says that something was in the way for a moment: make the call again,
        for up to _PATIENCE.  What is in the way of loading a bpf(2) program is a signal,
        and signals may come faster than a program loads.  So they are blocked in this
        thread during each further attempt, and are delivered between two of them.
    """
    result = call(*args)
    if result != -1:
        return result
    deadline = 0.0
    while True:
        code = get_errno()
        if code == errno.EINTR:
            result = call(*args)
        elif code == errno.EAGAIN and transient:
            now = time.monotonic()
            deadline = deadline or now + _PATIENCE
            if now > deadline:
                return result
            before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
            try:
                result = call(*args)
                code = get_errno()
            finally:
                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
            set_errno(code)
        else:
            return result
        if result != -1:
            return result


def machine(name: str = "", *, wide: bool = WIDE) -> str:
    """The key of NUMBERS for uname(2)'s machine name, by default this machine's.

    wide: whether the interpreter is a 64-bit program; a 32-bit one on a 64-bit
        kernel has the numbers of the 32-bit machine.
    """
    name = name or posix.uname().machine
    if not wide:
        if name.startswith(("arm", "aarch64")):
            return "arm"
        if name == "x86_64" or (name.startswith("i") and name.endswith("86")):
            return "i386"
    return name


_MACHINE = machine()
_NUMBERS = NUMBERS.get(_MACHINE, {})


def number(name: str) -> int:
    """The number of a system call on this machine, or NO_NUMBER."""
    return _NUMBERS.get(name, NO_NUMBER)


def cstring(text: str | bytes) -> bytes:
    """Encode a path for C; ValueError on a NUL, where C would silently stop reading."""
    encoded = fsencode(text)
    if b"\0" in encoded:
        raise ValueError(f"embedded NUL in {text!r}")
    return encoded


def fail(
    call: str,
    path: str | bytes | None = None,
    *,
    code: int = 0,
    since: str = "",
    detail: str = "",
) -> NoReturn:
    """Raise the OSError of the call that has just failed in this thread.

    code: the errno, where something else has been called since.
    since: the version of Linux that has the call, named with ENOSYS.
    detail: what else the kernel says about it.
    """
    code = code or get_errno()
    text = f"{call}: {posix.strerror(code)}"
    if code == errno.ENOSYS:
        if not _NUMBERS:
            detail = f"libct has no table of system calls for {_MACHINE}"
        elif since:
            detail = f"Linux has it since {since}{_hidden(since)}"
    if detail:
        text += f" ({detail})"
    raise OSError(code, text, path)


def _hidden(since: str) -> str:
    """What else hides a call from who is on a kernel that has it; "" on an older one."""
    release = posix.uname().release
    try:
        here, there = (tuple(map(int, text.split(".")[:2])) for text in (release, since))
    except ValueError:
        return ""
    return f", and this is {release}: a seccomp filter hides it" if here >= there else ""
