"""The foundation of the bindings: prototypes, numbers, strings and errors.

One function per system call stands in the modules beside this one, grouped as
the man pages group them.  They decide nothing.
"""

from __future__ import annotations

import errno
import posix

from ..loading.paths import fsencode
from .c import (
    c_long,
    c_void_p,
    function,
    get_errno,
    locked_function,
    sizeof,
)
from .numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

# The number of a call that this machine's table lacks.  No kernel has it, so
# calling it gives ENOSYS, which fail() explains.
NO_NUMBER = -1

WIDE = sizeof(c_void_p) == 8  # a 64-bit interpreter


def bind(name: str, restype: Any, *argtypes: Any, locked: bool = False) -> Any:
    """Return the C function name with a prototype of its own.

    syscall(2) has as many prototypes as there are numbers.
    locked: the interpreter's lock is kept during the call, as DESIGN.md (3) asks
        of clone3; calls that may block must release it.
    """
    found = (locked_function if locked else function)(name)
    found.restype, found.argtypes = restype, argtypes
    return found


def bind_syscall(*argtypes: Any, locked: bool = False) -> Any:
    """Return syscall(2) with a prototype of its own; argtypes follow the number."""
    return bind("syscall", c_long, c_long, *argtypes, locked=locked)


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
            detail = f"Linux has it since {since}"
    if detail:
        text += f" ({detail})"
    raise OSError(code, text, path)
