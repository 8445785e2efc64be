"""The actions of a profile as a filter returns them, and the flags it is loaded with."""

from __future__ import annotations

from ..config.rules_seccomp import has_listener
from ..syscalls.seccomp_constants import (
    SECCOMP_FILTER_FLAG_LOG,
    SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.seccomp import Seccomp

# include/uapi/linux/seccomp.h; the lower 16 bits are the action's data.
KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000
TRAP = 0x00030000
ERRNO = 0x00050000
NOTIFY = 0x7FC00000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000

ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_NOTIFY": NOTIFY,
}
# What data an action takes at most: the kernel makes MAX_ERRNO of larger error numbers.
_DATA = {ERRNO: 4095, TRACE: 0xFFFF}
_EPERM = 1
ENOSYS = ERRNO | 38  # errno.ENOSYS; on mips the number is another
_ENOSYS_MIPS = ERRNO | 89

_FLAGS = {
    # A filter is loaded by a process of one thread: there is nothing to synchronise.
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}


def answer(action: str, errno_ret: int | None, place: str) -> int:
    """What a filter returns for an action of the spec.

    errno_ret: the error number of SCMP_ACT_ERRNO, or what a tracer is told by
        SCMP_ACT_TRACE, EPERM for None; other actions have no use for it.

    Raises ValueError, naming the place, where there is no such action or number.
    """
    if action not in ACTIONS:
        raise ValueError(f"{place}: unknown action: {action!r}")
    value = ACTIONS[action]
    if value in _DATA:
        data = _EPERM if errno_ret is None else errno_ret
        if not 0 <= data <= _DATA[value]:
            raise ValueError(f"{place}: {action} takes numbers from 0 to {_DATA[value]}: {data}")
        value |= data
    return value


def no_such_call(architecture: str) -> int:
    """What a filter returns for ENOSYS on an architecture."""
    return _ENOSYS_MIPS if architecture.startswith("MIPS") else ENOSYS


def load_flags(seccomp: Seccomp) -> int:
    """SECCOMP_FILTER_FLAG_* that the profile asks for; ValueError: an unknown one.

    Without a list that is SPEC_ALLOW.  A rule with SCMP_ACT_NOTIFY adds NEW_LISTENER.
    """
    asked = ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] if seccomp.flags is None else seccomp.flags
    flags = 0
    for index, name in enumerate(asked):
        if name not in _FLAGS:
            raise ValueError(f"flags[{index}]: unknown flag: {name!r}")
        flags |= _FLAGS[name]
    if has_listener(seccomp):
        return flags | SECCOMP_FILTER_FLAG_NEW_LISTENER
    # Of a filter without a listener the kernel does not take it.
    return flags & ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
