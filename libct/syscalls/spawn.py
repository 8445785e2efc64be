"""posix_spawn(3): a program started by a process that may have threads.

Python's os.posix_spawn has no way to start one in another directory, which is
the whole process's where fork(2) is not to be used.
"""

from __future__ import annotations

import _signal
import posix

from .c import POINTER, byref, c_char_p, c_int, c_short, c_ulong, c_void_p
from .core import bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .files import ExecArguments

# <spawn.h>; the same in glibc and musl.
_SETPGROUP, _SETSIGDEF, _SETSIGMASK = 0x02, 0x04, 0x08

# What the C library keeps in posix_spawnattr_t, posix_spawn_file_actions_t and
# sigset_t is its own; none is longer than 336 bytes in glibc and musl.
_Opaque = c_ulong * 128


def _bind(name: str, *argtypes: Any) -> Any:
    """A function that takes one of the opaque structures first and returns an errno."""
    return bind(name, c_int, POINTER(_Opaque), *argtypes)


_int, _Pointer = c_int, POINTER(_Opaque)
_sigemptyset = _bind("sigemptyset")
_sigfillset = _bind("sigfillset")
_sigdelset = _bind("sigdelset", _int)
_actions_init = _bind("posix_spawn_file_actions_init")
_actions_destroy = _bind("posix_spawn_file_actions_destroy")
_add_dup2 = _bind("posix_spawn_file_actions_adddup2", _int, _int)
_add_close = _bind("posix_spawn_file_actions_addclose", _int)
# Since glibc 2.29 and musl 1.1.24, which are older than Linux 5.10.
_add_fchdir = _bind("posix_spawn_file_actions_addfchdir_np", _int)
_attr_init = _bind("posix_spawnattr_init")
_attr_destroy = _bind("posix_spawnattr_destroy")
_set_flags = _bind("posix_spawnattr_setflags", c_short)
_set_group = _bind("posix_spawnattr_setpgroup", c_int)  # pid_t
_set_mask = _bind("posix_spawnattr_setsigmask", _Pointer)
_set_default = _bind("posix_spawnattr_setsigdefault", _Pointer)
_posix_spawn = bind(
    "posix_spawn",
    c_int,  # returns an errno
    POINTER(c_int),  # the new pid_t
    c_char_p,  # path
    _Pointer,  # file actions
    _Pointer,  # attributes
    c_void_p,  # argv
    c_void_p,  # envp
)


def posix_spawn(
    program: ExecArguments, streams: Iterable[int], *, directory: int = -1, close: Iterable[int]
) -> int:
    """Start a program as a child that leads a process group of its own; return its number.

    No signal is blocked or ignored in it, but for the C library's own.
    streams: the descriptors that become 0, 1, 2 of it; all are above 2.
    directory: what it works in; -1 is where we do.
    close: further descriptors to be closed in it, those that are close-on-exec aside.

    Raises OSError with the errno of execve(2), or that of fchdir(2)
        EACCES  directory may not be searched.

    Source: posix_spawn(3).
    """
    actions, attributes, signals = _Opaque(), _Opaque(), _Opaque()
    _check(_actions_init(actions))
    try:
        _check(_attr_init(attributes))
        try:
            if directory >= 0:
                _check(_add_fchdir(actions, directory))
            for number, fd in enumerate(streams):
                _check(_add_dup2(actions, fd, number))
            for fd in close:
                _check(_add_close(actions, fd))
            _check(_set_flags(attributes, _SETPGROUP | _SETSIGDEF | _SETSIGMASK))
            _check(_set_group(attributes, 0))
            _sigemptyset(signals)
            _check(_set_mask(attributes, signals))
            _sigfillset(signals)
            for number in (_signal.SIGKILL, _signal.SIGSTOP):
                _sigdelset(signals, number)
            _check(_set_default(attributes, signals))
            pid = c_int()
            _check(
                _posix_spawn(
                    byref(pid),
                    program.path,
                    actions,
                    attributes,
                    program.argv,
                    program.envp,
                )
            )
            return pid.value
        finally:
            _attr_destroy(attributes)
    finally:
        _actions_destroy(actions)


def _check(code: int) -> None:
    if code:
        raise OSError(code, f"posix_spawn(): {posix.strerror(code)}")
